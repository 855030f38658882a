package checks

import "testing"

func TestModuleForNextKernel(t *testing.T) {
	testCheck(t, moduleForNextKernel, []row{
		{"healthy", nil, "pass", "no newer kernel"},
		{"a newer one with a module", func(f *Facts) { f.Host.Kernel = known("6.8.0-51-generic") }, "pass", "6.8.0-52-generic, which boots next"},
		{"a newer one without", and(func(f *Facts) { f.Host.Kernel = known("6.8.0-51-generic") }, noModuleFile), "warn", "6.8.0-52-generic|linux-modules-nvidia-570-server-open-6.8.0-52-generic|before the next reboot"},
		{"a newer one that cannot be booted", and(func(f *Facts) { f.Host.Kernel = known("6.8.0-51-generic"); f.Host.Stack.Kernels.Value[1].Image = false }, noModuleFile), "pass", ""},
		{"unread", func(f *Facts) { f.Host.Kernel = missing[string]() }, "unknown", "time-out"},
	})
}
