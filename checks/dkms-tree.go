package checks

import (
	"slices"

	"gpu-preflight/checks/host"
)

// DKMS builds the module for each kernel from a tree of its own. A tree without its source stops every later run
// ("Could not locate dkms.conf file"); one that is built for no kernel never became a module.
var dkmsTree = Check{
	ID:     "dkms-tree",
	Title:  "DKMS's trees of the driver are whole",
	Layer:  Kernel,
	Why:    "the next kernel gets no module, and CUDA finds no device after the reboot",
	CUDA:   []int{100},
	Links:  []string{"https://github.com/dell/dkms", "https://bugzilla.redhat.com/show_bug.cgi?id=1635238"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignStack(); why != "" {
			return skip("%s", why)
		}
		trees := f.Host.Stack.DKMS
		if !trees.Known() {
			return unknown("%s", trees.Why())
		}
		for _, d := range trees.Value {
			if !d.Source {
				return warn("a left-over tree has no source: /var/lib/dkms/%s/%s/source/dkms.conf is missing%s", d.Module, d.Version, alsoStops(len(trees.Value))).
					fix("dkms remove "+d.Module+"/"+d.Version+" --all; where that fails too, delete /var/lib/dkms/"+d.Module+"/"+d.Version, "dkms autoinstall").
					from(trees.Source)
			}
		}
		if len(trees.Value) == 0 {
			return skip("DKMS has no tree of the driver")
		}
		return f.unbuilt(trees.Value).from(trees.Source)
	},
}

func alsoStops(trees int) string {
	if trees > 1 {
		return ", which stops the newer trees as well"
	}
	return ""
}

// unbuilt judges whether some tree is built for the kernel that runs.
func (f Facts) unbuilt(trees []host.DKMSTree) Result {
	kernel := f.Host.Kernel.Value
	if slices.ContainsFunc(trees, func(d host.DKMSTree) bool { return slices.Contains(d.Built, kernel) }) {
		if len(trees) > 1 {
			return pass("%d trees, one is built for kernel %s", len(trees), kernel)
		}
		return pass("%s/%s is built for kernel %s", trees[0].Module, trees[0].Version, kernel)
	}
	if k, there := f.kernelFolder(kernel); there && len(k.Modules) > 0 {
		return pass("not built for kernel %s, which has a module from elsewhere", kernel)
	}
	d := trees[len(trees)-1]
	name := d.Module + "/" + d.Version
	k, there := f.kernelFolder(kernel)
	switch {
	case !f.Host.Kernel.Known():
		return unknown("%s", f.Host.Kernel.Why())
	case d.Failed:
		return warn("the build of %s for kernel %s did not end well: read /var/lib/dkms/%s/build/make.log", name, kernel, name).
			fix(f.mend.Headers(kernel)...).fix("install a driver branch that builds on kernel " + kernel + ", or boot an older kernel")
	case there && !k.Headers:
		return warn("%s is not built for kernel %s, and the kernel's headers are not installed", name, kernel).fix(f.mend.Module(kernel)...)
	}
	return warn("%s was added and never built for kernel %s", name, kernel).fix(f.mend.Module(kernel)...)
}
