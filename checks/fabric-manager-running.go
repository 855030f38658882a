package checks

// On Volta and Ampere systems with NVSwitch nothing but Fabric Manager sets up the switches: without it CUDA
// waits for ever with 802, for one GPU as for eight, MIG or not (huggingface/huggingface_hub#4128,
// Azure/AgentBaker#1269). From Hopper on NVML's state decides (fabric-state), and a dead daemon only warns.
// https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/
var fabricManagerRunning = Check{
	ID:    "fabric-manager-running",
	Title: "Fabric Manager runs where NVSwitches need it",
	Layer: FabricSys,
	Why:   `CUDA would fail with error 802, "system not yet initialized"`,
	CUDA:  []int{802},
	Links: []string{"https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/"},
	After: []string{"driver-loaded", "driver-library-version", "gpu-present"},
	Run: func(f Facts) Result {
		kind, why := f.fabric()
		manager := f.Host.Fabric.Manager
		switch {
		case !f.wantsCompute():
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		case kind == fabricUnknown:
			return unknown("%s", why)
		case kind == fabricShared:
			return warn("%s", why).fix("see that a partition with these GPUs is activated")
		case kind != fabricManaged && kind != fabricRegister:
			return skip("%s", why)
		case !manager.Known():
			return unknown("%s", manager.Why())
		case len(manager.Value) > 0:
			return pass("nv-fabricmanager runs (pid %d)", manager.Value[0].PID).from(manager.Source)
		case !f.seesProcesses():
			return unknown("no nv-fabricmanager is seen, but the host's processes cannot be seen from here")
		case kind == fabricRegister:
			return managerLatched(f, why)
		}
		r := fail("this host has NVSwitches (%s), but nv-fabricmanager does not run", why).
			fix(f.startManager()).
			from(f.Host.Fabric.Switches.Source, manager.Source)
		r.Transient, r.LookAgain = f.justBooted(), !f.justBooted()
		return r
	},
}

// managerLatched warns of a dead daemon where the GPUs may still be registered: NVML's "completed" stays after
// Fabric Manager has died (NVSentinel ADR-050: seen for 20 days).
func managerLatched(f Facts, system string) Result {
	return warn("nv-fabricmanager does not run on this host (%s)", system).
		because("the GPUs' registration stays as it was when the daemon died, and a GPU that is reset will not come back", 802).
		fix(f.startManager())
}
