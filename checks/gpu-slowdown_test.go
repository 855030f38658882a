package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func slowed(reasons uint64) func(*host.GPU) {
	return func(g *host.GPU) { g.Slowdown = known(reasons) }
}

func TestGPUSlowdown(t *testing.T) {
	testCheck(t, gpuSlowdown, []row{
		{"healthy", nil, "pass", ""},
		{"idle and capped is normal", everyGPU(slowed(0x1 | 0x2 | 0x4 | 0x10)), "pass", ""},
		{"too hot", gpuIs(6, slowed(0x40|0x08)), "warn", "6 (0000:77:00.0)|hardware slow-down and hardware thermal slow-down|0x48"},
		{"software thermal", everyGPU(slowed(0x20)), "warn", "software thermal"},
		{"power brake", everyGPU(slowed(0x80)), "warn", "power brake"},
		{"time-out", everyGPU(func(g *host.GPU) { g.Slowdown = missing[uint64]() }), "unknown", "time-out"},
		{"not resident", everyGPU(notAsked), "skip", "not asked"},
	})
}
