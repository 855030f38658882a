package checks

import (
	"slices"
	"strings"

	"gpu-preflight/checks/remedy"
)

// Fabric Manager has to be of the driver's very version: the daemon refuses to start with another ("fabric manager
// NVIDIA GPU driver interface version X don't match with driver version Y").
var fabricManagerPackage = Check{
	ID:     "fabric-manager-package",
	Title:  "Fabric Manager has the driver's version and starts at boot, where it is needed",
	Layer:  FabricSys,
	Why:    "Fabric Manager does not start beside a driver of another version, and CUDA fails with 802",
	CUDA:   []int{802},
	Links:  []string{"https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/", "https://github.com/NVIDIA/gpu-operator/issues/544"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		kind, why := f.fabric()
		version, from := f.managerInstalled()
		switch {
		case kind == fabricUnknown:
			return unknown("%s", why)
		case kind != fabricManaged && kind != fabricRegister && version != "":
			return pass("Fabric Manager %s is installed and not needed here, which hurts nothing", version).from(from)
		case kind != fabricManaged && kind != fabricRegister:
			return skip("not needed: %s", why)
		case version == "" && !f.Host.Stack.Packages.Known():
			return unknown("%s", f.Host.Stack.Packages.Why())
		case version == "":
			if f.managerAlive() {
				return pass("Fabric Manager runs; no package of it is seen on the host")
			}
			if !f.seesProcesses() || f.mend.Image() != "" || f.mend.Family() == remedy.FamilyUnknown && len(f.Host.Stack.Packages.Value) == 0 {
				return unknown("no package of Fabric Manager is seen, and this host's packages do not tell: it comes another way, or from outside this container")
			}
			return warn("this is an NVSwitch system (%s), and no package of Fabric Manager is seen", why).fix(f.mend.FabricManager(f.loaded())...)
		case f.loaded() == "":
			return unknown("Fabric Manager %s is installed; the driver's version is not known", version)
		case version != f.loaded():
			return warn("Fabric Manager is %s, and the driver %s", version, f.loaded()).
				fix(f.mend.FabricManager(f.loaded())...).from(from, f.Host.Driver.Version.Source)
		}
		if other, ok := f.otherNSCQ(); ok {
			return other
		}
		if boot := f.Host.Stack.ManagerAtBoot; boot.Known() && !boot.Value {
			return warn("nvidia-fabricmanager is not enabled, and nobody starts it at the next boot").
				because("after it CUDA fails with 802 until somebody starts it", 802).fix("systemctl enable nvidia-fabricmanager").from(boot.Source)
		}
		return pass("%s, as the driver", version).from(from)
	},
}

// otherNSCQ warns of an NSCQ library of another version than the driver's. DCGM and others ask the NVSwitches through it;
// CUDA does not.
func (f Facts) otherNSCQ() (Result, bool) {
	parts := ofRole(f.mend.Parts(), remedy.RoleFabric)
	i := slices.IndexFunc(parts, func(p remedy.Part) bool {
		return strings.HasPrefix(p.Name, "libnvidia-nscq") && p.Driver != "" && p.Driver != f.loaded()
	})
	if i < 0 {
		return Result{}, false
	}
	name := parts[i].Name
	r := warn("%s is %s, and the driver %s", name, parts[i].Driver, f.loaded()).
		because("DCGM and other programs that ask the NVSwitches through it do not see the NVSwitches; CUDA works")
	if command, ok := f.mend.Install(f.loaded(), name); ok {
		return r.fix(command), true
	}
	return r.fix("install " + name + " of version " + f.loaded() + ", from where the driver comes from"), true
}

// managerInstalled is the version of Fabric Manager that is installed, by its package, else by its program's file.
func (f Facts) managerInstalled() (version, from string) {
	parts := ofRole(f.mend.Parts(), remedy.RoleFabric)
	i := slices.IndexFunc(parts, func(p remedy.Part) bool { return strings.Contains(p.Name, "fabric") && p.Driver != "" })
	if i >= 0 {
		return parts[i].Driver, parts[i].Name
	}
	if p, there := f.program("nv-fabricmanager"); there {
		return p.Version, p.Path
	}
	return "", ""
}
