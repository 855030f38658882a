package checks

import (
	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
)

// Without the kernel module nothing of CUDA works: torch says "Found no NVIDIA driver on your system", NVML
// code 9. The module may be loaded on demand (nvidia-modprobe, NVML's own init, nvidia-container-cli
// --load-kmods), so only what NVML said after it was asked counts.
// https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html (nvmlReturn_t)
var driverLoaded = Check{
	ID:    "driver-loaded",
	Title: "the NVIDIA kernel module is loaded",
	Layer: Kernel,
	Why:   `CUDA finds no driver: error 100, "no CUDA-capable device is detected"`,
	CUDA:  []int{100, 3},
	Links: []string{"https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html"},
	After: []string{"nouveau-not-bound"},
	Linux: true,
	Run: func(f Facts) Result {
		version, init := f.Host.Driver.Version, f.Host.NVML.Init
		loaded := version.Known() && version.Value != ""
		switch {
		case init.Known() && init.Value == host.NVMLDriverNotLoaded:
			return notLoaded(f, loaded)
		case loaded:
			return pass("driver %s is loaded", version.Value).from(version.Source)
		case init.Known() && (init.Value == host.NVMLSuccess || init.Value == host.NVMLLibRMMismatch):
			return pass("NVML answers: driver %s is loaded", f.driverName()).from(init.Source)
		case version.Known() && init.Known():
			return unknown("no NVIDIA kernel module is loaded yet; whether it loads on demand is not known (NVML code %d)", init.Value)
		case version.Known():
			return unknown("no NVIDIA kernel module is loaded yet; whether it loads on demand is not known (NVML: %s)", init.Why())
		}
		return unknown("%s", version.Why())
	},
}

func notLoaded(f Facts, loaded bool) Result {
	init := f.Host.NVML.Init
	switch {
	case !f.Host.Driver.Version.Known():
		return unknown("NVML says that no driver is loaded (code 9); the kernel's own word is not known: %s", f.Host.Driver.Version.Why())
	case loaded:
		return warn("driver %s is loaded, but NVML says that no driver is (code 9)", f.Host.Driver.Version.Value).
			fix("look whether /dev/nvidiactl is there and readable on the host").from(f.Host.Driver.Version.Source, init.Source)
	case f.Launch.GPUs.NVIDIAHook || f.Launch.GPUs.Route == oci.RouteLegacy:
		// nvidia-container-cli loads the modules itself, or refuses with its own words; ctr and nerdctl start it by
		// a hook of their own, with --load-kmods.
		return warn("no NVIDIA kernel module is loaded (NVML code 9); NVIDIA's own hook has to load it").
			fix("load the module on the host (modprobe nvidia) and read what the kernel says (dmesg)").from(init.Source)
	}
	r := fail("no NVIDIA kernel module is loaded on this host (NVML code 9, driver not loaded)%s", f.whoHoldsGPUs()).
		fix("load the module on the host (modprobe nvidia) and read what the kernel says (dmesg)",
			firstKnown(f.mend.Restore(f.Host.Kernel.Value), "install the driver's module for the running kernel"+inParentheses(f.Host.Kernel.Value))).
		from(init.Source, f.Host.Driver.Version.Source)
	r.Transient = f.justBooted() || f.driverContainer()
	return r
}

// driverContainerRoot is where the GPU operator's driver container shows its root file system.
const driverContainerRoot = "/run/nvidia/driver"

// driverContainer tells whether the driver of this launch comes from a driver container, which may take any time.
func (f Facts) driverContainer() bool {
	return f.Host.NVML.Root == driverContainerRoot || f.driverRoot() == driverContainerRoot
}

// whoHoldsGPUs names another kernel driver that holds the GPUs, the usual cause.
func (f Facts) whoHoldsGPUs() string {
	for _, g := range f.gpus() {
		if g.driver != "" && g.driver != "nvidia" {
			return ": " + g.driver + " holds GPU " + g.String()
		}
	}
	return ""
}

func inParentheses(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
