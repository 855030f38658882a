package checks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/remedy"
)

// All layers of a driver have to be of one version. Packages of two branches beside each other come from a partial
// upgrade, or from a new metapackage installed over the old one.
var packageBranches = Check{
	ID:     "package-branches",
	Title:  "the driver's packages are of one version",
	Layer:  Packages,
	Why:    "layers of two versions do not work together: \"Driver/library version mismatch\", CUDA error 803",
	CUDA:   []int{803},
	Links:  []string{"https://documentation.ubuntu.com/server/how-to/graphics/install-nvidia-drivers/"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignPackages(); why != "" {
			return skip("%s", why)
		}
		packages := f.Host.Stack.Packages
		if !packages.Known() {
			return unknown("%s", packages.Why())
		}
		parts := f.layers()
		if len(parts) == 0 {
			return skip("no package of a driver is installed")
		}
		branches := branchesOf(parts)
		if len(branches) > 1 {
			return warn("packages of several branches are installed: %s", branchWords(parts, branches)).
				fix(f.oneBranch(parts)...).from(packages.Source)
		}
		versions := versionsIn(parts)
		if len(versions) > 1 {
			return warn("packages of several versions are installed: %s", versionWords(parts, versions)).
				fix(f.oneVersion(parts, versions[len(versions)-1])...).from(packages.Source)
		}
		if loaded := f.loaded(); loaded != "" && len(versions) == 1 && versions[0] != loaded {
			return warn("the packages are of version %s, and the loaded module of %s", versions[0], loaded).
				fix(f.mend.Reload()...).fix(f.holdAll(parts)...).from(packages.Source, f.Host.Driver.Version.Source)
		}
		return pass("branch %d%s", branches[0], inParentheses(strings.Join(versions, ""))).from(packages.Source)
	},
}

// holdAll holds the packages that are free to be upgraded under the loaded module.
func (f Facts) holdAll(parts []remedy.Part) []string {
	names := labels(slices.DeleteFunc(slices.Clone(parts), func(p remedy.Part) bool { return p.Held }))
	if len(names) == 0 {
		return nil
	}
	return f.mend.Hold(names...)
}

func branchesOf(parts []remedy.Part) []int {
	var list []int
	for _, p := range parts {
		list = append(list, p.Branch)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// versionsIn are the versions of a driver's packages, the oldest first.
func versionsIn(parts []remedy.Part) []string {
	var list []string
	for _, p := range parts {
		if p.Driver != "" && !slices.Contains(list, p.Driver) {
			list = append(list, p.Driver)
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		x, _ := cuda.ParseDriver(a) // remedy.Upstream has cut them
		y, _ := cuda.ParseDriver(b)
		return cmp.Or(x.Compare(y), strings.Compare(a, b))
	})
	return list
}

// branchWords names the packages of each branch, and tells those that only an upgrade or a purge can have left.
func branchWords(parts []remedy.Part, branches []int) string {
	var words []string
	for _, b := range branches {
		of := slices.DeleteFunc(slices.Clone(parts), func(p remedy.Part) bool { return p.Branch != b })
		orphans := ""
		if len(ofRole(of, remedy.RoleModule, remedy.RoleMeta)) == 0 {
			orphans = ": orphans, without a module or a metapackage of this branch"
		}
		words = append(words, fmt.Sprintf("%d (%s%s)", b, packageNames(of), orphans))
	}
	return strings.Join(words, "; ")
}

// versionWords names the packages of each version.
func versionWords(parts []remedy.Part, versions []string) string {
	var words []string
	for _, v := range versions {
		of := slices.DeleteFunc(slices.Clone(parts), func(p remedy.Part) bool { return p.Driver != v })
		words = append(words, v+" ("+packageNames(of)+")")
	}
	return strings.Join(words, "; ")
}

// oneVersion brings what stayed behind to the newest version that is installed.
func (f Facts) oneVersion(parts []remedy.Part, newest string) (fixes []string) {
	behind := labels(slices.DeleteFunc(slices.Clone(parts), func(p remedy.Part) bool { return p.Driver == newest || p.Driver == "" }))
	if command, ok := f.mend.Install(newest, behind...); ok {
		fixes = append(fixes, command)
	} else {
		fixes = append(fixes, "bring "+list(behind)+" to version "+newest+", from where the other packages come")
	}
	if newest != f.loaded() {
		fixes = append(fixes, "then reboot, so that module and libraries are of one version")
	}
	return fixes
}

// oneBranch removes what does not belong to the branch that stays.
func (f Facts) oneBranch(parts []remedy.Part) []string {
	keep := f.branchThatStays()
	others := labels(slices.DeleteFunc(slices.Clone(parts), func(p remedy.Part) bool { return p.Branch == keep }))
	return append(f.mend.Remove(others...), "then reboot, so that module and libraries are of one version")
}

// branchThatStays is the branch that most of the driver's packages are of; of two alike the loaded module's, else the
// newer. Every fix that removes packages goes by it, so that together they leave one driver.
func (f Facts) branchThatStays() int {
	parts := f.layers()
	count := map[int]int{}
	for _, p := range parts {
		count[p.Branch] += 2
	}
	if loaded, ok := f.branch(); ok {
		count[loaded]++
	}
	return slices.MaxFunc(branchesOf(parts), func(a, b int) int { return cmp.Or(count[a]-count[b], a-b) })
}

// layers are the packages that have to be of one version.
func (f Facts) layers() []remedy.Part {
	return ofRole(f.mend.Parts(), remedy.RoleModule, remedy.RoleLibrary, remedy.RoleUtility, remedy.RoleMeta, remedy.RoleCommon)
}
