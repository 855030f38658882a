package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func rows(uncorrectable uint64, pending, failed bool) func(*host.GPU) {
	return func(g *host.GPU) {
		g.Memory = known(host.Memory{Rows: &host.RowRemapping{Uncorrectable: uncorrectable, Pending: pending, Failed: failed}})
	}
}

func noMemory(g *host.GPU) { g.Memory = known(host.Memory{}) }

func memoryLost(g *host.GPU) { g.Memory = missing[host.Memory]() }

func TestGPURowRemapping(t *testing.T) {
	testCheck(t, gpuRowRemapping, []row{
		{"healthy", nil, "pass", ""},
		{"some rows remapped", everyGPU(rows(511, false, false)), "pass", ""},
		{"pending", gpuIs(2, rows(1, true, false)), "warn", "2 (0000:37:00.0)|next reset"},
		{"failed", everyGPU(rows(3, true, true)), "warn", "could not be remapped|7 (0000:87:00.0)"},
		{"too many", and(gpuIs(1, rows(512, false, false)), ask("1")), "warn", "512 rows"},
		{"a GPU not asked for", and(gpuIs(1, rows(3, true, true)), ask("0")), "pass", ""},
		{"a GPU that cannot", everyGPU(noMemory), "skip", "does not remap"},
		{"time-out", everyGPU(memoryLost), "unknown", "time-out"},
		{"not resident", everyGPU(notAsked), "skip", "not asked"},
	})
}
