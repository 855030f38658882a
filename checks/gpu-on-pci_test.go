package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestGpuOnPCI(t *testing.T) {
	testCheck(t, gpuOnPCI, []row{
		{"healthy", nil, "pass", "8 GPUs and 4 NVSwitches|8 held by nvidia"},
		{"one GPU is held by nobody", func(f *Facts) { f.Host.PCI.Value[2].Driver = "" }, "warn", "no driver holds 1 of 8 GPUs on the PCI bus: 0000:37:00.0"},
		{"all held by nouveau", func(f *Facts) {
			for i := range f.Host.PCI.Value {
				f.Host.PCI.Value[i].Driver = "nouveau"
			}
		}, "pass", "held by nouveau"},
		{"no GPU", func(f *Facts) { f.Host.PCI = known([]host.PCIDevice{}) }, "skip", "no GPU"},
		{"unread", func(f *Facts) { f.Host.PCI = missing[[]host.PCIDevice]() }, "unknown", "time-out"},
		{"WSL", wsl, "skip", "WSL2"},
	})
}
