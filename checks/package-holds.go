package checks

import (
	"strconv"

	"gpu-preflight/checks/remedy"
)

// A hold keeps a driver from being upgraded under running jobs. A hold on a part of it makes the next upgrade split
// the layers. Where names carry no branch, as NVIDIA's do from 590 on, an upgrade changes the branch as well unless
// something pins it.
var packageHolds = Check{
	ID:     "package-holds",
	Title:  "an upgrade leaves the driver's packages together, and on their branch",
	Layer:  Packages,
	Why:    "an upgrade renews what is not held: the layers of the driver part",
	CUDA:   []int{803},
	Links:  []string{"https://man7.org/linux/man-pages/man8/apt-mark.8.html", "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/version-locking.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignPackages(); why != "" {
			return skip("%s", why)
		}
		packages := f.Host.Stack.Packages
		if !packages.Known() {
			return unknown("%s", packages.Why())
		}
		var held, free []remedy.Part
		for _, p := range ofRole(f.mend.Parts(), remedy.RoleModule, remedy.RoleLibrary, remedy.RoleUtility, remedy.RoleMeta) {
			if p.Held {
				held = append(held, p)
			} else {
				free = append(free, p)
			}
		}
		switch {
		case len(held) == 0:
			return f.pinned(free).from(packages.Source)
		case len(free) == 0:
			return pass("all are held: %s", packageNames(held)).from(packages.Source)
		}
		return warn("held: %s; not held: %s", packageNames(held), packageNames(free)).
			fix("apt-mark hold the others too, or apt-mark unhold these").from(packages.Source)
	},
}

// pinned judges packages of which none is held.
func (f Facts) pinned(parts []remedy.Part) Result {
	drifts, version, ok := f.mend.Drift()
	if !ok {
		return pass("none is held")
	}
	r := warn("nothing keeps the driver on branch %d: the name %s carries none, and the package lists offer %s", drifts.Branch, drifts.Name, version).
		because("the next upgrade brings that branch under the loaded module: error 803 until the reboot, and no GPU that it no longer serves", 803)
	if command, ok := f.mend.Install("", "nvidia-driver-pinning-"+strconv.Itoa(drifts.Branch)); ok {
		return r.fix(command)
	}
	return r.fix(f.mend.Hold(labels(parts)...)...)
}
