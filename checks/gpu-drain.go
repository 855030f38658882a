package checks

import "gpu-preflight/checks/fact"

// A GPU that an administrator drains takes no new programs: new ones no longer see it. Maintenance is planned and
// ends, so that it warns; where the GPU gives no handle any more gpu-reachable says the rest.
// https://docs.nvidia.com/deploy/nvml-api/group__nvmlZPI.html (nvmlDeviceQueryDrainState)
var gpuDrain = Check{
	ID:    "gpu-drain",
	Title: "no GPU asked for is being drained",
	Layer: Hardware,
	Why:   `new programs do not see a GPU that is being drained: error 100, "no CUDA-capable device is detected"`,
	CUDA:  []int{100},
	Links: []string{"https://docs.nvidia.com/deploy/nvml-api/group__nvmlZPI.html"},
	After: []string{"nvml-responds"},
	Run: func(f Facts) Result {
		return eachGPU(f, func(g gpu) fact.Fact[bool] { return g.Draining }, func(_ gpu, on bool) said {
			if on {
				return said{StatusWarn, "is being drained"}
			}
			return said{StatusPass, ""}
		}, "no GPU asked for is being drained", "wait for the maintenance to end, or end it (nvidia-smi drain -p BUS -m 0)")
	},
}
