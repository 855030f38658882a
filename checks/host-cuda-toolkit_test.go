package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestHostCUDAToolkit(t *testing.T) {
	testCheck(t, hostCUDAToolkit, []row{
		{"none", nil, "skip", "does not need"},
		{"as new as the driver", toolkit("12.8.1"), "pass", "12.8"},
		{"newer, same major", toolkit("12.9.0"), "warn", "within one major|222"},
		{"newer major", toolkit("13.0.0"), "warn", "13.0.0 is newer than the driver's CUDA 12.8|upgrade the driver first|580"},
		{"by its package", packages(host.Package{Name: "cuda-toolkit-13-0", Version: "13.0.0-1", State: "ii"}), "warn", "13.0"},
		{"CUDA of the driver unknown", and(toolkit("13.0.0"), func(f *Facts) { f.Host.NVML.CUDA = missing[string]() }), "unknown", "not known"},
		{"unread", stack(func(s *host.Stack) { s.Toolkits = missing[[]host.Toolkit]() }), "unknown", "time-out"},
	})
}
