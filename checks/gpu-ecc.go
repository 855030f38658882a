package checks

import (
	"fmt"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// An uncorrectable memory error ends the program that met it; whether the GPU may go on is the recovery action's
// matter. The count is that since the driver was loaded. DCGM's health watch fails for it, Azure's check too.
// https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/
var gpuECC = Check{
	ID:    "gpu-ecc",
	Title: "no GPU asked for had an uncorrectable memory error since the driver was loaded",
	Layer: Hardware,
	Why:   `the program that meets such an error ends in error 214, "uncorrectable ECC error encountered"`,
	CUDA:  []int{214},
	Links: []string{"https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/"},
	After: []string{"nvml-responds", "gpu-reachable"},
	Run: func(f Facts) Result {
		return eachGPU(f, func(g gpu) fact.Fact[host.Memory] { return g.Memory }, eccOf,
			"no uncorrectable error since the driver was loaded",
			"read what the kernel says (dmesg, Xid 48, 63, 64, 94, 95), and reset the GPU when its work is done")
	},
}

func eccOf(_ gpu, m host.Memory) said {
	switch {
	case m.Uncorrected == nil:
		return said{StatusSkip, "has no ECC, or has it off"}
	case *m.Uncorrected > 0:
		return said{StatusWarn, fmt.Sprintf("had %d uncorrectable memory errors since the driver was loaded", *m.Uncorrected)}
	}
	return said{StatusPass, ""}
}
