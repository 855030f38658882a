package checks

import (
	"strings"

	"gpu-preflight/checks/host"
)

// The driver lists at least one GPU. "No devices were found" by nvidia-smi is CUDA's 100. A GPU may be on the
// PCI bus and still not be driven: fallen off the bus, held by nouveau or vfio, in need of the open modules.
var gpuPresent = Check{
	ID:    "gpu-present",
	Title: "the driver lists the GPUs asked for",
	Layer: Hardware,
	Why:   `CUDA would fail with error 100, "no CUDA-capable device is detected"`,
	CUDA:  []int{100},
	Links: []string{"https://docs.nvidia.com/deploy/xid-errors/"},
	After: []string{"driver-loaded", "driver-library-version", "nvml-responds", "kernel-module-flavor"},
	Linux: true,
	Run: func(f Facts) Result {
		count := f.Host.NVML.Count
		asked := f.asked()
		switch {
		case !count.Known():
			return unknown("%s", count.Why())
		case count.Value == 0:
			return noGPU(f)
		case len(asked.Unresolved) > 0:
			return unknown("no GPU of this host is known as %s", list(asked.Unresolved)).from(count.Source)
		case count.Value < f.driven():
			return warn("the driver holds %d GPUs on the PCI bus but lists %d", f.driven(), count.Value).
				fix("read what the kernel says of the missing GPU (dmesg)").from(count.Source, f.Host.PCI.Source)
		}
		return pass("the driver lists %d", count.Value).from(count.Source)
	},
}

func noGPU(f Facts) Result {
	var detail []string
	for _, p := range f.Host.PCI.Value {
		if !strings.HasPrefix(p.Class, "03") {
			continue
		}
		switch {
		case p.OffBus:
			detail = append(detail, "; GPU "+p.Bus+" has fallen off the bus")
		case p.Driver != "nvidia" && p.Driver != "":
			detail = append(detail, "; GPU "+p.Bus+" is held by "+p.Driver)
		}
	}
	r := fail("the driver %s is loaded but lists no GPU%s", f.driverName(), strings.Join(detail, "")).
		fix("read what the kernel says of the GPU (dmesg, lines of NVRM)").
		from(f.Host.NVML.Count.Source, f.Host.PCI.Source)
	r.Transient = f.justBooted()
	return r
}

// driven counts the GPUs on the PCI bus that are bound to the nvidia driver and not excluded from use.
func (f Facts) driven() int {
	n := 0
	for _, p := range f.Host.PCI.Value {
		if strings.HasPrefix(p.Class, "03") && p.Driver == "nvidia" && !p.Virtual && !f.excluded(p) {
			n++
		}
	}
	return n
}

func (f Facts) excluded(p host.PCIDevice) bool {
	for _, g := range f.Host.ProcGPUs.Value {
		if busID(g.Bus) == busID(p.Bus) {
			return g.Excluded
		}
	}
	return false
}

func list(words []string) string { return strings.Join(words, ", ") }
