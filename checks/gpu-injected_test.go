package checks

import "testing"

func notInjected(names ...string) change {
	return func(f *Facts) { f.Launch.GPUs.Injected, f.Launch.GPUs.Devices = false, names }
}

func TestGPUInjected(t *testing.T) {
	testCheck(t, gpuInjected, []row{
		{"injected", nil, "pass", "/dev/nvidiactl"},
		{"a device plugin's GPU that nobody put in", notInjected("GPU-00000000-0000-4000-8000-000000000001"), "warn", "GPU-00000000-0000-4000-8000-000000000001|runtime class"},
		{"foreign text", notInjected("GPU-\x1b[2J\n"), "warn", `GPU-\x1b[2J\n`},
	})
}
