package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

const sonameNVML = "libnvidia-ml.so.1"

// choice is the libnvidia-ml that is asked.
type choice struct {
	file string // as opened on this machine, without links
	path string // as the host names it
	root string // the driver root it belongs to; empty when there is no library
	none bool   // none was found, which is a fact; false with an empty root: what was found may not be loaded
	why  string // why there is none
}

// choose picks libnvidia-ml: the one that was named; else, from known driver roots alone, the one of the root that
// the launch uses; else the one whose version the loaded module has, so that left-overs in another root are not
// taken for a mismatch; else the first in the order of the roots. module is the module's version, if known.
func (t tree) choose(o Options, module string) choice {
	if o.NVMLLibrary != "" {
		return named(o)
	}
	var best choice
	var refused []string
	for _, root := range t.driverRoots() {
		found, err := t.libraryOf(root)
		if err != nil {
			refused = append(refused, unlessAbsent(err)...)
			continue
		}
		if o.DriverRoot != "" && path.Clean(o.DriverRoot) == root.path {
			return found
		}
		if best.root == "" || (versionOf(found) == module && versionOf(best) != module) {
			best = found
		}
	}
	switch {
	case best.root != "":
		return best
	case len(refused) > 0:
		return choice{why: "no libnvidia-ml that may be loaded: " + refused[0]}
	default:
		return choice{none: true, why: "no libnvidia-ml found below " + t.at("/")}
	}
}

// unlessAbsent is an error's text, none for an absence.
func unlessAbsent(err error) []string {
	if absent(err) {
		return nil
	}
	return []string{err.Error()}
}

// named is the library that the administrator named. It counts as that of the launch's driver root.
func named(o Options) choice {
	if err := loadable(o.NVMLLibrary); err != nil {
		return choice{why: err.Error()}
	}
	root := o.DriverRoot
	if root == "" {
		root = "/"
	}
	return choice{file: o.NVMLLibrary, path: o.NVMLLibrary, root: root}
}

func versionOf(c choice) string {
	return strings.TrimPrefix(path.Base(c.path), "libnvidia-ml.so.")
}

// libraryOf finds a driver root's libnvidia-ml: where its loader would find it, then in its folders. An absence
// is an error that absent knows.
func (t tree) libraryOf(root driverRoot) (choice, error) {
	top, inside, names := t.top, root.path, []string{}
	if top == "" {
		top = "/"
	}
	if root.path == "/" {
		inside = ""
		names = t.cached(sonameNVML)
	}
	if root.own {
		resolved, err := trusted(top, root.path)
		if err != nil {
			return choice{}, err
		}
		top, inside = resolved, ""
	}
	for _, dir := range root.dirs {
		names = append(names, inside+dir+"/"+sonameNVML)
	}
	var trouble error = &fs.PathError{Op: "find", Path: root.path, Err: fs.ErrNotExist}
	for _, name := range names {
		file, err := trusted(top, name)
		if err == nil {
			err = loadable(file)
		}
		if err == nil {
			return choice{file: file, path: strings.TrimPrefix(file, t.top), root: root.path}, nil
		}
		if !absent(err) && !errors.Is(err, errForeign) {
			trouble = fmt.Errorf("%s: %w", root.path, err)
		}
	}
	return choice{}, trouble
}
