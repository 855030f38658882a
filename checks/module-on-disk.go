package checks

import (
	"fmt"
	"slices"
)

// What lies on disk is loaded next. A version other than the loaded one means that the upgrade is half done.
var moduleOnDisk = Check{
	ID:     "module-on-disk",
	Title:  "the loaded module is the one on disk",
	Layer:  Kernel,
	Why:    "module and libraries of two versions do not work together: NVML says \"Driver/library version mismatch\", CUDA error 803",
	CUDA:   []int{803},
	Links:  []string{"https://man7.org/linux/man-pages/man8/modinfo.8.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignStack(); why != "" {
			return skip("%s", why)
		}
		loaded := f.loaded()
		if loaded == "" && !f.Host.Driver.Version.Known() {
			return unknown("%s", f.Host.Driver.Version.Why())
		}
		if loaded == "" {
			return skip("no module is loaded")
		}
		if why := firstUnknown(f.Host.Kernel, f.Host.Stack.Kernels, f.Host.Stack.DKMS); why != "" {
			return unknown("%s", why)
		}
		version, from := f.onDisk()
		switch {
		case version == "":
			return skip("the version of the module on disk is not shown")
		case version != loaded:
			return warn("module %s is loaded, and %s has %s: the next load brings another version", loaded, from, version).
				fix(f.mend.Reload()...).from(f.Host.Driver.Version.Source, from)
		}
		return pass("%s is loaded and on disk", loaded).from(f.Host.Driver.Version.Source, from)
	},
}

// onDisk is the version of the running kernel's module on disk: the file's, else that of the one DKMS tree that is
// built for the kernel.
func (f Facts) onDisk() (version, from string) {
	k, _ := f.kernelFolder(f.Host.Kernel.Value)
	for _, m := range k.Modules {
		if m.Version != "" {
			return m.Version, m.Path
		}
	}
	for _, d := range f.Host.Stack.DKMS.Value {
		if slices.Contains(d.Built, f.Host.Kernel.Value) {
			if version != "" && version != d.Version {
				return "", ""
			}
			version, from = d.Version, fmt.Sprintf("/var/lib/dkms/%s/%s", d.Module, d.Version)
		}
	}
	return version, from
}
