package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestModuleForRunningKernel(t *testing.T) {
	testCheck(t, moduleForRunningKernel, []row{
		{"healthy", nil, "pass", "open module 570.86.15|prebuilt"},
		{"gone after an update, and not loaded", and(noModule, kernelModules("6.8.0-52-generic")), "fail", "there is one for 6.8.0-51-generic|linux-modules-nvidia-570-server-open-6.8.0-52-generic|do not offer it"},
		{"the lists offer it", and(noModule, kernelModules("6.8.0-52-generic"), offer("linux-modules-nvidia-570-server-open-6.8.0-52-generic", "6.8.0-52.53+1")), "fail", "apt-get install linux-modules-nvidia-570-server-open-6.8.0-52-generic"},
		{"gone, and still loaded", kernelModules("6.8.0-52-generic"), "warn", "6.8.0-51-generic"},
		{"DKMS, without headers", and(noModule, dkmsHost, kernelModules("6.8.0-52-generic"), offer("linux-headers-6.8.0-52-generic", "6.8.0-52.53")), "fail", "apt-get install linux-headers-6.8.0-52-generic|dpkg-reconfigure nvidia-dkms-570"},
		{"the .run file", and(noModule, runfileHost, kernelModules("6.8.0-52-generic")), "fail", ".run installer again"},
		{"the .run file ended in an error", and(noModule, runfileHost, kernelModules("6.8.0-52-generic"), stack(func(s *host.Stack) { s.Installer.Value.Errors = []string{"Unable to build"} })), "fail", "installer ended with: Unable to build"},
		{"an image", and(noModule, kernelModules("6.8.0-52-generic"), func(f *Facts) { f.Host.OS.Value.ID = "talos" }), "fail", "Talos upgrades its driver"},
		{"another kernel runs than /lib/modules has", func(f *Facts) { f.Host.Kernel = known("6.9.0") }, "unknown", "no folder for kernel 6.9.0"},
		{"unread", stack(func(s *host.Stack) { s.Kernels = missing[[]host.Kernel]() }), "unknown", "time-out"},
		{"a driver container", func(f *Facts) { f.Host.NVML.Root = "/run/nvidia/driver" }, "skip", "driver container"},
	})
}
