package checks

import "gpu-preflight/checks/host"

// NVML answers nvmlInit. Its other codes are judged where they belong: 9 by driver-loaded, 18 by
// driver-library-version, 4 and 12 are unknown (the caller may lack the right or the library), 15, 16 and 999
// count for the GPU that shows them. A time-out is unknown, never a failure.
// https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html (nvmlReturn_t)
var nvmlResponds = Check{
	ID:    "nvml-responds",
	Title: "the driver answers NVML",
	Layer: Libraries,
	Why:   "CUDA talks to the same driver and may fail as NVML does",
	CUDA:  []int{999},
	Links: []string{"https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html"},
	After: []string{"driver-loaded", "driver-library-version"},
	Run: func(f Facts) Result {
		init := f.Host.NVML.Init
		if !init.Known() {
			return unknown("%s", init.Why())
		}
		switch init.Value {
		case host.NVMLSuccess:
			return pass("NVML answers").from(init.Source)
		case host.NVMLNoPermission:
			return unknown("NVML refuses us (code 4, no permission)").from(init.Source)
		case host.NVMLLibraryNotFound:
			return unknown("NVML could not be loaded (code 12)").from(init.Source)
		case host.NVMLTimeout:
			return unknown("NVML timed out (code 10)").from(init.Source)
		case host.NVMLNotReady:
			r := fail("NVML is not ready (code 27)").fix("wait until the driver has come up").from(init.Source)
			r.Transient = true
			return r
		}
		return warn("NVML answers nvmlInit with code %d", init.Value).
			fix("run nvidia-smi on the host and read what the kernel says (dmesg)").from(init.Source)
	},
}
