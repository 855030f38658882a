package checks

import "slices"

// HGX B200 and B300 reach their switches through InfiniBand management: Fabric Manager and nvlsm need mlx5_ib and
// ib_umad, which Ubuntu keeps in linux-modules-extra. Without them they take the host for an older system.
var nvlink5Modules = Check{
	ID:     "nvlink5-modules",
	Title:  "the InfiniBand modules that B200 and B300 need are loaded",
	Layer:  FabricSys,
	Why:    "Fabric Manager does not find the switches, the GPUs stay unregistered, and CUDA fails with 802",
	CUDA:   []int{802},
	Links:  []string{"https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/", "https://github.com/siderolabs/extensions"},
	Doctor: true,
	Run: func(f Facts) Result {
		if len(f.gpus()) == 0 && !f.Host.ProcGPUs.Known() && !f.Host.NVML.Count.Known() {
			return unknown("%s", f.Host.ProcGPUs.Why())
		}
		if !f.blackwellBoard() {
			return skip("no HGX B200 or B300")
		}
		modules := f.Host.Stack.Modules
		if !modules.Known() {
			return unknown("%s", modules.Why())
		}
		var missing []string
		for _, name := range []string{"mlx5_ib", "ib_umad"} {
			if !slices.Contains(modules.Value, name) {
				missing = append(missing, name)
			}
		}
		if len(missing) == 0 {
			return pass("mlx5_ib and ib_umad are loaded").from(modules.Source)
		}
		r := warn("not loaded: %s", few(missing))
		if command, ok := f.mend.Install("", "linux-modules-extra-"+f.Host.Kernel.Value); ok {
			r = r.fix(command)
		}
		return r.fix("modprobe " + missing[len(missing)-1] + ", and name it in /etc/modules-load.d; then restart Fabric Manager").from(modules.Source)
	},
}
