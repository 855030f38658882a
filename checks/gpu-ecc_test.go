package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func uncorrected(n uint64) func(*host.GPU) {
	return func(g *host.GPU) { g.Memory = known(host.Memory{Uncorrected: &n}) }
}

func TestGPUECC(t *testing.T) {
	testCheck(t, gpuECC, []row{
		{"healthy", nil, "pass", ""},
		{"errors", gpuIs(5, uncorrected(2)), "warn", "5 (0000:67:00.0) had 2 uncorrectable|dmesg"},
		{"errors of a GPU not asked for", and(gpuIs(5, uncorrected(2)), ask("4")), "pass", ""},
		{"no ECC", everyGPU(noMemory), "skip", "has no ECC"},
		{"time-out", everyGPU(memoryLost), "unknown", "time-out"},
		{"not resident", everyGPU(notAsked), "skip", "not asked"},
	})
}
