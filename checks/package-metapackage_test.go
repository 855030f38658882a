package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestPackageMetapackage(t *testing.T) {
	testCheck(t, packageMetapackage, []row{
		{"healthy", nil, "pass", "nvidia-headless-570-server-open is in charge (-server"},
		{"by hand", stack(func(s *host.Stack) { s.Packages.Value[3].Manual = true }), "pass", "by hand"},
		{"none", lacks("nvidia-headless-570-server-open"), "warn", "no metapackage|nvidia-driver-570-server"},
		{"two branches", packages(host.Package{Name: "nvidia-driver-550-server", Version: "550.163.01-0ubuntu0.22.04.2", State: "ii"}), "warn", "nvidia-driver-550-server|apt-get purge nvidia-driver-550-server"},
		{"installed over the loaded branch", over550, "warn", "apt-get purge nvidia-driver-580"},
		{"more of the new branch than of the loaded", and(over550, packages(host.Package{Name: "libnvidia-compute-580", Version: "580.95.05-0ubuntu1", State: "ii"})), "warn", "apt-get purge nvidia-driver-550"},
		{"transitional", and(lacks("nvidia-headless-570-server-open"), packages(host.Package{Name: "nvidia-driver-550-server", Version: "570.86.15-0ubuntu0.24.04.1", State: "ii", Depends: "nvidia-driver-570-server"})), "warn", "it pulls branch 570"},
		{"-server on a desktop", and(gpus(1, rtx4090), stack(func(s *host.Stack) { s.Programs.Value = append(s.Programs.Value, host.Program{Path: "/usr/sbin/gdm3"}) })), "warn", "screen may stay black"},
		{"no driver package", packages(), "pass", ""},
		{"none at all", stack(func(s *host.Stack) { s.Packages = known([]host.Package{}) }), "skip", "no package"},
		{"rpm", func(f *Facts) { f.Host.OS = known(host.OS{ID: "rocky", Like: "rhel centos fedora"}) }, "skip", "pin each other"},
		{"unread", stack(func(s *host.Stack) { s.Packages = missing[[]host.Package]() }), "unknown", "time-out"},
	})
}
