package checks

import (
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
		if len(asked.GPUs) == 0 {
			return unknown("no GPU is known: %s", f.Host.NVML.Count.Why())
		}
		var hurt []gpu
		var why []string
		answered, left := 0, ""
		for _, g := range asked.GPUs {
			trouble := f.trouble(g, len(asked.GPUs))
			switch {
			case trouble != "":
				hurt, why = append(hurt, g), append(why, trouble)
			case g.Handle.Known():
				answered++
			case g.NotAsked != "":
				left = g.NotAsked
			}
		}
		switch {
		case len(hurt) > 0:
			return asked.failIfNoneLeft(hurt, "GPU %s %s", names(hurt), strings.Join(distinct(why), ", ")).
				fix("reset the GPU, or reboot the host; if it comes back, look at power, riser and firmware").
				from(f.Host.PCI.Source, hurt[0].Handle.Source)
		case answered == 0 && left != "":
			return skip("not asked: %s", left)
		case answered < len(asked.GPUs) && left == "":
			return unknown("not every GPU answered in time")
		}
		return pass("%d of %d asked answer", answered, len(asked.GPUs))
	},
}

// trouble says what is wrong with a GPU, empty for nothing known. NVML's own init code counts only on a host
// with one GPU: with several it does not tell which.
func (f Facts) trouble(g gpu, count int) string {
	code := g.Handle
	if init := f.Host.NVML.Init; !code.Known() && count == 1 && init.Known() && init.Value != host.NVMLUnknown {
		code = init
	}
	if g.offBus {
		return "has fallen off the PCI bus (configuration reads ff)"
	}
	if !code.Known() {
		return ""
	}
	return map[int]string{
		host.NVMLNotFound:      "gives no handle (NVML code 6)",
		8:                      "lacks power on its external connectors (NVML code 8)",
		11:                     "gets no interrupts (NVML code 11)",
		host.NVMLGPUIsLost:     "is lost (NVML code 15, Xid 79)",
		host.NVMLResetRequired: "must be reset (NVML code 16)",
		host.NVMLUnknown:       "gives no handle (NVML code 999)",
	}[code.Value]
}

func distinct(words []string) []string {
	var out []string
	for _, w := range words {
		if len(out) == 0 || out[len(out)-1] != w {
			out = append(out, w)
		}
	}
	return out
}
