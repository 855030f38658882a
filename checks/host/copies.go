package host

import (
	"path"
	"slices"
	"strings"

	"gpu-preflight/checks/fact"
)

// LibraryCopy is a libcuda or libnvidia-ml that the loader finds and that is not, or may not be, the driver's own.
type LibraryCopy struct {
	Path    string `json:"path"`
	Kind    string `json:"kind"`              // stub | compat | copy
	From    string `json:"from"`              // what leads there: ld.so.cache, or a file of ld.so.conf.d
	Version string `json:"version,omitempty"` // of the file that it leads to, where its name tells
}

const loaderConf = "/etc/ld.so.conf.d"

// copies lists what the loader finds outside of the driver's folders: a toolkit's stubs (CUDA error 34) and
// compatibility libraries (803, 804), and copies that somebody put into /usr/local/lib or a folder of ld.so.conf.d.
func (t tree) copies() fact.Fact[[]LibraryCopy] {
	found := []LibraryCopy{}
	add := func(file, from string) {
		c := LibraryCopy{Path: file, From: from, Kind: copyKind(file)}
		if slices.ContainsFunc(found, func(o LibraryCopy) bool { return o.Path == file }) || slices.Contains(usual, path.Dir(file)) {
			return
		}
		if target, err := t.readlink(file); err == nil {
			c.Version, _ = libraryFileVersion(target)
		}
		found = append(found, c)
	}
	for _, name := range []string{"libcuda.so.1", sonameNVML} {
		for _, file := range t.cached(name) {
			if there, err := t.exists(file); err == nil && there {
				add(file, "ld.so.cache")
			}
		}
	}
	names, err := t.names(loaderConf)
	if err != nil && !absent(err) {
		return fact.Missing[[]LibraryCopy](loaderConf, reason(err))
	}
	folders := map[string]string{"/usr/local/lib": "the loader's own list"}
	for _, name := range names {
		text, err := t.text(loaderConf + "/" + name)
		if err != nil && !absent(err) {
			return fact.Missing[[]LibraryCopy](loaderConf+"/"+name, reason(err))
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
				folders[path.Clean(line)] = loaderConf + "/" + name
			}
		}
	}
	for folder, from := range folders {
		for _, name := range []string{"libcuda.so", "libcuda.so.1", sonameNVML} {
			if there, err := t.exists(folder + "/" + name); err == nil && there {
				add(folder+"/"+name, from)
			}
		}
	}
	slices.SortFunc(found, func(a, b LibraryCopy) int { return strings.Compare(a.Path, b.Path) })
	return fact.Of(slices.DeleteFunc(found, t.ofDriver), loaderConf)
}

// ofDriver tells a folder of a known driver root: Debian's nvidia/current, WSL's, Red Hat's /usr/lib64/nvidia.
func (t tree) ofDriver(c LibraryCopy) bool {
	if c.Kind != "copy" {
		return false
	}
	dir := path.Dir(c.Path)
	for _, root := range t.driverRoots() {
		for _, known := range root.dirs {
			if path.Join(root.path, known) == dir {
				return true
			}
		}
	}
	return strings.HasPrefix(dir, "/usr/lib") || strings.HasPrefix(dir, "/lib") || strings.HasPrefix(dir, "/etc/alternatives")
}

func copyKind(file string) string {
	switch dir := path.Dir(file); {
	case path.Base(dir) == "stubs":
		return "stub"
	case path.Base(dir) == "compat":
		return "compat"
	}
	return "copy"
}

// libraryFileVersion cuts the driver version out of libcuda.so.535.183.06.
func libraryFileVersion(file string) (string, bool) {
	_, version, ok := strings.Cut(path.Base(file), ".so.")
	return version, ok && isDriverVersion(version)
}
