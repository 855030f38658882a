package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

// bound gives all GPUs to a driver of the kernel's own.
func bound(driver string) change {
	return func(f *Facts) {
		for i := range f.Host.PCI.Value {
			if f.Host.PCI.Value[i].Class != "0680" {
				f.Host.PCI.Value[i].Driver = driver
			}
		}
	}
}

func TestNouveauNotBound(t *testing.T) {
	testCheck(t, nouveauNotBound, []row{
		{"healthy", nil, "pass", "no GPU is held"},
		{"every GPU, and no driver", and(bound("nouveau"), initCode(host.NVMLDriverNotLoaded)), "fail", "0000:17:00.0 (nouveau)|blacklist nouveau"},
		{"nova", and(bound("nova_core"), initCode(host.NVMLDriverNotLoaded)), "fail", "(nova_core)"},
		{"the driver is loaded and lists none", and(bound("nouveau"), func(f *Facts) { f.Host.NVML.GPUs, f.Host.NVML.Count = nil, known(0) }), "fail", ""},
		{"on a system that is one image", and(bound("nouveau"), initCode(host.NVMLDriverNotLoaded), func(f *Facts) { f.Host.OS = known(host.OS{ID: "flatcar"}) }), "fail", "module_blacklist=nouveau"},
		{"just booted", and(bound("nouveau"), initCode(host.NVMLDriverNotLoaded), booted(60)), "fail transient", ""},
		{"a driver container will take them over", and(bound("nouveau"), initCode(host.NVMLDriverNotLoaded), func(f *Facts) { f.Host.NVML.Root = driverContainerRoot }), "fail transient", ""},
		{"NVIDIA's hook has its own words", and(bound("nouveau"), initCode(host.NVMLDriverNotLoaded), legacyHook), "warn", ""},
		{"one of eight, for the display", nouveau(7), "pass", "0000:87:00.0 (nouveau)"},
		{"NVML answers all the same", bound("nouveau"), "pass", ""},
		{"NVML counts GPUs", and(bound("nouveau"), func(f *Facts) { f.Host.NVML.GPUs = nil }), "unknown", "NVML counts 8"},
		{"NVML answers, and its count is not read", and(bound("nouveau"), func(f *Facts) { f.Host.NVML.GPUs, f.Host.NVML.Count = nil, missing[int]() }), "unknown", "time-out"},
		{"the platform is not known", and(bound("nouveau"), initCode(host.NVMLDriverNotLoaded), func(f *Facts) { f.Host.Platform.DXG = missing[bool]() }), "unknown", "nouveau"},
		{"vfio beside it is no GPU of this host", and(bound("nouveau"), initCode(host.NVMLDriverNotLoaded), func(f *Facts) { f.Host.PCI.Value[0].Driver = "vfio-pci" }), "fail", ""},
		{"no NVML", and(bound("nouveau"), noNVML), "unknown", "time-out"},
		{"PCI not read", func(f *Facts) { f.Host.PCI = missing[[]host.PCIDevice]() }, "unknown", "time-out"},
		{"WSL", wsl, "skip", "WSL2"},
		{"an observer", and(bound("nouveau"), initCode(host.NVMLDriverNotLoaded), observer), "warn", "only warned"},
	})
}
