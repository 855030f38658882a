package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

// and2 makes two changes of one GPU.
func and2(first, second func(*host.GPU)) func(*host.GPU) {
	return func(g *host.GPU) { first(g); second(g) }
}

func TestGPUDrain(t *testing.T) {
	testCheck(t, gpuDrain, []row{
		{"healthy", nil, "pass", ""},
		{"draining", gpuIs(7, func(g *host.GPU) { g.Draining = known(true) }), "warn", "7 (0000:87:00.0) is being drained"},
		{"draining, and without a handle", gpuIs(7, and2(handle(host.NVMLNotFound), func(g *host.GPU) { g.Draining = known(true) })), "warn", "is being drained"},
		{"a GPU not asked for", and(gpuIs(7, func(g *host.GPU) { g.Draining = known(true) }), ask("0")), "pass", ""},
		{"time-out", everyGPU(func(g *host.GPU) { g.Draining = missing[bool]() }), "unknown", "time-out"},
		{"not resident", everyGPU(notAsked), "skip", "not asked"},
	})
}
