package host

import (
	"errors"
	"path"
	"strings"
)

// Majors reads the character majors of /proc/devices below root, for a launch whose devices do not say by their
// names what they are.
func Majors(root string) (map[string]int, error) {
	majors := newTree(root).majors()
	if !majors.Known() {
		return nil, errors.New(majors.Why())
	}
	return majors.Value, nil
}

// DriverRootOf tells which known driver root a library belongs to, by its path alone: /run/nvidia/driver for
// /run/nvidia/driver/usr/lib64/libcuda.so.535.183.06, / for a distribution's own folder. A library anywhere
// else, a compat folder among it, belongs to none: its user put it there.
func DriverRootOf(file string) (root string, known bool) {
	dir := path.Dir(path.Clean(file))
	for _, r := range knownRoots {
		for _, lib := range r.dirs {
			merged := strings.TrimPrefix(lib, "/usr") // /lib is /usr/lib, and the loader's cache may name it so
			if dir == path.Join(r.path, lib) || dir == path.Join(r.path, merged) || r.own && dir == path.Join(r.path, "usr/lib64") {
				return r.path, true
			}
		}
	}
	// Flatcar: /opt/nvidia/<driver>/<kernel>/usr/lib64
	parts := strings.Split(dir, "/")
	if len(parts) == 7 && strings.HasPrefix(dir, "/opt/nvidia/") && isVersion(parts[3]) && strings.HasPrefix(parts[6], "lib") {
		return strings.Join(parts[:5], "/"), true
	}
	return "", false
}
