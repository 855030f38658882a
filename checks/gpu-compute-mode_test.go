package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func mode(c host.Compute) func(*host.GPU) { return func(g *host.GPU) { g.Compute = known(c) } }

func TestGPUComputeMode(t *testing.T) {
	testCheck(t, gpuComputeMode, []row{
		{"healthy", nil, "pass", ""},
		{"prohibited", and(gpuIs(0, mode(host.Compute{Mode: 2})), ask("0")), "fail", "0 (0000:17:00.0) admits no CUDA|PROHIBITED|nvidia-smi -c DEFAULT|46"},
		{"all prohibited", everyGPU(mode(host.Compute{Mode: 2})), "fail", "PROHIBITED"},
		{"all means what works", gpuIs(0, mode(host.Compute{Mode: 2})), "warn", "0 (0000:17:00.0)"},
		{"prohibited on a MIG GPU: not documented", and(everyGPU(mode(host.Compute{Mode: 2})), everyGPU(inMIG(1))), "warn", "MIG"},
		{"prohibited, MIG mode unknown", everyGPU(func(g *host.GPU) { g.Compute, g.MIG = known(host.Compute{Mode: 2}), missing[host.MIGMode]() }), "warn", ""},
		{"exclusive and free", everyGPU(mode(host.Compute{Mode: 3})), "pass", ""},
		{"exclusive and taken", gpuIs(2, mode(host.Compute{Mode: 3, Processes: 1})), "warn", "2 (0000:37:00.0) admits one process"},
		{"exclusive, taken by MPS", everyGPU(mode(host.Compute{Mode: 3, Processes: 1, MPS: true})), "pass", ""},
		{"a GPU not asked for", and(gpuIs(0, mode(host.Compute{Mode: 2})), ask("1")), "pass", ""},
		{"no CUDA asked for", and(everyGPU(mode(host.Compute{Mode: 2})), capabilities("video")), "skip", "NVIDIA_DRIVER_CAPABILITIES"},
		{"time-out", everyGPU(func(g *host.GPU) { g.Compute = missing[host.Compute]() }), "unknown", "time-out"},
		{"not resident", everyGPU(notAsked), "skip", "not asked"},
		{"an observer", and(everyGPU(mode(host.Compute{Mode: 2})), observer), "warn", "only warned"},
	})
}
