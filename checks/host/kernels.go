package host

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/fact"
)

// Kernel is one kernel with a folder below /lib/modules.
type Kernel struct {
	Release string       `json:"release"`
	Image   bool         `json:"image,omitempty"`   // there is a kernel to boot
	Headers bool         `json:"headers,omitempty"` // modules can be built for it
	Modules []ModuleFile `json:"modules,omitempty"` // its nvidia modules
}

// ModuleFile is an nvidia.ko on disk.
type ModuleFile struct {
	Path    string `json:"path"`
	Origin  Origin `json:"origin"`
	Version string `json:"version,omitempty"` // of the file itself; empty where that is not read
	Flavor  string `json:"flavor,omitempty"`  // open | proprietary, where file or folder tells
}

// Origin is who put a module where it lies.
type Origin string

// The origins, told by the folder below /lib/modules/<kernel>.
const (
	OriginPrebuilt Origin = "ubuntu-prebuilt" // kernel/nvidia-535srv-open: linux-modules-nvidia-*
	OriginDKMS     Origin = "dkms"            // updates/dkms
	OriginRunfile  Origin = "runfile"         // kernel/drivers/video: NVIDIA's .run file without DKMS
	OriginKmod     Origin = "kmod"            // extra, weak-updates: RHEL, Fedora, SUSE; DKMS there too
	OriginOther    Origin = "other"
)

const (
	modulesDir  = "/lib/modules"
	maxKernels  = 64
	maxModIndex = 8 << 20 // modules.dep
)

// kernels lists what lies below /lib/modules, ordered as versions. No folder is a known none.
func (t tree) kernels() fact.Fact[[]Kernel] {
	names, err := t.names(modulesDir)
	if absent(err) {
		return fact.Of([]Kernel{}, modulesDir)
	}
	if err != nil {
		return fact.Missing[[]Kernel](modulesDir, reason(err))
	}
	slices.SortFunc(names, CompareReleases)
	if len(names) > maxKernels {
		names = names[len(names)-maxKernels:]
	}
	found := []Kernel{}
	for _, name := range names {
		if name == "" || name[0] < '0' || name[0] > '9' {
			continue
		}
		k, err := t.kernelFolder(name)
		if err != nil {
			return fact.Missing[[]Kernel](modulesDir+"/"+name, reason(err))
		}
		found = append(found, k)
	}
	return fact.Of(found, modulesDir)
}

func (t tree) kernelFolder(release string) (Kernel, error) {
	k := Kernel{Release: release}
	dir := modulesDir + "/" + release
	for _, image := range []string{"/boot/vmlinuz-" + release, "/boot/vmlinux-" + release, "/boot/kernel-" + release, dir + "/vmlinuz"} {
		there, err := t.exists(image)
		if err != nil {
			return k, err
		}
		k.Image = k.Image || there
	}
	var err error
	if k.Headers, err = t.exists(dir + "/build/Makefile"); err != nil {
		return k, err
	}
	paths, err := t.moduleFiles(dir)
	for _, file := range paths {
		k.Modules = append(k.Modules, t.moduleFile(file, strings.TrimPrefix(file, dir)))
	}
	return k, err
}

// moduleFolders are where nvidia.ko lies besides what modules.dep names: it names nothing before depmod ran.
var moduleFolders = []string{
	"/updates/dkms", "/updates", "/extra", "/extra/nvidia", "/weak-updates", "/weak-updates/nvidia",
	"/kernel/drivers/video", "/kernel/drivers/video/nvidia", "/extramodules",
}

// moduleFiles are the paths of a kernel's nvidia modules that are there.
func (t tree) moduleFiles(dir string) ([]string, error) {
	index, err := t.read(dir+"/modules.dep", maxModIndex)
	if err != nil && !absent(err) {
		return nil, err
	}
	var paths []string
	for line := range strings.Lines(string(index)) {
		if name, _, ok := strings.Cut(line, ":"); ok && isNVIDIAModule(path.Base(name)) {
			paths = append(paths, path.Join(dir, name))
		}
	}
	unlisted, err := t.unlistedModules(dir)
	if err != nil {
		return nil, err
	}
	paths = append(paths, unlisted...)
	slices.Sort(paths)
	return slices.DeleteFunc(slices.Compact(paths), func(file string) bool {
		there, err := t.exists(file)
		return err == nil && !there
	}), nil
}

