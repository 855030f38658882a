package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestPackageBranches(t *testing.T) {
	testCheck(t, packageBranches, []row{
		{"healthy", nil, "pass", "570"},
		{"two branches", packages(host.Package{Name: "libnvidia-common-495", Version: "495.29.05-0ubuntu1", State: "ii"}), "warn", "495 (libnvidia-common-495: orphans|apt-get purge libnvidia-common-495|reboot"},
		{"installed over the loaded branch", over550, "warn", "apt-get purge nvidia-driver-580 nvidia-dkms-580|reboot"},
		{"more of the new branch than of the loaded", and(over550, packages(host.Package{Name: "libnvidia-compute-580", Version: "580.95.05-0ubuntu1", State: "ii"})), "warn", "apt-get purge nvidia-driver-550 nvidia-dkms-550|reboot"},
		{"left-over settings", packages(host.Package{Name: "libnvidia-compute-495", Version: "495.29.05-0ubuntu1", State: "rc"}), "pass", ""},
		{"two versions", packages(host.Package{Name: "libnvidia-gl-570-server", Version: "570.133.07-0ubuntu0.24.04.1", State: "ii"}), "warn", "570.86.15 (libnvidia-compute-570-server, nvidia-headless-570-server-open, nvidia-utils-570-server); 570.133.07 (libnvidia-gl-570-server)|bring libnvidia-compute-570-server, nvidia-headless-570-server-open, nvidia-utils-570-server to version 570.133.07|then reboot"},
		{
			"a 32-bit library stayed behind", and(i386("libnvidia-gl-570-server", "570.80.01"), offer("libnvidia-gl-570-server:i386", "570.86.15-0ubuntu0.24.04.1")), "warn",
			"570.80.01 (libnvidia-gl-570-server:i386)|apt-get install libnvidia-gl-570-server:i386=570.86.15-0ubuntu0.24.04.1",
		},
		{
			"orphans: 32-bit libraries of a branch that is gone", i386("libnvidia-compute-535", "535.183.01"), "warn",
			"535 (libnvidia-compute-535:i386: orphans, without a module or a metapackage of this branch)|apt-get purge libnvidia-compute-535:i386|reboot",
		},
		{"upgraded under a loaded module", func(f *Facts) { f.Host.Driver.Version = known("570.80.01") }, "warn", "570.86.15|570.80.01|rmmod|apt-mark hold "},
		{"none", stack(func(s *host.Stack) { s.Packages = known([]host.Package{}) }), "skip", ""},
		{"unread", stack(func(s *host.Stack) { s.Packages = missing[[]host.Package]() }), "unknown", "time-out"},
	})
}

// i386 adds a library for 32-bit programs.
func i386(name, version string) change {
	return packages(host.Package{Name: name, Arch: "i386", Version: version + "-0ubuntu0.24.04.1", State: "ii"})
}

// over550 is a host on which branch 580 was installed over the 550 that is loaded.
func over550(f *Facts) {
	f.Host.Driver.Version = known("550.54.15")
	f.Host.Stack.Packages = known([]host.Package{
		{Name: "nvidia-driver-550", Version: "550.54.15-0ubuntu1", State: "ii"},
		{Name: "nvidia-dkms-550", Version: "550.54.15-0ubuntu1", State: "ii"},
		{Name: "nvidia-driver-580", Version: "580.95.05-0ubuntu1", State: "iU"},
		{Name: "nvidia-dkms-580", Version: "580.95.05-0ubuntu1", State: "iF"},
	})
}
