package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestPackageBranches(t *testing.T) {
	testCheck(t, packageBranches, []row{
		{"healthy", nil, "pass", "570"},
		{"two branches", packages(host.Package{Name: "libnvidia-common-495", Version: "495.29.05-0ubuntu1", State: "ii"}), "warn", "495 (libnvidia-common-495)|apt-get purge libnvidia-common-495|reboot"},
		{"left-over settings", packages(host.Package{Name: "libnvidia-compute-495", Version: "495.29.05-0ubuntu1", State: "rc"}), "pass", ""},
		{"two versions", packages(host.Package{Name: "libnvidia-gl-570-server", Version: "570.133.07-0ubuntu0.24.04.1", State: "ii"}), "warn", "570.133.07, 570.86.15"},
		{"upgraded under a loaded module", func(f *Facts) { f.Host.Driver.Version = known("570.80.01") }, "warn", "570.86.15|570.80.01|rmmod|apt-mark hold "},
		{"none", stack(func(s *host.Stack) { s.Packages = known([]host.Package{}) }), "skip", ""},
		{"unread", stack(func(s *host.Stack) { s.Packages = missing[[]host.Package]() }), "unknown", "time-out"},
	})
}
