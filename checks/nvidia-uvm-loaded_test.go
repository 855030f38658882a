package checks

import (
	"testing"

	"gpu-preflight/oci"
)

func noUVM(f *Facts) { f.Host.Majors = known(map[string]int{"nvidia": 195, "nvidiactl": 195}) }

func TestNVIDIAUVMLoaded(t *testing.T) {
	testCheck(t, nvidiaUVMLoaded, []row{
		{"healthy", nil, "pass", "511"},
		{"not loaded, and CUDA is wanted", and(noUVM, capabilities("compute")), "fail", "570.86.15 is loaded, but its module nvidia-uvm is not|modprobe nvidia-uvm|999"},
		{"not loaded, and the image names its CUDA", and(noUVM, env("CUDA_VERSION=12.2.0")), "fail", ""},
		{"not loaded, just booted", and(noUVM, capabilities("compute"), booted(60)), "fail transient", ""},
		{"a driver container loads it after the driver", and(noUVM, capabilities("compute"), driverRoot(driverContainerRoot)), "fail transient", ""},
		{"not loaded, and nobody says CUDA", noUVM, "warn", ""},
		{"not loaded, for a desktop", and(noUVM, capabilities("all")), "warn", ""},
		{"not loaded, and no container to look at", and(noUVM, env("CUDA_VERSION=12.2.0"), func(f *Facts) { f.Launch.Container = nil }), "warn", ""},
		{"NVIDIA's hook loads it", and(noUVM, capabilities("compute"), legacyHook), "skip", "loads it"},
		{"NVIDIA's runtime loads it", and(noUVM, capabilities("compute"), func(f *Facts) { f.Launch.GPUs.Route = oci.RouteJITCDI }), "skip", "loads it"},
		{"no CUDA asked for", and(noUVM, capabilities("video")), "skip", "NVIDIA_DRIVER_CAPABILITIES"},
		{"the driver is not loaded either", and(noUVM, capabilities("compute"), func(f *Facts) { f.Host.Driver.Version = known("") }), "unknown", ""},
		{"majors not read", func(f *Facts) { f.Host.Majors = missing[map[string]int]() }, "unknown", "time-out"},
		{"platform not known", and(noUVM, capabilities("compute"), func(f *Facts) { f.Host.Platform.DXG = missing[bool]() }), "unknown", ""},
		{"WSL has none", and(noUVM, wsl), "skip", "WSL2"},
		{"Tegra has none", and(noUVM, tegra), "skip", "Tegra"},
		{"an observer", and(noUVM, capabilities("compute"), observer), "warn", "only warned"},
	})
}
