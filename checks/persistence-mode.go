package checks

import "gpu-preflight/checks/fact"

// Without persistence the driver lets go of a GPU when its last program ends and sets it up again for the next one:
// 1 to 3 s a GPU at each start. It never stops CUDA.
// https://docs.nvidia.com/deploy/driver-persistence/
var persistenceMode = Check{
	ID:     "persistence-mode",
	Title:  "the driver keeps the GPUs initialised (persistence mode)",
	Layer:  Kernel,
	Why:    "each first program on a GPU waits 1 to 3 s for it, and a launch does not look at a GPU that is not initialised",
	Links:  []string{"https://docs.nvidia.com/deploy/driver-persistence/"},
	After:  []string{"nvml-responds", "gpu-reachable"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		return eachGPU(f, func(g gpu) fact.Fact[bool] { return g.Persistence }, func(_ gpu, on bool) said {
			if !on {
				return said{StatusWarn, "is let go of when its last program ends (persistence mode is off)"}
			}
			return said{StatusPass, ""}
		}, "persistence mode is on", "start nvidia-persistenced (systemctl enable --now nvidia-persistenced)")
	},
}
