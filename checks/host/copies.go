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
	folders, err := t.loaderFolders()
	if err != nil {
		return fact.Missing[[]LibraryCopy](loaderConf, reason(err))
	}
	places := map[string]string{} // file -> what leads there
	for folder, from := range folders {
		for _, name := range []string{"libcuda.so", "libcuda.so.1", sonameNVML} {
			places[folder+"/"+name] = from
		}
	}
	for _, name := range []string{"libcuda.so.1", sonameNVML} {
		for _, file := range t.cached(name) {
			places[file] = "ld.so.cache"
		}
	}
	found := []LibraryCopy{}
	for file, from := range places {
		there, err := t.exists(file)
		c := LibraryCopy{Path: file, From: from, Kind: copyKind(file)}
		if err != nil || !there || t.ofDriver(c) {
			continue
		}
		if target, err := t.readlink(file); err == nil {
			c.Version, _ = libraryFileVersion(target)
		}
		found = append(found, c)
	}
	slices.SortFunc(found, func(a, b LibraryCopy) int { return strings.Compare(a.Path, b.Path) })
	return fact.Of(found, loaderConf)
}

// loaderFolders are the folders that the loader is told to search, and by what.
func (t tree) loaderFolders() (map[string]string, error) {
	folders := map[string]string{"/usr/local/lib": "the loader's own list"}
	names, err := t.names(loaderConf)
	if err != nil && !absent(err) {
		return nil, err
	}
	for _, name := range names {
		text, err := t.text(loaderConf + "/" + name)
		if err != nil && !absent(err) {
			return nil, err
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
				folders[path.Clean(line)] = loaderConf + "/" + name
			}
		}
	}
	return folders, nil
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
