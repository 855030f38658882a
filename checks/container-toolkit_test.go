package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestContainerToolkit(t *testing.T) {
	testCheck(t, containerToolkit, []row{
		{"healthy", nil, "pass", "nvidia-container-runtime (1.18.1), mode not set"},
		{"a mode", stack(func(s *host.Stack) { s.ToolkitMode = known("legacy") }), "pass", "mode legacy"},
		{"docker without it", and(stack(func(s *host.Stack) { s.Programs.Value, s.CDI.Value = s.Programs.Value[4:], nil })), "warn", "/usr/bin/dockerd|nvidia-container-toolkit"},
		{"docker without it, offered", and(stack(func(s *host.Stack) { s.Programs.Value, s.CDI.Value = s.Programs.Value[4:], nil }), offer("nvidia-container-toolkit", "1.18.1-1")), "warn", "apt-get install nvidia-container-toolkit"},
		{"CDI files by another hand", stack(func(s *host.Stack) { s.Programs.Value = s.Programs.Value[4:] }), "pass", "CDI files"},
		{"no engine", stack(func(s *host.Stack) { s.Programs.Value = nil }), "skip", "no container engine"},
		{"unread", stack(func(s *host.Stack) { s.Programs = missing[[]host.Program]() }), "unknown", "time-out"},
	})
}
