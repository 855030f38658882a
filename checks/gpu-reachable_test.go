package checks

import (
	"slices"
	"testing"

	"gpu-preflight/checks/host"
)

// handle makes a GPU answer with an NVML code.
func handle(code int) func(*host.GPU) {
	return func(g *host.GPU) {
		*g = host.GPU{Bus: g.Bus, Index: g.Index, Minor: g.Minor, UUID: g.UUID, Handle: known(code)}
	}
}

func offBus(i int) change { return func(f *Facts) { f.Host.PCI.Value[i].OffBus = true } }

func excluded(i int) change {
	return func(f *Facts) {
		f.Host.ProcGPUs.Value[i].Excluded = true
		f.Host.NVML.GPUs[i] = host.GPU{Bus: f.Host.NVML.GPUs[i].Bus, NotAsked: "excluded"}
		f.Host.NVML.Count = known(len(f.Host.NVML.GPUs) - 1)
	}
}

// nouveau holds the last GPU of a host.
func nouveau(last int) change {
	return func(f *Facts) {
		f.Host.PCI.Value[last].Driver = "nouveau"
		f.Host.ProcGPUs.Value, f.Host.NVML.GPUs = f.Host.ProcGPUs.Value[:last], f.Host.NVML.GPUs[:last]
		f.Host.NVML.Count = known(last)
	}
}

// answeredOnly is a host of which only NVML's first answers came in time.
func answeredOnly(count int) change {
	return func(f *Facts) {
		f.Host.PCI, f.Host.ProcGPUs = missing[[]host.PCIDevice](), missing[[]host.ProcGPU]()
		f.Host.NVML.GPUs = f.Host.NVML.GPUs[:count]
	}
}

// unbound takes a GPU of the host from its driver.
func unbound(i int) change {
	return func(f *Facts) {
		f.Host.PCI.Value[i].Driver = ""
		f.Host.ProcGPUs.Value = slices.Delete(f.Host.ProcGPUs.Value, i, i+1)
		f.Host.NVML.GPUs = slices.Delete(f.Host.NVML.GPUs, i, i+1)
		f.Host.NVML.Count = known(len(f.Host.NVML.GPUs))
	}
}

