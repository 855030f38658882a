package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

// noneListed is a host whose driver lists no GPU.
func noneListed(f *Facts) { f.Host.NVML.Count, f.Host.NVML.GPUs = known(0), nil }

func TestGPUPresent(t *testing.T) {
	testCheck(t, gpuPresent, []row{
		{"healthy", nil, "pass", "8"},
		{"none is listed", noneListed, "fail", "570.86.15|lists no GPU|100"},
		{"fallen off the bus", and(noneListed, offBus(2)), "fail", "0000:37:00.0 has fallen off the bus"},
		{"held by another driver", and(noneListed, func(f *Facts) { f.Host.PCI.Value[0].Driver = "vfio-pci" }), "fail", "held by vfio-pci"},
		{"within ten minutes of boot", and(noneListed, booted(599)), "fail transient", ""},
		{"ten minutes after boot", and(noneListed, booted(600)), "fail", ""},
		{"time of boot unknown", and(noneListed, func(f *Facts) { f.Host.Uptime = missing[float64]() }), "fail transient", ""},
		{"an observer", and(noneListed, observer), "warn", ""},
		{"one is missing", func(f *Facts) { f.Host.NVML.Count = known(7) }, "warn", "8|7"},
		{"one was excluded by the administrator", func(f *Facts) { f.Host.NVML.Count, f.Host.ProcGPUs.Value[7].Excluded = known(7), true }, "pass", ""},
		{"one is bound to vfio-pci", func(f *Facts) { f.Host.NVML.Count, f.Host.PCI.Value[7].Driver = known(7), "vfio-pci" }, "pass", ""},
		{"virtual functions are not counted", func(f *Facts) {
			f.Host.PCI.Value = append(f.Host.PCI.Value, host.PCIDevice{Bus: "0000:17:00.4", Class: "0302", Driver: "nvidia", Virtual: true})
		}, "pass", ""},
		{"a name that no GPU has", ask("0", "GPU-ffffffff"), "unknown", "GPU-ffffffff"},
		{"a name out of the image", ask("\x1b[31mé"), "unknown", `\x1b[31m\u00e9`},
		{"an index that no GPU has", ask("8"), "unknown", "8"},
		{"a MIG instance by name", and(ask("MIG-11111111-0000-4000-8000-000000000001"), gpuIs(2, func(g *host.GPU) {
			g.Instances = known([]host.MIGDevice{{UUID: "MIG-11111111-0000-4000-8000-000000000001", GI: 1}})
		})), "pass", ""},
		{"a MIG instance by the name of old drivers", ask("MIG-GPU-00000000-0000-4000-8000-000000000003/1/0"), "pass", ""},
		{"a MIG instance by index", ask("2:0"), "pass", ""},
		{"no NVML", noNVML, "unknown", "not read"},
		{"PCI unread", func(f *Facts) { f.Host.PCI = missing[[]host.PCIDevice]() }, "pass", ""},
		{"WSL", and(noneListed, wsl), "skip", ""},
		{"Tegra", and(noneListed, tegra), "skip", ""},
		{"no /proc/driver", and(noneListed, noProcDriver), "skip", ""},
	})
}
