package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestPackageHolds(t *testing.T) {
	testCheck(t, packageHolds, []row{
		{"healthy", nil, "pass", "none"},
		{"all", stack(func(s *host.Stack) {
			for i := range s.Packages.Value {
				s.Packages.Value[i].Held = true
			}
		}), "pass", "all are held"},
		{"some", stack(func(s *host.Stack) { s.Packages.Value[0].Held = true }), "warn", "held: libnvidia-compute-570-server; not held"},
		{"unread", stack(func(s *host.Stack) { s.Packages = missing[[]host.Package]() }), "unknown", "time-out"},
	})
}
