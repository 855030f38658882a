package checks

import (
	"slices"
	"strings"
)

// The loader may find other files than the driver's: stubs of a toolkit (CUDA error 34), its compatibility libraries
// (803, 804), copies in /usr/local/lib, left-overs of another version whose soname ldconfig links at its next run.
var libraryCopies = Check{
	ID:     "library-copies",
	Title:  "the loader finds the driver's libraries and no others",
	Layer:  Libraries,
	Why:    "a program that loads another libcuda than the driver's fails with 34 (stub), 803 or 804",
	CUDA:   []int{34, 803, 804},
	Links:  []string{"https://docs.nvidia.com/deploy/cuda-compatibility/", "https://man7.org/linux/man-pages/man8/ldconfig.8.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		copies, libraries := f.Host.Stack.Copies, f.Host.Libraries
		if why := firstUnknown(copies, libraries); why != "" {
			return unknown("%s", why)
		}
		for _, c := range copies.Value {
			switch {
			case c.Kind == "copy" && c.Version == f.loaded():
			case c.Kind == "stub":
				return warn("the loader is led to a stub that does nothing, %s, by %s", c.Path, c.From).
					fix("take the stubs folder out of " + c.From + " and run ldconfig: it is for linking only").from(copies.Source)
			default:
				return warn("the loader is led to another libcuda than the driver's, %s (%s), by %s", c.Path, firstKnown(c.Version, c.Kind), c.From).
					fix("take its folder out of the loader's list, or delete the file, and run ldconfig").from(copies.Source)
			}
		}
		if versions := f.versionsOf("/"); len(versions) > 1 {
			return warn("libraries of %d driver versions lie side by side: %s", len(versions), strings.Join(versions, ", ")).
				fix("delete the files of every version but the module's" + inParentheses(f.loaded()) + " and run ldconfig").from(libraries.Source)
		}
		return pass("none").from(copies.Source, libraries.Source)
	},
}

// versionsOf are the different driver versions of the libraries in a driver root.
func (f Facts) versionsOf(root string) []string {
	var versions []string
	for _, l := range f.Host.Libraries.Value {
		if l.Root == root && !slices.Contains(versions, l.Version) {
			versions = append(versions, l.Version)
		}
	}
	slices.Sort(versions)
	return versions
}
