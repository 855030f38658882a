package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestPersistenceMode(t *testing.T) {
	testCheck(t, persistenceMode, []row{
		{"healthy", nil, "pass", ""},
		{"off", everyGPU(func(g *host.GPU) { g.Persistence = known(false) }), "warn", "persistence mode is off|nvidia-persistenced"},
		{"time-out", everyGPU(func(g *host.GPU) { g.Persistence = missing[bool]() }), "unknown", "time-out"},
		{"WSL", wsl, "skip", "WSL2"},
		{"Tegra", tegra, "skip", "Tegra"},
	})
}
