package checks

// The module is tied to one kernel. After a kernel update there may be none for the kernel that runs: the commonest
// way to lose a GPU (unattended upgrades). Where no module file is there and none is loaded, no CUDA can work.
var moduleForRunningKernel = Check{
	ID:     "module-for-running-kernel",
	Title:  "there is a driver module for the kernel that runs",
	Layer:  Kernel,
	Why:    "without its module the driver cannot be loaded: CUDA finds no device",
	CUDA:   []int{100},
	Links:  []string{"https://documentation.ubuntu.com/server/how-to/graphics/install-nvidia-drivers/", "https://github.com/dell/dkms"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignStack(); why != "" {
			return skip("%s", why)
		}
		release, kernels := f.Host.Kernel, f.Host.Stack.Kernels
		if why := firstUnknown(release, kernels); why != "" {
			return unknown("%s", why)
		}
		k, there := f.kernelFolder(release.Value)
		switch {
		case !there:
			return unknown("/lib/modules has no folder for kernel %s: it cannot be seen from here", release.Value)
		case len(k.Modules) > 0:
			m := k.Modules[0]
			return pass("%s for kernel %s (%s)", moduleWords(m), release.Value, originWords(f.originOf(k, m))).from(kernels.Source)
		}
		what := "there is no nvidia module for the kernel that runs, " + release.Value + f.elsewhereBuilt(release.Value)
		if errors := f.Host.Stack.Installer.Value.Errors; len(errors) > 0 {
			what += "; NVIDIA's installer ended with: " + errors[0]
		}
		fixes := f.mend.Module(release.Value)
		if f.surelyNotLoaded() {
			return fail("%s", what).fix(fixes...).from(kernels.Source, f.Host.NVML.Init.Source)
		}
		return warn("%s", what).fix(fixes...).from(kernels.Source)
	},
}
