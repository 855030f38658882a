package host

import (
	"path"
	"slices"
	"strings"

	"gpu-preflight/checks/fact"
)

// driverRoot is a place where a driver's user-space libraries are installed.
type driverRoot struct {
	path string
	dirs []string // of libraries, from path
	own  bool     // a whole root of its own: absolute links inside lead inside
}

// usual are the library folders of a distribution.
var usual = []string{
	"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
	"/usr/lib/x86_64-linux-gnu/nvidia/current", "/usr/lib/aarch64-linux-gnu/nvidia/current",
}

// knownRoots are the driver roots in use: distributions (with WSL's folder), the GPU operator's driver container,
// GKE, AKS and older hosts, Talos, Bottlerocket, NixOS; Flatcar's are found by driverRoots.
var knownRoots = []driverRoot{
	{path: "/", dirs: append(slices.Clone(usual), "/usr/lib/wsl/lib")},
	{path: "/run/nvidia/driver", dirs: usual, own: true},
	{path: "/home/kubernetes/bin/nvidia", dirs: []string{"/lib64", "/lib"}},
	{path: "/usr/local/nvidia", dirs: []string{"/lib64", "/lib"}},
	{path: "/usr/local/glibc", dirs: []string{"/usr/lib"}},
	{path: "/usr/lib/nvidia/tesla", dirs: []string{""}},
	{path: "/run/opengl-driver", dirs: []string{"/lib"}},
}

// driverRoots are the known roots and what lies in /opt/nvidia/<driver>/<kernel> (Flatcar).
func (t tree) driverRoots() []driverRoot {
	const flatcar = "/opt/nvidia"
	roots := slices.Clone(knownRoots)
	drivers, err := t.names(flatcar)
	if err != nil {
		return roots
	}
	for _, driver := range drivers[:min(len(drivers), 16)] {
		if !isVersion(driver) {
			continue
		}
		kernels, err := t.names(flatcar + "/" + driver)
		if err != nil {
			continue
		}
		for _, kernel := range kernels[:min(len(kernels), 16)] {
			roots = append(roots, driverRoot{
				path: flatcar + "/" + driver + "/" + kernel, dirs: []string{"/usr/lib64", "/usr/lib"},
			})
		}
	}
	return roots
}

// cached are the paths that the loader of the host has for a library.
func (t tree) cached(name string) []string {
	data, err := t.read("/etc/ld.so.cache", maxCache)
	if err != nil {
		return nil
	}
	return parseCache(data, name)
}

// libraries lists the driver libraries whose names carry a version, in every driver root. WSL's and Jetson's
// libcuda.so.1.1 carries none.
func (t tree) libraries() fact.Fact[[]Library] {
	found := []Library{}
	for _, root := range t.driverRoots() {
		dirs := root.dirs
		if root.path == "/" {
			for _, cached := range t.cached("libcuda.so.1") {
				dirs = append(slices.Clone(dirs), path.Dir(cached))
			}
		}
		for _, dir := range dirs {
			var err error
			if found, err = t.librariesIn(found, root.path, path.Join(root.path, dir)); err != nil {
				return fact.Missing[[]Library](path.Join(root.path, dir), reason(err))
			}
		}
	}
	return fact.Of(found, "the driver roots")
}

func (t tree) librariesIn(found []Library, root, dir string) ([]Library, error) {
	names, err := t.names(dir)
	if absent(err) {
		return found, nil
	}
	for _, name := range names {
		base, version, ok := strings.Cut(name, ".so.")
		if !ok || (base != "libcuda" && base != "libnvidia-ml") || !isVersion(version) || strings.IndexByte(version, '.') < 3 {
			continue
		}
		library := Library{Name: base, Path: dir + "/" + name, Version: version, Root: root}
		same := func(l Library) bool { return l.Name == base && l.Version == version && l.Root == root }
		if !slices.ContainsFunc(found, same) {
			found = append(found, library)
		}
	}
	return found, err
}
