package checks

import "strings"

// Two modules for one kernel: modprobe takes the one of the folder that depmod puts first, and an upgrade renews only
// one of them.
var moduleOrigin = Check{
	ID:     "module-origin",
	Title:  "the driver's module comes from one place",
	Layer:  Kernel,
	Why:    "which of them is loaded is decided by depmod's order, and an upgrade renews only one: libraries and module part",
	CUDA:   []int{803},
	Links:  []string{"https://man7.org/linux/man-pages/man5/depmod.d.5.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignStack(); why != "" {
			return skip("%s", why)
		}
		kernels, installer := f.Host.Stack.Kernels, f.Host.Stack.Installer
		if why := firstUnknown(kernels, installer); why != "" {
			return unknown("%s", why)
		}
		for _, k := range kernels.Value {
			if len(k.Modules) < 2 {
				continue
			}
			var paths []string
			for _, m := range k.Modules {
				paths = append(paths, m.Path)
			}
			return warn("kernel %s has %d nvidia modules: %s", k.Release, len(paths), strings.Join(paths, ", ")).
				fix("keep one way of installing the module and remove what the other left").from(kernels.Source)
		}
		packaged := len(f.mend.Parts()) > 0
		if installer.Value.Uninstaller && packaged {
			return warn("NVIDIA's .run file was run here and never taken out, beside the driver's packages%s", inParentheses(installer.Value.Version)).
				fix("nvidia-uninstall, then install the driver's packages again").from(installer.Source)
		}
		return pass("%s", originWords(f.mend.ModuleOrigin())).from(kernels.Source)
	},
}
