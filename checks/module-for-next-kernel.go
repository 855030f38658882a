package checks

// The newest kernel that is installed is what boots next. Its module has to be there before the reboot.
var moduleForNextKernel = Check{
	ID:     "module-for-next-kernel",
	Title:  "there is a driver module for the kernel that boots next",
	Layer:  Kernel,
	Why:    "after the next reboot the driver could not be loaded, and CUDA would find no device",
	CUDA:   []int{100},
	Links:  []string{"https://documentation.ubuntu.com/server/how-to/graphics/install-nvidia-drivers/"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignStack(); why != "" {
			return skip("%s", why)
		}
		kernels := f.Host.Stack.Kernels
		if why := firstUnknown(f.Host.Kernel, kernels); why != "" {
			return unknown("%s", why)
		}
		next, newer := f.nextKernel()
		switch {
		case !newer:
			return pass("no newer kernel than %s is installed", f.Host.Kernel.Value).from(kernels.Source)
		case len(next.Modules) > 0:
			return pass("kernel %s, which boots next, has %s", next.Release, moduleWords(next.Modules[0])).from(kernels.Source)
		case f.loaded() == "" && f.elsewhereBuilt(next.Release) == "":
			return skip("no kernel has a module")
		}
		return warn("kernel %s is installed and boots next, and there is no nvidia module for it%s", next.Release, f.elsewhereBuilt(next.Release)).
			fix(f.mend.Module(next.Release)...).fix("do that before the next reboot").from(kernels.Source)
	},
}
