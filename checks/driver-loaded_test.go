package checks

import (
	"testing"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
)

// noModule is a host whose module is not loaded, also after NVML was asked.
func noModule(f *Facts) {
	initCode(host.NVMLDriverNotLoaded)(f)
	f.Host.Driver.Version = known("")
}

func TestDriverLoaded(t *testing.T) {
	testCheck(t, driverLoaded, []row{
		{"healthy", nil, "pass", "570.86.15"},
		{"not loaded", noModule, "fail", "NVML code 9|6.8.0-52-generic|modprobe nvidia"},
		{"a system that is one image", and(noModule, func(f *Facts) { f.Host.OS = known(host.OS{ID: "bottlerocket"}) }), "fail", "boot an image that holds the driver's module: Bottlerocket"},
		{"not loaded, the module's file unread", and(noModule, func(f *Facts) { f.Host.Driver.Version = missing[string]() }), "unknown", "code 9|time-out"},
		{"not loaded, the platform unread: WSL has no module", and(noModule, func(f *Facts) { f.Host.Platform.DXG = missing[bool]() }), "unknown", "not known"},
		{"not loaded, the platform unread: Tegra has another", and(noModule, func(f *Facts) { f.Host.Platform.Tegra = missing[bool]() }), "unknown", "not known"},
		{"nouveau holds the GPU", and(noModule, func(f *Facts) { f.Host.PCI.Value[0].Driver = "nouveau" }), "fail", "nouveau holds GPU 0000:17:00.0"},
		{"just booted", and(noModule, booted(599)), "fail transient", ""},
		{"time of boot unknown", and(noModule, func(f *Facts) { f.Host.Uptime = missing[float64]() }), "fail transient", ""},
		{"a driver container that is not up, at any uptime", and(noModule, func(f *Facts) { f.Host.NVML.Root = "/run/nvidia/driver" }), "fail transient", ""},
		{"the launch uses the driver container", and(noModule, func(f *Facts) { f.Launch.GPUs.DriverRoot = "/run/nvidia/driver" }), "fail transient", ""},
		{"NVIDIA's own hook loads the modules", and(noModule, legacyHook), "warn", "NVIDIA's own hook"},
		{"nvidia-container-cli --load-kmods, started by another's hook (ctr, nerdctl)", and(noModule, route(oci.RouteLegacy)), "warn", "has to load it"},
		{"an observer", and(noModule, observer), "warn", ""},
		{"loaded, and NVML says that it is not", initCode(host.NVMLDriverNotLoaded), "warn", "570.86.15|code 9"},
		{"loaded, no NVML", noNVML, "pass", ""},
		{"not loaded, no NVML: modules are loaded on demand", and(noNVML, func(f *Facts) { f.Host.Driver.Version = known("") }), "unknown", "on demand"},
		{"not loaded, NVML may not be asked", and(initCode(host.NVMLNoPermission), func(f *Facts) { f.Host.Driver.Version = known("") }), "unknown", "code 4"},
		{"module unread, NVML answers", func(f *Facts) { f.Host.Driver.Version = missing[string]() }, "pass", "570.86.15"},
		{"loaded by NVML's init, after the file was read", func(f *Facts) { f.Host.Driver.Version = known("") }, "pass", ""},
		{"a mismatch means that one is loaded", and(initCode(host.NVMLLibRMMismatch), func(f *Facts) { f.Host.Driver.Version = missing[string]() }), "pass", ""},
		{"nothing read", and(noNVML, func(f *Facts) { f.Host.Driver.Version = missing[string]() }), "unknown", "time-out"},
		{"WSL", and(noModule, wsl), "skip", "WSL2"},
		{"WSL by the host", and(noModule, func(f *Facts) { f.Host.Platform.DXG = known(true) }), "skip", ""},
		{"Tegra", and(noModule, tegra), "skip", "Tegra"},
		{"a container host without /proc/driver", and(noModule, noProcDriver), "skip", "/proc/driver"},
	})
}
