package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func confidential(ready bool) change {
	return func(f *Facts) { f.Host.NVML.ConfCompute = known(host.ConfCompute{Enabled: true, Ready: ready}) }
}

func TestConfComputeReady(t *testing.T) {
	testCheck(t, confComputeReady, []row{
		{"off", nil, "skip", "is off"},
		{"on and ready", confidential(true), "pass", "take work"},
		{"on, not released", confidential(false), "fail again", "nvidia-smi conf-compute -srs 1|802"},
		{"on, not released, just booted", and(confidential(false), booted(60)), "fail transient", ""},
		{"no CUDA asked for", and(confidential(false), capabilities("video")), "skip", ""},
		{"time-out", func(f *Facts) { f.Host.NVML.ConfCompute = missing[host.ConfCompute]() }, "unknown", "time-out"},
		{"an observer", and(confidential(false), observer), "warn", "only warned"},
	})
}
