package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestPackageState(t *testing.T) {
	testCheck(t, packageState, []row{
		{"healthy", nil, "pass", "whole"},
		{"left-over settings are harmless", packages(host.Package{Name: "libnvidia-compute-418", Version: "418.67-0ubuntu1", State: "rc"}), "pass", "harmless|libnvidia-compute-418"},
		{"half installed", packages(host.Package{Name: "nvidia-dkms-390", Version: "390.144-0ubuntu1", State: "iF"}, host.Package{Name: "nvidia-driver-390", Version: "390.144-0ubuntu1", State: "iU"}), "warn", "nvidia-dkms-390 (iF, its set-up failed)|dpkg --configure -a"},
		{"a 32-bit one", packages(host.Package{Name: "libnvidia-gl-570", Arch: "i386", Version: "570.86.15-0ubuntu1", State: "iU"}), "warn", "libnvidia-gl-570:i386 (iU"},
		{"unread", stack(func(s *host.Stack) { s.Packages = missing[[]host.Package]() }), "unknown", "time-out"},
		{"an image", func(f *Facts) { f.Host.OS.Value.ID = "bottlerocket" }, "skip", "no packages"},
	})
}
