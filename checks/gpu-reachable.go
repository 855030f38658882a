package checks

import (
	"slices"
	"strings"

	"gpu-preflight/checks/host"
)

// A GPU that has fallen off the bus (Xid 79, NVML 15), waits for a reset (16), lacks power (8), an interrupt
// (11) or gives no handle (6, 999) takes no work. all means what works: it fails only when none is left.
// https://docs.nvidia.com/deploy/xid-errors/
var gpuReachable = Check{
	ID:    "gpu-reachable",
	Title: "the GPUs asked for answer",
	Layer: Hardware,
	Why:   "the driver starts no work on such a GPU: CUDA error 46, 100 or 999",
	CUDA:  []int{46, 100, 999},
	Links: []string{"https://docs.nvidia.com/deploy/xid-errors/"},
	After: []string{"driver-loaded", "driver-library-version", "gpu-present"},
	Run: func(f Facts) Result {
		asked := f.asked()
		var hurt, answered, left, silent []gpu
		var why []string
		for _, g := range asked.GPUs {
			trouble := f.trouble(g)
			switch {
			case trouble != "":
				hurt = append(hurt, g)
				if !slices.Contains(why, trouble) {
					why = append(why, trouble)
				}
			case g.Handle.Known() && g.Handle.Value == host.NVMLSuccess:
				answered = append(answered, g)
			case g.NotAsked != "":
				left = append(left, g)
			default:
				silent = append(silent, g)
			}
		}
		switch {
		case len(hurt) > 0:
			return asked.failIfNoneLeft(hurt, "GPU %s %s", names(hurt), strings.Join(why, ", ")).
				fix("reset the GPU, or reboot the host; if it comes back, look at power, riser and firmware").
				from(f.Host.PCI.Source, hurt[0].Handle.Source)
		case len(asked.GPUs) == 0:
			return unknown("none of the GPUs asked for is known")
		case len(silent) > 0:
			return unknown("GPU %s gave no answer that says whether it works", names(silent))
		case len(answered) == 0:
			return skip("not asked: %s", left[0].NotAsked)
		}
		return pass("%d of %d asked answer", len(answered), len(asked.GPUs))
	},
}

// troubles are NVML's codes for a GPU that takes no work; other codes say nothing of the GPU.
var troubles = map[int]string{
	host.NVMLNotFound:      "gives no handle (NVML code 6)",
	8:                      "lacks power on its external connectors (NVML code 8)",
	11:                     "gets no interrupts (NVML code 11)",
	host.NVMLGPUIsLost:     "is lost (NVML code 15, Xid 79)",
	host.NVMLResetRequired: "must be reset (NVML code 16)",
	host.NVMLUnknown:       "gives no handle (NVML code 999)",
}

// trouble says what is wrong with a GPU, empty for nothing known. NVML's own init code counts only on a host
// with one GPU, with several it does not tell which; and 999 says too little there.
func (f Facts) trouble(g gpu) string {
	init := f.Host.NVML.Init
	switch {
	case g.offBus:
		return "has fallen off the PCI bus (configuration reads ff)"
	case g.Handle.Known():
		return troubles[g.Handle.Value]
	case init.Known() && init.Value != host.NVMLUnknown && g.served() && served(f.gpus()) == 1 && f.knowsEveryGPU():
		return troubles[init.Value]
	}
	return ""
}
