package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestPackageOrigins(t *testing.T) {
	testCheck(t, packageOrigins, []row{
		{"healthy", nil, "pass", "Ubuntu's archive"},
		{"mixed", packages(host.Package{Name: "libnvidia-nscq-570", Version: "570.86.15-1ubuntu1", State: "ii"}), "warn", "NVIDIA's repository (libnvidia-nscq-570)|Ubuntu's archive"},
		{"a PPA", packages(host.Package{Name: "libnvidia-gl-570", Version: "570.86.15-0ubuntu0~gpu24.04.1", State: "ii"}), "warn", "PPA"},
		{"versions that do not tell", stack(func(s *host.Stack) {
			s.Packages = known([]host.Package{{Name: "nvidia-driver", Version: "545.23.08-1", State: "ii"}})
		}), "skip", "do not tell"},
		{"unread", stack(func(s *host.Stack) { s.Packages = missing[[]host.Package]() }), "unknown", "time-out"},
	})
}
