package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestNvidiaSMI(t *testing.T) {
	testCheck(t, nvidiaSMI, []row{
		{"healthy", nil, "pass", "/usr/bin/nvidia-smi (570.86.15)"},
		{"not installed", stack(func(s *host.Stack) { s.Programs.Value = s.Programs.Value[1:] }), "warn", "nvidia-smi is not"},
		{"not installed, offered", and(stack(func(s *host.Stack) { s.Programs.Value = s.Programs.Value[1:] }), offer("nvidia-utils-570-server", "570.86.15-0ubuntu0.24.04.1")), "warn", "apt-get install nvidia-utils-570-server=570.86.15-0ubuntu0.24.04.1"},
		{"another version", stack(func(s *host.Stack) { s.Programs.Value[0].Version = "570.133.07" }), "warn", "570.133.07|reboot"},
		{"unread", stack(func(s *host.Stack) { s.Programs = missing[[]host.Program]() }), "unknown", "time-out"},
	})
}
