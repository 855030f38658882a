package checks

import "gpu-preflight/oci"

// CUDA opens /dev/nvidia-uvm. The module nvidia-uvm is loaded on demand on the host (nvidia-modprobe, NVIDIA's own
// hook and runtime), never from inside a container, and NVML does not need it: nvidia-smi works without. So where the
// configuration is final and the kernel has no such driver, CUDA ends in 999.
// https://github.com/pytorch/pytorch/issues/49081, ggml-org/llama.cpp#7218; enroot warns
var nvidiaUVMLoaded = Check{
	ID:    "nvidia-uvm-loaded",
	Title: "the kernel module nvidia-uvm is loaded",
	Layer: Kernel,
	Why:   `CUDA would fail with error 999, "unknown error"`,
	CUDA:  []int{999},
	Links: []string{"https://github.com/pytorch/pytorch/issues/49081"},
	After: []string{"driver-loaded", "gpu-present"},
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		majors, want := f.Host.Majors, f.Launch.GPUs
		major, loaded := majors.Value["nvidia-uvm"]
		switch {
		case !f.wantsCompute():
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		case !majors.Known():
			return unknown("%s", majors.Why())
		case loaded:
			return pass("nvidia-uvm has the device number %d", major).from(majors.Source)
		case f.Host.Driver.Version.Value == "":
			return unknown("whether the driver itself is loaded is not known")
		case want.NVIDIAHook || want.Route != oci.RouteCDI && want.Route != oci.RouteDevices:
			return skip("NVIDIA's own hook or runtime loads it")
		case !f.linux():
			return unknown("whether this host needs nvidia-uvm is not known")
		}
		r := fail("the driver %s is loaded, but its module nvidia-uvm is not", f.driverName()).
			fix("load it on the host (modprobe nvidia-uvm), at each boot too (/etc/modules-load.d)").from(majors.Source)
		r.Transient = f.justBooted() || f.driverContainer() // which loads it after the driver
		if !f.declaresCUDA() || f.Launch.Container == nil {
			return r.lowered() // graphics and video do without it
		}
		return r
	},
}
