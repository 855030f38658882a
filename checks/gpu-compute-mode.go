package checks

import (
	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// An administrator may forbid CUDA on a GPU (compute mode PROHIBITED) or give it to one process at a time. MPS wants
// the latter, its clients share its server's process.
// https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html (nvmlComputeMode_t)
var gpuComputeMode = Check{
	ID:    "gpu-compute-mode",
	Title: "the GPUs asked for admit CUDA (compute mode)",
	Layer: Hardware,
	Why:   `CUDA would fail with error 46, "CUDA-capable device(s) is/are busy or unavailable"`,
	CUDA:  []int{46},
	Links: []string{"https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html"},
	After: []string{"nvml-responds", "gpu-reachable"},
	Run: func(f Facts) Result {
		if !f.wantsCompute() {
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		}
		return eachGPU(f, func(g gpu) fact.Fact[host.Compute] { return g.Compute }, computeOf,
			"every GPU asked for admits CUDA",
			"set the compute mode of the GPU back (nvidia-smi -c DEFAULT), or wait for the process that holds it")
	},
}

// computeOf judges one GPU. On a MIG GPU programs use instances, and what the mode of the whole means there is not
// documented: it only warns.
func computeOf(g gpu, c host.Compute) said {
	switch {
	case c.Mode == host.ComputeProhibited && g.MIG.Known() && !g.MIG.Value.Current:
		return said{StatusFail, "admits no CUDA (compute mode PROHIBITED)"}
	case c.Mode == host.ComputeProhibited:
		return said{StatusWarn, "admits no CUDA (compute mode PROHIBITED), as far as that holds for MIG instances"}
	case c.Mode == host.ComputeExclusiveProcess && c.Processes > 0 && !c.MPS:
		return said{StatusWarn, "admits one process (compute mode EXCLUSIVE_PROCESS), and one uses it now"}
	}
	return said{StatusPass, ""}
}
