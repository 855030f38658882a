package checks

// Fabric Manager serves only a driver of its own version, to the last digit, and stops with "fabric manager
// NVIDIA GPU driver interface version X don't match with driver version Y" (gpu-operator#544). The file may be
// newer than the daemon that serves, so a difference explains a failure and never is one.
var fabricManagerVersion = Check{
	ID:    "fabric-manager-version",
	Title: "Fabric Manager has the driver's version",
	Layer: FabricSys,
	Why:   "Fabric Manager stops when its version is not the driver's, and CUDA fails with error 802",
	CUDA:  []int{802},
	Links: []string{"https://github.com/NVIDIA/gpu-operator/issues/544"},
	After: []string{"driver-loaded"},
	Run: func(f Facts) Result {
		kind, why := f.fabric()
		manager, driver := f.Host.Fabric.Manager, f.Host.Driver.Version
		switch {
		case kind == fabricUnknown:
			return unknown("%s", why)
		case kind != fabricManaged && kind != fabricRegister && kind != fabricShared:
			return skip("%s", why)
		case !manager.Known():
			return unknown("%s", manager.Why())
		case len(manager.Value) == 0:
			return skip("needs a running nv-fabricmanager")
		case manager.Value[0].Version == "":
			return unknown("the version of nv-fabricmanager could not be read")
		case !driver.Known() || driver.Value == "":
			return unknown("the driver's version is not known")
		case manager.Value[0].Version != driver.Value:
			return warn("nv-fabricmanager is %s, but the driver is %s", manager.Value[0].Version, driver.Value).
				fix("install Fabric Manager "+driver.Value+" on this host").from(manager.Source, driver.Source)
		}
		return pass("nv-fabricmanager and the driver are %s", driver.Value).from(manager.Source, driver.Source)
	},
}
