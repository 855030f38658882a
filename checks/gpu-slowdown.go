package checks

import (
	"fmt"
	"strings"

	"gpu-preflight/checks/fact"
)

// slowdowns are the bits of nvml.h, nvmlClocksEventReason…, that heat or power sets; the others (idle, an
// application's clocks, the power cap of normal work) are no trouble.
var slowdowns = []struct {
	bit  uint64
	name string
}{
	{0x08, "hardware slow-down"},
	{0x20, "software thermal slow-down"},
	{0x40, "hardware thermal slow-down"},
	{0x80, "power brake"},
}

// A GPU that is too hot, or short of power, runs slower and still runs. It is a state of this moment.
// https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html
var gpuSlowdown = Check{
	ID:     "gpu-slowdown",
	Title:  "neither heat nor power slows the GPUs down",
	Layer:  Hardware,
	Why:    "CUDA runs, at a fraction of the GPU's speed",
	Links:  []string{"https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html"},
	After:  []string{"nvml-responds", "gpu-reachable"},
	Doctor: true,
	Run: func(f Facts) Result {
		return eachGPU(f, func(g gpu) fact.Fact[uint64] { return g.Slowdown }, slowdownOf,
			"no GPU is slowed down by heat or power",
			"look at cooling and power: fans, air flow, power cables, the power supplies' state")
	},
}

func slowdownOf(_ gpu, reasons uint64) said {
	var held []string
	for _, s := range slowdowns {
		if reasons&s.bit != 0 {
			held = append(held, s.name)
		}
	}
	if len(held) > 0 {
		return said{StatusWarn, fmt.Sprintf("is held down by %s (clock event reasons %#x)", strings.Join(held, " and "), reasons)}
	}
	return said{StatusPass, ""}
}
