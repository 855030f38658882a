package checks

// The switches of HGX B200 and B300 are not on PCI: nvlsm, NVLink's subnet manager, sets them up over the modules
// ib_umad and mlx5_core, and Fabric Manager waits for it. NVML's state decides (fabric-state); this names the cause.
// https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/ (NVLink 5); awslabs/amazon-eks-ami, siderolabs
var nvlsmRunning = Check{
	ID:    "nvlsm-running",
	Title: "nvlsm runs where HGX B200 and B300 need it",
	Layer: FabricSys,
	Why:   `GPUs that are reset will not come back, and those not registered yet never are: error 802, "system not yet initialized"`,
	CUDA:  []int{802},
	Links: []string{"https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/"},
	After: []string{"driver-loaded", "driver-library-version", "gpu-present"},
	Run: func(f Facts) Result {
		kind, why := f.fabric()
		fabric := f.Host.Fabric
		switch {
		case kind == fabricUnknown:
			return unknown("%s", why)
		case kind != fabricRegister:
			return skip("%s", why)
		case !fabric.Switches.Known():
			return unknown("%s", fabric.Switches.Why())
		case fabric.Switches.Value > 0:
			return skip("the switches are on PCI, and Fabric Manager alone serves them")
		case !fabric.SubnetManager.Known():
			return unknown("%s", fabric.SubnetManager.Why())
		case len(fabric.SubnetManager.Value) > 0:
			return pass("nvlsm runs (pid %d)", fabric.SubnetManager.Value[0].PID).from(fabric.SubnetManager.Source)
		case !f.seesProcesses():
			return unknown("no nvlsm is seen, but the host's processes cannot be seen from here")
		case len(fabric.Manager.Value) == 0:
			return skip("needs a running nv-fabricmanager, which starts it")
		}
		return warn("nv-fabricmanager runs (pid %d) without nvlsm", fabric.Manager.Value[0].PID).
			fix("load ib_umad and mlx5_core, install nvlsm, then systemctl restart nvidia-fabricmanager").
			from(fabric.SubnetManager.Source, fabric.Manager.Source)
	},
}
