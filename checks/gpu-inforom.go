package checks

import (
	"fmt"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// The inforom is a GPU's own flash memory: its identity, and the counts of its errors. A corrupted one (NVML 14)
// loses those; CUDA runs. DCGM's diagnostic fails for it, its health watch warns.
// https://docs.nvidia.com/deploy/nvml-api/ (nvmlDeviceValidateInforom)
var gpuInforom = Check{
	ID:     "gpu-inforom",
	Title:  "the inforom of the GPUs is valid",
	Layer:  Hardware,
	Why:    "the GPU forgets its error counts and retired memory, so that its health can no longer be told",
	Links:  []string{"https://docs.nvidia.com/deploy/nvml-api/"},
	After:  []string{"nvml-responds", "gpu-reachable"},
	Doctor: true,
	Run: func(f Facts) Result {
		return eachGPU(f, func(g gpu) fact.Fact[int] { return g.Inforom }, inforomOf,
			"every inforom is valid",
			"reset the GPU or reboot the host; if it stays, have the GPU replaced")
	},
}

func inforomOf(_ gpu, code int) said {
	if code != host.NVMLSuccess {
		return said{StatusWarn, fmt.Sprintf("has a corrupted inforom (NVML code %d)", code)}
	}
	return said{StatusPass, ""}
}
