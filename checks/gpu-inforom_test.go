package checks

import (
	"testing"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

func TestGPUInforom(t *testing.T) {
	testCheck(t, gpuInforom, []row{
		{"healthy", nil, "pass", ""},
		{"corrupted", gpuIs(1, func(g *host.GPU) { g.Inforom = known(14) }), "warn", "1 (0000:27:00.0) has a corrupted inforom|14"},
		{"not asked at a launch", everyGPU(func(g *host.GPU) { g.Inforom = fact.Fact[int]{} }), "unknown", "not read"},
		{"not resident", everyGPU(notAsked), "skip", "not asked"},
	})
}
