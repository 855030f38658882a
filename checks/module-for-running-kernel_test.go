package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestModuleForRunningKernel(t *testing.T) {
	testCheck(t, moduleForRunningKernel, []row{
		{"healthy", nil, "pass", "open module 570.86.15|prebuilt"},
		{"gone after an update, and not loaded", and(noModule, noModuleFile), "fail", "there is one for 6.8.0-51-generic|linux-modules-nvidia-570-server-open-6.8.0-52-generic|do not offer it"},
		{"the lists offer it", and(noModule, noModuleFile, offer("linux-modules-nvidia-570-server-open-6.8.0-52-generic", "6.8.0-52.53+1")), "fail", "apt-get install linux-modules-nvidia-570-server-open-6.8.0-52-generic"},
		{"gone, and still loaded", noModuleFile, "warn", "6.8.0-51-generic"},
		{"DKMS, without headers", and(noModule, dkmsHost, noModuleFile, offer("linux-headers-6.8.0-52-generic", "6.8.0-52.53")), "fail", "apt-get install linux-headers-6.8.0-52-generic|dpkg-reconfigure nvidia-dkms-570"},
		{"the .run file", and(noModule, runfileHost, noModuleFile), "fail", ".run installer again"},
		{"the .run file ended in an error", and(noModule, runfileHost, noModuleFile, stack(func(s *host.Stack) { s.Installer.Value.Errors = []string{"Unable to build"} })), "fail", "installer ended with: Unable to build"},
		{"an image", and(noModule, noModuleFile, func(f *Facts) { f.Host.OS.Value.ID = "talos" }), "fail", "Talos upgrades its driver"},
		{"another kernel runs than /lib/modules has", func(f *Facts) { f.Host.Kernel = known("6.9.0") }, "unknown", "no folder for kernel 6.9.0"},
		{"unread", stack(func(s *host.Stack) { s.Kernels = missing[[]host.Kernel]() }), "unknown", "time-out"},
		{"a driver container", func(f *Facts) { f.Host.NVML.Root = "/run/nvidia/driver" }, "skip", "driver container"},
	})
}
