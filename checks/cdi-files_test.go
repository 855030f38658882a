package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestCdiFiles(t *testing.T) {
	testCheck(t, cdiFiles, []row{
		{"healthy", nil, "pass", "1 file, naming nothing that is gone"},
		{"stale", stack(func(s *host.Stack) { s.CDI.Value[0].Versions = []string{"550.54.15"} }), "warn", "550.54.15, and driver 570.86.15|nvidia-ctk cdi generate"},
		{"a file that is gone", stack(func(s *host.Stack) { s.CDI.Value[0].Gone = []string{"/usr/bin/nvidia-smi"} }), "warn", "/usr/bin/nvidia-smi"},
		{"none", stack(func(s *host.Stack) { s.CDI = known([]host.CDIFile{}) }), "skip", ""},
		{"unread", stack(func(s *host.Stack) { s.CDI = missing[[]host.CDIFile]() }), "unknown", "time-out"},
	})
}
