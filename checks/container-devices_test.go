package checks

import (
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/oci"
)

func without(node string) change {
	return func(f *Facts) {
		devices := slices.Clone(f.Launch.Container.Devices)
		f.Launch.Container.Devices = slices.DeleteFunc(devices, func(d specs.LinuxDevice) bool { return d.Path == node })
	}
}

func node(path string, major int64) change {
	return and(without(path), func(f *Facts) {
		f.Launch.Container.Devices = append(f.Launch.Container.Devices, specs.LinuxDevice{Path: path, Type: "c", Major: major})
	})
}

func mounted(source, destination string) change {
	return func(f *Facts) {
		f.Launch.Container.Mounts = append(f.Launch.Container.Mounts, specs.Mount{Source: source, Destination: destination})
	}
}

func migCap(minor int) change {
	return func(f *Facts) { f.Launch.GPUs.MIGCaps = []int{minor} }
}

func route(r oci.Route) change { return func(f *Facts) { f.Launch.GPUs.Route = r } }

func TestContainerDevices(t *testing.T) {
	const uvm, ctl = "/dev/nvidia-uvm", "/dev/nvidiactl"
	cudaImage := env("CUDA_VERSION=12.8.0")
	testCheck(t, containerDevices, []row{
		{"healthy", nil, "pass", ""},
		{"no nvidia-uvm, and the image says CUDA", and(without(uvm), cudaImage), "fail", uvm + "|999"},
		{"no nvidiactl, compute is asked for", and(without(ctl), capabilities("compute")), "fail", ctl},
		{"neither, a requirement is declared", and(without(ctl), without(uvm), requires("cuda>=12.0")), "fail", ctl + ", " + uvm},
		{"no nvidia-uvm: graphics and video work", without(uvm), "warn", uvm},
		{"all capabilities: a desktop's graphics ask for them too", and(without(uvm), capabilities("all")), "warn", uvm},
		{"libraries alone: no GPU was given", and(func(f *Facts) { f.Launch.Container.Devices = nil }, cudaImage), "warn", "no GPU"},
		{"an observer", and(without(uvm), cudaImage, observer), "warn", ""},
		{"without compute", and(without(uvm), cudaImage, capabilities("graphics", "video")), "skip", "NVIDIA_DRIVER_CAPABILITIES"},
		{"an old major of nvidia-uvm", node(uvm, 510), "fail", uvm + "|510|511|nvidia-ctk cdi generate"},
		{"an old major of nvidia-uvm, without compute", and(node(uvm, 510), capabilities("utility")), "skip", ""},
		{"a wrong major of a GPU", node("/dev/nvidia3", 196), "fail", "196|195"},
		{"an old major of nvidia-caps, a MIG instance is asked for", and(node("/dev/nvidia-caps/nvidia-cap21", 235), migCap(21)), "fail", "235|236"},
		{"an old major of nvidia-caps, whole GPUs are asked for", node("/dev/nvidia-caps/nvidia-cap1", 235), "warn", "235|236|MIG"},
		{"it hides no missing node", and(node("/dev/nvidia-caps/nvidia-cap1", 235), without(uvm), cudaImage), "fail", uvm},
		{"a worse node after it", and(node("/dev/nvidia-caps/nvidia-cap1", 235), node(uvm, 510)), "fail", uvm + "|510"},
		{"a node without its number: the engine fills it in", node(uvm, 0), "pass", ""},
		{"an IMEX channel has a major of its own", node("/dev/nvidia-caps-imex-channels/channel0", 234), "pass", ""},
		{"a node that is not NVIDIA's", node("/dev/fuse", 10), "pass", ""},
		{"nvidia-uvm is not loaded yet", func(f *Facts) { f.Host.Majors = known(map[string]int{"nvidia": 195}) }, "pass", ""},
		{"device numbers unread", func(f *Facts) { f.Host.Majors = missing[map[string]int]() }, "unknown", "time-out"},
		{"nodes as mounts (rootless)", and(without(ctl), without(uvm), mounted(ctl, ctl), mounted(uvm, uvm), cudaImage), "pass", ""},
		{"the host's /dev is mounted", and(without(uvm), mounted("/dev", "/dev"), cudaImage), "skip", "/dev"},
		{"a /dev from another place of the host", and(without(uvm), mounted("/srv/chroot/dev", "/dev"), cudaImage), "skip", "/dev"},
		{"a fresh /dev is no host's", and(without(uvm), mounted("tmpfs", "/dev"), cudaImage), "fail", ""},
		{"nodes alone", and(without(uvm), route(oci.RouteDevices), cudaImage), "fail", ""},
		{"just-in-time CDI puts them in later", and(without(uvm), route(oci.RouteJITCDI), cudaImage), "skip", ""},
		{"NVIDIA's hook puts them in later", and(without(uvm), legacyHook, cudaImage), "skip", ""},
		{"no configuration", func(f *Facts) { f.Launch.Container = nil }, "skip", ""},
		{"WSL", and(without(uvm), without(ctl), wsl, cudaImage), "skip", ""},
		{"Tegra", and(without(uvm), tegra, cudaImage), "skip", ""},
		{"no /proc/driver", and(without(uvm), noProcDriver, cudaImage), "skip", ""},
		{"whether it is Tegra is not known", and(without(uvm), cudaImage, func(f *Facts) { f.Host.Platform.Tegra = missing[bool]() }), "unknown", ""},
	})
}
