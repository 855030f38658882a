package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestNVMLResponds(t *testing.T) {
	testCheck(t, nvmlResponds, []row{
		{"healthy", nil, "pass", ""},
		{"hung or absent", noNVML, "unknown", "time-out"},
		{"no permission", initCode(host.NVMLNoPermission), "unknown", "code 4"},
		{"NVML's own time-out", initCode(host.NVMLTimeout), "unknown", "code 10"},
		{"library not found", initCode(host.NVMLLibraryNotFound), "unknown", "code 12"},
		{"not ready", initCode(host.NVMLNotReady), "fail transient", "27"},
		{"not ready, an observer", and(initCode(host.NVMLNotReady), observer), "warn", ""},
		{"lost: counts for the GPU", initCode(host.NVMLGPUIsLost), "warn", "15"},
		{"reset required: counts for the GPU", initCode(host.NVMLResetRequired), "warn", "16"},
		{"the operating system blocks", initCode(host.NVMLOperatingSystem), "warn", "17"},
		{"unknown error", initCode(host.NVMLUnknown), "warn", "999"},
		{"a mismatch that the mount overrules", initCode(host.NVMLLibRMMismatch), "warn", "18"},
	})
}
