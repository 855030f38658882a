package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

// inMIG puts a GPU into MIG mode with so many instances.
func inMIG(instances int) func(*host.GPU) {
	return func(g *host.GPU) {
		g.MIG = known(host.MIGMode{Current: true, Pending: true})
		g.Instances = known(make([]host.MIGDevice, instances))
	}
}

func givenCaps(minors ...int) change { return func(f *Facts) { f.Launch.GPUs.MIGCaps = minors } }

func hostCaps(minors ...int) change {
	return func(f *Facts) {
		var caps []host.MIGCapability
		for _, minor := range minors {
			caps = append(caps, host.MIGCapability{Minor: minor, GI: 1, CI: -1})
		}
		f.Host.MIGCaps = known(caps)
	}
}

func TestMIGMode(t *testing.T) {
	testCheck(t, migMode, []row{
		{"no MIG", nil, "pass", ""},
		{"an instance", and(everyGPU(inMIG(1))), "pass", ""},
		{"no instance", everyGPU(inMIG(0)), "fail again", "in MIG mode and has no instance|nvidia-smi mig -cgi|100"},
		{"no instance on the GPU asked for", and(gpuIs(2, inMIG(0)), ask("2")), "fail again", "2 (0000:37:00.0)"},
		{"no instance, just booted: somebody makes them", and(everyGPU(inMIG(0)), booted(60)), "fail transient", ""},
		{"no instance, and MIG is to be switched off", everyGPU(func(g *host.GPU) { inMIG(0)(g); g.MIG.Value.Pending = false }), "fail transient", ""},
		{"all means what works", gpuIs(2, inMIG(0)), "warn", "2 (0000:37:00.0)"},
		{"a GPU not asked for", and(gpuIs(2, inMIG(0)), ask("3")), "pass", ""},
		{"to be switched on", everyGPU(func(g *host.GPU) { g.MIG = known(host.MIGMode{Pending: true}) }), "warn", "goes into MIG mode at the next reset"},
		{"to be switched off", everyGPU(func(g *host.GPU) { inMIG(1)(g); g.MIG.Value.Pending = false }), "warn", "leaves MIG mode"},
		{"instances not known", everyGPU(func(g *host.GPU) { inMIG(1)(g); g.Instances = missing[[]host.MIGDevice]() }), "unknown", "time-out"},
		{"given whole by CDI", and(everyGPU(inMIG(1)), askNodes(0)), "warn", "is given whole"},
		{"given whole, NVIDIA's hook adds the rest", and(everyGPU(inMIG(1)), askNodes(0), legacyHook), "pass", ""},
		{"an instance by CDI shows its parent's node", and(everyGPU(inMIG(1)), askNodes(0), givenCaps(21, 22), hostCaps(21, 22)), "pass", ""},
		{"an instance that is gone", and(everyGPU(inMIG(1)), askNodes(0), givenCaps(21, 22), hostCaps(30)), "warn", "nvidia-cap21, nvidia-cap22|cdi generate"},
		{"instances of the host not known", and(everyGPU(inMIG(1)), askNodes(0), givenCaps(21, 22), func(f *Facts) { f.Host.MIGCaps = missing[[]host.MIGCapability]() }), "pass", ""},
		{"no CUDA asked for", and(everyGPU(inMIG(0)), capabilities("utility")), "skip", ""},
		{"time-out", everyGPU(func(g *host.GPU) { g.MIG = missing[host.MIGMode]() }), "unknown", "time-out"},
		{"not resident", everyGPU(notAsked), "skip", "not asked"},
		{"an observer", and(everyGPU(inMIG(0)), observer), "warn", "only warned"},
	})
}