// unlistedModules looks into the folders where a module may lie.
func (t tree) unlistedModules(dir string) ([]string, error) {
	inside, err := t.names(dir + "/kernel")
	if err != nil && !absent(err) {
		return nil, err
	}
	folders := slices.Clone(moduleFolders)
	for _, name := range inside {
		if strings.HasPrefix(name, "nvidia-") {
			folders = append(folders, "/kernel/"+name)
		}
	}
	var paths []string
	for _, folder := range folders {
		names, err := t.names(dir + folder)
		if err != nil && !absent(err) {
			return nil, err
		}
		for _, name := range names {
			if isNVIDIAModule(name) {
				paths = append(paths, path.Join(dir, folder, name))
			}
		}
	}
	return paths, nil
}

// isNVIDIAModule tells the main module by its file's name: nvidia.ko, or Debian's nvidia-current.ko,
// nvidia-tesla-470.ko and nvidia-legacy-390xx.ko; compressed or not.
func isNVIDIAModule(name string) bool {
	base, rest, ok := strings.Cut(name, ".ko")
	if !ok || (rest != "" && rest != ".xz" && rest != ".zst" && rest != ".gz") {
		return false
	}
	for _, part := range []string{"-uvm", "-modeset", "-drm", "-peermem", "-vgpu-vfio"} {
		if strings.HasSuffix(base, part) {
			return false
		}
	}
	return base == "nvidia" || base == "nvidia-current" || strings.HasPrefix(base, "nvidia-tesla") || strings.HasPrefix(base, "nvidia-legacy")
}

// moduleFile describes a module by its file, and by its folder where the file is compressed (packed.go looks into some).
func (t tree) moduleFile(file, below string) ModuleFile {
	m := t.moduleInfo(file)
	m.Path, m.Origin = file, originOf(below)
	if folder, ok := strings.CutPrefix(below, "/kernel/nvidia-"); ok && m.Flavor == "" {
		m.Flavor = "proprietary"
		if folder, _, _ = strings.Cut(folder, "/"); strings.HasSuffix(folder, "open") {
			m.Flavor = "open"
		}
	}
	return m
}

func originOf(below string) Origin {
	for _, known := range []struct {
		prefix string
		origin Origin
	}{
		{"/kernel/nvidia-", OriginPrebuilt},
		{"/updates/dkms/", OriginDKMS},
		{"/kernel/drivers/video/", OriginRunfile},
		{"/extra/", OriginKmod},
		{"/weak-updates/", OriginKmod},
		{"/updates/", OriginKmod},
	} {
		if strings.HasPrefix(below, known.prefix) {
			return known.origin
		}
	}
	return OriginOther
}

// CompareReleases orders kernel releases as versions: numbers as numbers, the rest as text (5.15.0-91 before
// 5.15.0-113). It is how boot loaders pick the newest kernel.
func CompareReleases(a, b string) int {
	for a != "" && b != "" {
		x, y := chunk(a), chunk(b)
		a, b = a[len(x):], b[len(y):]
		m, errX := strconv.ParseUint(x, 10, 64)
		n, errY := strconv.ParseUint(y, 10, 64)
		if errX == nil && errY == nil && m != n {
			if m < n {
				return -1
			}
			return 1
		}
		if (errX != nil || errY != nil) && x != y {
			return strings.Compare(x, y)
		}
	}
	return len(a) - len(b)
}

// chunk is the leading run of digits, or of everything else.
func chunk(s string) string {
	digit := func(i int) bool { return s[i] >= '0' && s[i] <= '9' }
	i := 1
	for i < len(s) && digit(i) == digit(0) {
		i++
	}
	return s[:i]
}