func TestGPUReachable(t *testing.T) {
	one := gpus(1, t4)
	testCheck(t, gpuReachable, []row{
		{"healthy", nil, "pass", "8 of 8"},
		{"the GPU asked for is lost", and(gpuIs(3, handle(host.NVMLGPUIsLost)), ask("3")), "fail", "3 (0000:47:00.0)|NVML code 15|Xid 79"},
		{"must be reset", and(gpuIs(3, handle(host.NVMLResetRequired)), askNodes(3)), "fail", "must be reset|16"},
		{"no power", and(gpuIs(0, handle(8)), ask("0")), "fail", "power"},
		{"no interrupts", and(gpuIs(0, handle(11)), ask("0")), "fail", "interrupts"},
		{"no handle", and(gpuIs(0, handle(host.NVMLNotFound)), ask("0")), "fail", "code 6"},
		{"no handle, unknown error", and(gpuIs(0, handle(host.NVMLUnknown)), ask("0")), "fail", "999"},
		{"off the bus by its configuration", and(offBus(2), ask("2")), "fail", "fallen off the PCI bus"},
		{"a GPU not asked for is lost", and(gpuIs(3, handle(host.NVMLGPUIsLost)), ask("1")), "pass", "1 of 1"},
		{"all means what works", gpuIs(3, handle(host.NVMLGPUIsLost)), "warn", "0000:47:00.0"},
		{"nodes that cover every GPU count as all", and(gpuIs(3, handle(host.NVMLGPUIsLost)), askNodes(0, 1, 2, 3, 4, 5, 6, 7)), "warn", ""},
		{"all, and none works", everyGPU(handle(host.NVMLResetRequired)), "fail", "7 (0000:87:00.0) must be reset"},
		{"two asked, one lost", and(gpuIs(1, handle(host.NVMLGPUIsLost)), ask("0", "1")), "fail", ""},
		{"by the beginning of a UUID", and(gpuIs(1, handle(host.NVMLGPUIsLost)), ask("GPU-00000000-0000-4000-8000-000000000002")), "fail", ""},
		{"an observer", and(everyGPU(handle(host.NVMLGPUIsLost)), observer), "warn", "only warned: the program is nvidia-smi"},
		{"init says lost, one GPU", and(one, initCode(host.NVMLGPUIsLost)), "fail", "15"},
		{"init says lost, several GPUs: which one is not told", and(initCode(host.NVMLGPUIsLost), ask("GPU-00000000-0000-4000-8000-000000000003")), "unknown", ""},
		{"init says 999, one GPU", and(one, initCode(host.NVMLUnknown)), "unknown", ""},
		{"a handle of code 4 says nothing of the GPU", and(gpuIs(0, handle(host.NVMLNoPermission)), ask("0")), "unknown", "0 (0000:17:00.0)"},
		{"no GPU answered in time", everyGPU(silent), "unknown", "0000:17:00.0"},
		{"one GPU did not answer in time", gpuIs(5, silent), "unknown", "0000:67:00.0"},
		{"one silent, the rest not resident", and(everyGPU(notAsked), gpuIs(5, silent)), "unknown", ""},
		{"none is resident", everyGPU(notAsked), "skip", "not asked"},
		{"some are not resident", gpuIs(5, notAsked), "pass", "7 of 8"},
		{"one hurt, the rest not resident", and(everyGPU(notAsked), gpuIs(5, handle(host.NVMLGPUIsLost))), "warn", ""},
		{"a name that no GPU has", ask("GPU-ffffffff"), "unknown", ""},
		{"no NVML", noNVML, "unknown", ""},
		{"a vfio GPU is not the driver's", func(f *Facts) {
			f.Host.PCI.Value[7].Driver = "vfio-pci"
			f.Host.ProcGPUs.Value = f.Host.ProcGPUs.Value[:7]
			f.Host.NVML.GPUs = f.Host.NVML.GPUs[:7]
		}, "pass", "7 of 7"},
		{"all, and the only one left over is excluded by the administrator", and(everyGPU(handle(host.NVMLGPUIsLost)), excluded(7)), "fail", "0 (0000:17:00.0)"},
		{"nodes that cover every GPU but the excluded one count as all", and(gpuIs(3, handle(host.NVMLGPUIsLost)), excluded(7), askNodes(0, 1, 2, 3, 4, 5, 6)), "warn", ""},
		{"all, and the only one left over is nouveau's", and(everyGPU(handle(host.NVMLGPUIsLost)), nouveau(7)), "fail", ""},
		{"a GPU that is not resident, by its index", and(everyGPU(notAsked), ask("3")), "skip", "not asked"},
		{"a GPU that is not resident and off the bus, by its index", and(everyGPU(notAsked), offBus(3), ask("3")), "fail", "0000:47:00.0"},
		{"indexes where NVML lists fewer: nobody can tell", and(everyGPU(notAsked), offBus(3), ask("3"), func(f *Facts) { f.Host.NVML.Count = known(7) }), "unknown", ""},
		// A list of GPUs that was not read to its end.
		{"all, and of eight only a lost one answered in time", and(gpuIs(0, handle(host.NVMLGPUIsLost)), answeredOnly(1)), "warn", "0 (0000:17:00.0)"},
		{"all, one lost, and how many there are is not known", and(gpuIs(0, handle(host.NVMLGPUIsLost)), answeredOnly(1), func(f *Facts) { f.Host.NVML.Count = missing[int]() }), "warn", ""},
		{"all, and the only one is lost", and(gpus(1, t4), gpuIs(0, handle(host.NVMLGPUIsLost)), answeredOnly(1)), "fail", ""},
		{"nodes that may cover every GPU count as all", and(gpuIs(0, handle(host.NVMLGPUIsLost)), answeredOnly(1), askNodes(0, 1, 2, 3, 4, 5, 6, 7)), "warn", ""},
		{"two nodes of eight GPUs, and the other's GPU did not answer", and(gpuIs(0, handle(host.NVMLGPUIsLost)), askNodes(0, 1), answeredOnly(3)), "fail", ""},
		{"one node is one GPU, however many there are", and(gpuIs(0, handle(host.NVMLGPUIsLost)), answeredOnly(1), askNodes(0)), "fail", ""},
		{"init says lost, and whether there is one GPU is not known", and(one, initCode(host.NVMLGPUIsLost), func(f *Facts) {
			f.Host.PCI, f.Host.ProcGPUs = missing[[]host.PCIDevice](), missing[[]host.ProcGPU]()
			f.Host.NVML.GPUs = []host.GPU{{Bus: "0000:17:00.0", Handle: missing[int]()}}
		}), "unknown", ""},
		// A GPU that no driver holds is no GPU that works.
		{"all, and the only one left over is held by no driver", and(everyGPU(handle(host.NVMLGPUIsLost)), unbound(7)), "fail", ""},
		{"init says lost, one GPU beside one that no driver holds", and(gpus(2, t4), unbound(1), initCode(host.NVMLGPUIsLost), ask("GPU-00000000-0000-4000-8000-000000000001")), "fail", "15"},
		{"an index counts what a driver holds", and(unbound(0), func(f *Facts) {
			f.Host.NVML.GPUs[0] = host.GPU{Bus: f.Host.NVML.GPUs[0].Bus, Handle: known(host.NVMLGPUIsLost)}
		}, ask("0")), "fail", "0 (0000:27:00.0)"},
		{"-1 is no index", and(everyGPU(func(g *host.GPU) { handle(host.NVMLGPUIsLost)(g); g.Index = missing[int]() }), ask("-1"), func(f *Facts) { f.Host.NVML.Count = missing[int]() }), "unknown", ""},
		{"a virtual function is no GPU of its own", func(f *Facts) {
			f.Host.PCI.Value = append(f.Host.PCI.Value, host.PCIDevice{Bus: "0000:17:00.4", Class: "0302", Virtual: true})
		}, "pass", "8 of 8"},
	})
}
