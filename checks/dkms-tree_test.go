package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestDkmsTree(t *testing.T) {
	testCheck(t, dkmsTree, []row{
		{"healthy", dkmsHost, "pass", "nvidia/570.86.15 is built"},
		{"none", nil, "skip", "no tree"},
		{"a left-over without source", and(dkmsHost, stack(func(s *host.Stack) {
			s.DKMS.Value = append([]host.DKMSTree{{Module: "nvidia", Version: "390.48"}}, s.DKMS.Value...)
		})), "warn", "390.48|stops the newer trees|dkms remove nvidia/390.48 --all"},
		{"added, never built", and(dkmsHost, noModuleFile, stack(func(s *host.Stack) { s.DKMS.Value[0].Built = nil; s.Kernels.Value[1].Headers = true })), "warn", "added and never built|dpkg-reconfigure"},
		{"no headers", and(dkmsHost, noModuleFile, stack(func(s *host.Stack) { s.DKMS.Value[0].Built = nil })), "warn", "headers are not installed"},
		{"a failed build", and(dkmsHost, noModuleFile, stack(func(s *host.Stack) { s.DKMS.Value[0].Built, s.DKMS.Value[0].Failed = nil, true })), "warn", "build/make.log"},
		{"unread", stack(func(s *host.Stack) { s.DKMS = missing[[]host.DKMSTree]() }), "unknown", "time-out"},
	})
}
