package checks

import (
	"fmt"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// manyRows is how many rows remapped for uncorrectable errors DCGM takes for too many (nvvs, software plugin).
const manyRows = 512

// From Ampere on a row of memory with an error is replaced by a spare one at the next reset. Until then new work
// starts all the same; a row that cannot be replaced means that the GPU is due for service (NVIDIA's RMA rule), not
// that CUDA stops. DCGM, gpud and Azure's health checks are stricter, and so may a policy be.
// https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/
var gpuRowRemapping = Check{
	ID:    "gpu-row-remapping",
	Title: "every memory row of the GPUs asked for is sound or remapped",
	Layer: Hardware,
	Why:   `new work starts, but what meets the row again ends in error 214, "uncorrectable ECC error encountered"`,
	CUDA:  []int{214},
	Links: []string{"https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/"},
	After: []string{"nvml-responds", "gpu-reachable"},
	Run: func(f Facts) Result {
		return eachGPU(f, func(g gpu) fact.Fact[host.Memory] { return g.Memory }, rowsOf,
			"every row is sound or remapped",
			"reset the GPU when its work is done (nvidia-smi --gpu-reset); where a remapping failed, run NVIDIA's field diagnostic and have the GPU replaced")
	},
}

func rowsOf(_ gpu, m host.Memory) said {
	switch rows := m.Rows; {
	case rows == nil:
		return said{StatusSkip, "does not remap rows"}
	case rows.Failed:
		return said{StatusWarn, "has a memory row that could not be remapped"}
	case rows.Uncorrectable >= manyRows:
		return said{StatusWarn, fmt.Sprintf("has %d rows remapped for uncorrectable errors (%d and more count as too many)", rows.Uncorrectable, manyRows)}
	case rows.Pending:
		return said{StatusWarn, "has a memory row to be remapped by the next reset"}
	}
	return said{StatusPass, ""}
}
