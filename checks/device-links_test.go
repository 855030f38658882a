package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestDeviceLinks(t *testing.T) {
	testCheck(t, deviceLinks, []row{
		{"healthy", nil, "pass", "every node"},
		{"missing", stack(func(s *host.Stack) { s.Unlinked = known([]string{"/dev/nvidia0"}) }), "warn", "/dev/nvidia0|create-dev-char-symlinks"},
		{"CDI mode", stack(func(s *host.Stack) { s.Unlinked, s.ToolkitMode = known([]string{"/dev/nvidia0"}), known("cdi") }), "skip", "not used"},
		{"no systemd", stack(func(s *host.Stack) { s.Unlinked, s.Systemd = known([]string{"/dev/nvidia0"}), known(false) }), "skip", "systemd"},
		{"unread", stack(func(s *host.Stack) { s.Unlinked = missing[[]string]() }), "unknown", "time-out"},
	})
}
