package checks

import (
	"slices"
	"strings"

	"gpu-preflight/checks/host"
)

// The kernel's own drivers (nouveau, nova) hold a GPU that NVIDIA's then cannot take: "No NVIDIA graphics adapter
// probed!". One of them may rightly hold a GPU for a display beside others that NVIDIA's serves, so that only all of
// them count.
// https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/ (disable nouveau)
var nouveauNotBound = Check{
	ID:    "nouveau-not-bound",
	Title: "the kernel's own driver (nouveau, nova) does not hold the GPUs",
	Layer: Kernel,
	Why:   `CUDA finds no driver: error 100, "no CUDA-capable device is detected"`,
	CUDA:  []int{100},
	Links: []string{"https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/"},
	Linux: true,
	Run: func(f Facts) Result {
		var held, others []string
		for _, p := range f.Host.PCI.Value {
			switch {
			case !strings.HasPrefix(p.Class, "03") || p.Virtual || p.Driver == "vfio-pci":
			case inKernel(p.Driver):
				held = append(held, p.Bus+" ("+p.Driver+")")
			default:
				others = append(others, p.Bus)
			}
		}
		init, count, served := f.Host.NVML.Init, f.Host.NVML.Count, slices.ContainsFunc(f.Host.NVML.GPUs, func(g host.GPU) bool { return g.Handle.Known() })
		switch {
		case !f.Host.PCI.Known():
			return unknown("%s", f.Host.PCI.Why())
		case len(held) == 0:
			return pass("no GPU is held by nouveau or nova").from(f.Host.PCI.Source)
		case len(others) > 0 || served:
			return pass("only GPU %s is held", list(held)).from(f.Host.PCI.Source)
		case !init.Known():
			return unknown("GPU %s is held; NVML: %s", list(held), init.Why())
		case init.Value == host.NVMLSuccess && !count.Known():
			return unknown("GPU %s is held; NVML: %s", list(held), count.Why())
		case init.Value == host.NVMLSuccess && count.Value > 0:
			return unknown("GPU %s is held, but NVML counts %d GPUs", list(held), count.Value)
		}
		r := fail("the kernel's own driver holds every GPU: %s", list(held)).
			fix(f.keepAway()).
			from(f.Host.PCI.Source, init.Source)
		r.Transient = f.justBooted() || f.driverContainer() // a driver container takes the GPUs over
		if f.Launch.GPUs.NVIDIAHook {
			return r.lowered() // nvidia-container-cli refuses with its own words
		}
		return r
	},
}

func inKernel(driver string) bool {
	return driver == "nouveau" || strings.HasPrefix(strings.ToLower(driver), "nova")
}

// keepAway is how the kernel's own driver is kept from the GPUs; a system that is one image has no initramfs to write.
func (f Facts) keepAway() string {
	if f.mend.Image() != "" {
		return "keep it away: module_blacklist=nouveau,nova_core on the kernel's command line, and boot an image that holds NVIDIA's driver"
	}
	return "keep it away: blacklist nouveau (and nova_core) in /etc/modprobe.d, write the initramfs again, reboot"
}
