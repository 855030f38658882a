package checks

import (
	"fmt"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// maxPages is how many pages a GPU can retire before it is due for service: DCGM's limit is 63 (nvvs, software
// plugin), NVIDIA's document speaks of 60 and of 64 at most.
const maxPages = 63

// Before Ampere a page of memory with errors is retired for good, at the next reset or reload of the driver.
// https://docs.nvidia.com/deploy/dynamic-page-retirement/
var gpuRetiredPages = Check{
	ID:    "gpu-retired-pages",
	Title: "few memory pages of the GPUs asked for are retired, and none waits for it",
	Layer: Hardware,
	Why:   `new work starts, but what meets the page again ends in error 214, "uncorrectable ECC error encountered"`,
	CUDA:  []int{214},
	Links: []string{"https://docs.nvidia.com/deploy/dynamic-page-retirement/"},
	After: []string{"nvml-responds", "gpu-reachable"},
	Run: func(f Facts) Result {
		return eachGPU(f, func(g gpu) fact.Fact[host.Memory] { return g.Memory }, pagesOf,
			"no page waits to be retired",
			"reset the GPU when its work is done (nvidia-smi --gpu-reset); with 63 and more pages have it replaced")
	},
}

func pagesOf(_ gpu, m host.Memory) said {
	pages := m.Pages
	switch {
	case pages == nil:
		return said{StatusSkip, "does not retire pages"}
	case pages.SingleBit+pages.DoubleBit >= maxPages:
		return said{StatusWarn, fmt.Sprintf("has retired %d pages (%d and more count as too many)", pages.SingleBit+pages.DoubleBit, maxPages)}
	case pages.Pending:
		return said{StatusWarn, "has a memory page to be retired by the next reset"}
	}
	return said{StatusPass, ""}
}
