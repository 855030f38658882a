package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func pages(single, double uint64, pending bool) func(*host.GPU) {
	return func(g *host.GPU) {
		g.Memory = known(host.Memory{Pages: &host.PageRetirement{SingleBit: single, DoubleBit: double, Pending: pending}})
	}
}

func TestGPURetiredPages(t *testing.T) {
	testCheck(t, gpuRetiredPages, []row{
		{"Ampere and later do not", nil, "skip", "does not retire"},
		{"none", everyGPU(pages(0, 0, false)), "pass", ""},
		{"62", everyGPU(pages(30, 32, false)), "pass", ""},
		{"63", and(gpuIs(4, pages(31, 32, false)), ask("4")), "warn", "63 pages|4 (0000:57:00.0)"},
		{"pending", everyGPU(pages(1, 0, true)), "warn", "next reset"},
		{"time-out", everyGPU(memoryLost), "unknown", "time-out"},
		{"not resident", everyGPU(notAsked), "skip", "not asked"},
	})
}
