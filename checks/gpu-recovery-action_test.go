package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func recovery(action int) func(*host.GPU) {
	return func(g *host.GPU) { g.Recovery = known(action) }
}

func TestGPURecoveryAction(t *testing.T) {
	testCheck(t, gpuRecoveryAction, []row{
		{"healthy", nil, "pass", "waits for anything"},
		{"the GPU asked for must be reset", and(gpuIs(3, recovery(host.RecoveryReset)), ask("3")), "fail", "3 (0000:47:00.0) must be reset|action 1|nvidia-smi --gpu-reset"},
		{"the host must be rebooted", everyGPU(recovery(host.RecoveryReboot)), "fail", "waits for a reboot of the host"},
		{"all means what works", gpuIs(3, recovery(host.RecoveryReset)), "warn", "0000:47:00.0"},
		{"a GPU not asked for", and(gpuIs(3, recovery(host.RecoveryReset)), ask("1")), "pass", ""},
		{"less memory, and new work starts", everyGPU(recovery(host.RecoveryDrainReset)), "warn", "runs with less memory"},
		{"drain of peer traffic", everyGPU(recovery(host.RecoveryDrainP2P)), "warn", "peer-to-peer"},
		{"IMEX", everyGPU(recovery(host.RecoveryIMEX)), "warn", "IMEX"},
		{"named by the newest header only", and(gpuIs(0, recovery(host.RecoveryBusReset)), gpuIs(1, recovery(host.RecoverySystemReboot))), "warn", "PCIe bus|reboot of the system|; GPU 1"},
		{"unknown to this program", everyGPU(recovery(42)), "warn", "not known here|42"},
		{"a driver that does not tell", everyGPU(recovery(host.RecoveryNotTold)), "skip", "does not tell"},
		{"some tell", gpuIs(0, recovery(host.RecoveryNotTold)), "pass", ""},
		{"time-out", everyGPU(func(g *host.GPU) { g.Recovery = missing[int]() }), "unknown", "time-out"},
		{"one GPU lost: gpu-reachable's matter", gpuIs(0, handle(host.NVMLGPUIsLost)), "pass", ""},
		{"all lost", everyGPU(handle(host.NVMLGPUIsLost)), "skip", "gives no handle"},
		{"not resident", everyGPU(notAsked), "skip", "not asked"},
		{"no NVML", and(noNVML, gpus(0, t4)), "unknown", ""},
		{"an observer", and(everyGPU(recovery(host.RecoveryReset)), observer), "warn", "only warned"},
	})
}
