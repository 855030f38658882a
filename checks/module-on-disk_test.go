package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestModuleOnDisk(t *testing.T) {
	testCheck(t, moduleOnDisk, []row{
		{"healthy", nil, "pass", "570.86.15"},
		{"another version on disk", stack(func(s *host.Stack) { s.Kernels.Value[1].Modules[0].Version = "570.133.07" }), "warn", "570.86.15|570.133.07|reboot"},
		{"DKMS tells the version", and(dkmsHost, stack(func(s *host.Stack) {
			s.Kernels.Value[1].Modules[0].Version = ""
			s.DKMS.Value[0].Version = "570.133.07"
		})), "warn", "/var/lib/dkms/nvidia/570.133.07"},
		{"not shown", stack(func(s *host.Stack) { s.Kernels.Value[1].Modules[0].Version = "" }), "skip", "not shown"},
		{"not loaded", noModule, "skip", "no module"},
		{"unread", stack(func(s *host.Stack) { s.DKMS = missing[[]host.DKMSTree]() }), "unknown", "time-out"},
	})
}
