package remedy

import (
	"slices"
	"strings"

	"gpu-preflight/checks/host"
)

// Offers tells whether the local package lists offer a package. known is false where they could not be read, or hold
// nothing of the driver's at all, as after an installation without network.
func (h Host) Offers(name string) (offers, known bool) {
	available := h.facts.Stack.Available
	_, offers = h.offered(name, "")
	return offers, available.Known() && len(available.Value) > 0
}

// Drift is an installed package of which an ordinary upgrade would bring another branch, and the version that it would
// bring: from 590 on NVIDIA's repository leaves the branch out of the names, as it always did for Debian, and only a hold or
// a package nvidia-driver-pinning-* keeps the branch. ok is false where there is none. What else pins (apt_preferences)
// is not seen. Other distributions choose the branch elsewhere.
// https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/version-locking.html
func (h Host) Drift() (part Part, version string, ok bool) {
	pinned := slices.ContainsFunc(h.facts.Stack.Packages.Value, func(p host.Package) bool {
		return strings.HasPrefix(p.Name, "nvidia-driver-pinning") && p.State == "ii"
	})
	if pinned || h.Family() != FamilyApt {
		return part, "", false
	}
	for _, p := range h.parts {
		if p.Held || branchOf(p.Name) != 0 {
			continue
		}
		for _, c := range h.facts.Stack.Available.Value {
			if c.Name == p.Name && newerBranch(c, p.Branch) {
				return p, Upstream(c.Version), true
			}
		}
	}
	return part, "", false
}

// newerBranch tells a version of NVIDIA's repository that is of a newer branch. Debian's backports, which no upgrade takes
// by itself, come from elsewhere.
func newerBranch(c host.Candidate, branch int) bool {
	offered := Parts([]host.Package{{Name: c.Name, Version: c.Version, State: "ii"}})
	fromNVIDIA := archiveOf(c.Version) == ArchiveNVIDIA || strings.Contains(c.From, "nvidia.com")
	return fromNVIDIA && len(offered) == 1 && offered[0].Branch > branch
}
