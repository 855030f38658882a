package checks

import (
	"fmt"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// After a fault the driver says what a GPU waits for (Xid 154 logs each change). A GPU that must be reset, or whose
// host must be rebooted, takes no new work until then. "Drain and reset" is another thing: the GPU goes on with less
// memory, and new programs start. Draining peer traffic, an IMEX domain, and the actions that only driver 615's
// header names (bus reset 6, system reboot 7) are doubts.
// https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/error-recovery-and-response-flags.html
// nvml.h, nvmlDeviceGpuRecoveryAction_t; DCGM's diagnostic fails for every action but none.
var gpuRecoveryAction = Check{
	ID:    "gpu-recovery-action",
	Title: "no GPU asked for waits for a reset or a reboot",
	Layer: Hardware,
	Why:   `the driver starts no work on a GPU that must be reset first: error 46, "CUDA-capable device(s) is/are busy or unavailable"`,
	CUDA:  []int{46},
	Links: []string{"https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/error-recovery-and-response-flags.html"},
	After: []string{"nvml-responds", "gpu-reachable"},
	Run: func(f Facts) Result {
		return eachGPU(f, func(g gpu) fact.Fact[int] { return g.Recovery }, recoveryOf,
			"no GPU asked for waits for anything",
			"stop what uses the GPU and reset it (nvidia-smi --gpu-reset), or reboot the host where that is asked for")
	},
}

func recoveryOf(_ gpu, action int) said {
	words, known := map[int]string{
		host.RecoveryReset:        "must be reset",
		host.RecoveryReboot:       "waits for a reboot of the host",
		host.RecoveryDrainP2P:     "must be drained of peer-to-peer work",
		host.RecoveryDrainReset:   "runs with less memory until it is drained and reset",
		host.RecoveryIMEX:         "waits for its IMEX domain to recover",
		host.RecoveryBusReset:     "waits for a reset of its PCIe bus",
		host.RecoverySystemReboot: "waits for a reboot of the system",
	}[action]
	switch {
	case action == host.RecoveryNone:
		return said{StatusPass, ""}
	case action == host.RecoveryNotTold:
		return said{StatusSkip, "does not tell (driver 570 and later do, on some GPUs)"}
	case !known:
		words = "waits for something that is not known here"
	}
	status := StatusWarn
	if action == host.RecoveryReset || action == host.RecoveryReboot {
		status = StatusFail
	}
	return said{status, fmt.Sprintf("%s (NVML recovery action %d)", words, action)}
}
