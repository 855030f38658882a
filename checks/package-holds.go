package checks

import (
	"gpu-preflight/checks/remedy"
)

// A hold keeps a driver from being upgraded under running jobs. A hold on a part of it makes the next upgrade split
// the layers.
var packageHolds = Check{
	ID:     "package-holds",
	Title:  "the driver's packages are held together or not at all",
	Layer:  Packages,
	Why:    "an upgrade renews what is not held: the layers of the driver part",
	CUDA:   []int{803},
	Links:  []string{"https://man7.org/linux/man-pages/man8/apt-mark.8.html"},
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
			return pass("none is held").from(packages.Source)
		case len(free) == 0:
			return pass("all are held: %s", packageNames(held)).from(packages.Source)
		}
		return warn("held: %s; not held: %s", packageNames(held), packageNames(free)).
			fix("apt-mark hold the others too, or apt-mark unhold these").from(packages.Source)
	},
}
