package checks

import (
	"slices"
	"testing"

	"gpu-preflight/checks/host"
)

func TestPackageHolds(t *testing.T) {
	testCheck(t, packageHolds, []row{
		{"healthy", nil, "pass", "none"},
		{"all", held, "pass", "all are held"},
		{"some", stack(func(s *host.Stack) { s.Packages.Value[0].Held = true }), "warn", "held: libnvidia-compute-570-server; not held"},
		{
			"names without a branch, and the lists offer the next branch", and(names590, offer("nvidia-open", "595.71.05-1ubuntu1"), offer("nvidia-open", "590.48.01-1ubuntu1")), "warn",
			"nothing keeps the driver on branch 590|the name nvidia-open carries none, and the package lists offer 595.71.05|apt-mark hold nvidia-open libnvidia-compute nvidia-dkms-open",
		},
		{
			"the same where the lists have the package that pins the branch", and(names590, offer("nvidia-open", "595.71.05-1ubuntu1"), offer("nvidia-driver-pinning-590", "590-1ubuntu1")), "warn",
			"apt-get install nvidia-driver-pinning-590",
		},
		{"a pinning package is installed", and(names590, packages(host.Package{Name: "nvidia-driver-pinning-590", Version: "590-1ubuntu1", State: "ii"}), offer("nvidia-open", "595.71.05-1ubuntu1")), "pass", "none"},
		{"all are held", and(names590, held, offer("nvidia-open", "595.71.05-1ubuntu1")), "pass", "all are held"},
		{"the lists offer this branch alone", and(names590, offer("nvidia-open", "590.54.01-1ubuntu1")), "pass", "none"},
		{"Debian's backports are taken only by name", and(names590, stack(func(s *host.Stack) {
			s.Available = known([]host.Candidate{{Name: "nvidia-open", Version: "595.71.05-1~bpo12+1", From: "http://deb.debian.org/debian bookworm-backports/non-free"}})
		})), "pass", "none"},
		{"names with a branch stay on it", offer("libnvidia-compute-570-server", "580.95.05-0ubuntu1"), "pass", "none"},
		{"unread", stack(func(s *host.Stack) { s.Packages = missing[[]host.Package]() }), "unknown", "time-out"},
	})
}

func held(f *Facts) {
	list := slices.Clone(f.Host.Stack.Packages.Value)
	for i := range list {
		list[i].Held = true
	}
	f.Host.Stack.Packages = known(list)
}

// names590 is the driver of NVIDIA's own repository from 590 on, whose names carry no branch.
func names590(f *Facts) {
	driver("590.48.01", "13.1")(f)
	f.Host.Stack.Packages = known([]host.Package{
		{Name: "nvidia-open", Version: "590.48.01-1ubuntu1", State: "ii"},
		{Name: "libnvidia-compute", Version: "590.48.01-1ubuntu1", State: "ii"},
		{Name: "nvidia-dkms-open", Version: "590.48.01-1ubuntu1", State: "ii"},
	})
}
