package checks

import (
	"strconv"
	"strings"

	"gpu-preflight/checks/host"
)

// The open kernel modules drive Turing and later only. From Blackwell on, and on Grace Hopper, there are no others:
// the proprietary ones load, and list no GPU ("requires use of the NVIDIA open kernel modules"). A GPU that NVML
// lists is driven, whatever its number.
// https://developer.nvidia.com/blog/nvidia-transitions-fully-towards-open-source-gpu-kernel-modules/
// https://github.com/NVIDIA/open-gpu-kernel-modules#compatible-gpus (Turing begins at 1E02)
var kernelModuleFlavor = Check{
	ID:    "kernel-module-flavor",
	Title: "the kernel modules are of the kind that the GPUs need (open, proprietary)",
	Layer: Kernel,
	Why:   `the driver leaves such a GPU alone: error 100, "no CUDA-capable device is detected"`,
	CUDA:  []int{100},
	Links: []string{
		"https://developer.nvidia.com/blog/nvidia-transitions-fully-towards-open-source-gpu-kernel-modules/",
		"https://github.com/NVIDIA/open-gpu-kernel-modules#compatible-gpus",
	},
	After: []string{"driver-loaded", "driver-library-version", "nvml-responds"},
	Linux: true,
	Run: func(f Facts) Result {
		flavor, asked := f.Host.Driver.Flavor, f.asked()
		var wrong, silent, unserved []gpu
		for _, g := range asked.GPUs {
			if f.listed(g) {
				continue
			}
			unserved = append(unserved, g)
			switch needed := g.neededFlavor(); {
			case needed == "" || !flavor.Known() || needed == flavor.Value:
			case f.mayBeListed(g):
				silent = append(silent, g)
			default:
				wrong = append(wrong, g)
			}
		}
		switch {
		case len(asked.GPUs) == 0:
			return unknown("none of the GPUs asked for is known")
		case len(unserved) == 0:
			return pass("the driver lists the GPUs asked for")
		case !flavor.Known():
			return unknown("%s", flavor.Why())
		case len(wrong) > 0:
		case !f.Host.PCI.Known():
			return unknown("%s", f.Host.PCI.Why())
		case len(silent) > 0:
			return unknown("whether the driver lists GPU %s is not known: %s", names(silent), firstUnknown(f.Host.NVML.Count, silent[0].Handle))
		default:
			return pass("nothing is known against the %s modules for these GPUs", flavor.Value).from(flavor.Source)
		}
		return asked.failIfNoneLeft(wrong, "GPU %s (PCI id %s) needs the %s kernel modules, but the %s ones are loaded",
			names(wrong), wrong[0].device, wrong[0].neededFlavor(), flavor.Value).
			fix(f.installFlavor(wrong[0].neededFlavor())).from(flavor.Source, f.Host.PCI.Source)
	},
}

// listed tells whether the driver serves a GPU, or may: one that was left alone counts as served unless the driver
// lists none at all.
func (f Facts) listed(g gpu) bool {
	count := f.Host.NVML.Count
	if count.Known() && count.Value == 0 {
		return false
	}
	return g.Handle.Known() && g.Handle.Value == host.NVMLSuccess || g.NotAsked != ""
}

// mayBeListed tells whether a GPU that has not answered may be one of those that the driver lists.
func (f Facts) mayBeListed(g gpu) bool {
	count, answered := f.Host.NVML.Count, 0
	for _, other := range f.Host.NVML.GPUs {
		if other.Handle.Known() || other.NotAsked != "" {
			answered++
		}
	}
	return !count.Known() || !g.Handle.Known() && answered < count.Value
}

// neededFlavor is the only kind of kernel modules that drives a GPU, by its PCI device id; empty where both do, or
// where the id tells nothing.
func (g gpu) neededFlavor() string {
	const turing, blackwell = 0x1e00, 0x2900
	id, err := strconv.ParseUint(g.device, 16, 16)
	switch {
	case err != nil:
		return ""
	case id < turing:
		return "proprietary"
	case id >= blackwell || strings.HasPrefix(g.device, "234"): // 2342 to 2348: GH200
		return "open"
	}
	return ""
}

func (f Facts) installFlavor(needed string) string {
	switch words := f.mend.Image(); {
	case words != "":
		return "boot an image whose driver has the " + needed + " kernel modules: " + words
	case needed == "open":
		return "install the open kernel modules of the same driver version" + inParentheses(f.loaded()) +
			": the packages with -open in their name, or the runfile with -M open"
	}
	return "install the proprietary kernel modules: branch 580 is the last that drives Maxwell, Pascal and Volta, 470 the last for Kepler"
}
