package remedy

import (
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/host"
)

// Part is an installed package that brings a part of a driver.
type Part struct {
	host.Package
	Role    Role
	Branch  int    // 535
	Driver  string // 535.183.06; empty where the version is not the driver's (linux-modules-nvidia-*)
	Server  bool
	Open    bool
	Archive string // where it comes from, as far as the version tells
}

// Role is which layer of the stack a package belongs to.
type Role string

// The roles.
const (
	RoleModule  Role = "kernel module"
	RoleLibrary Role = "libraries"
	RoleUtility Role = "utilities"
	RoleMeta    Role = "metapackage"
	RoleFabric  Role = "fabric"
	RoleCommon  Role = "common files"
)

// roles are the packages by the beginnings of their names, longest first where one begins another: Ubuntu's,
// Debian's, NVIDIA's own and those of the rpm repositories, SUSE's generations and RPM Fusion among them.
var roles = []struct {
	prefix string
	role   Role
}{
	{"linux-modules-nvidia-", RoleModule},
	{"linux-objects-nvidia-", RoleModule},
	{"linux-signatures-nvidia-", RoleModule},
	{"nvidia-dkms", RoleModule},
	{"nvidia-kernel-common", RoleCommon},
	{"nvidia-kernel-support", RoleCommon},
	{"nvidia-kernel-", RoleModule},
	{"nvidia-open-dkms", RoleModule},
	{"kmod-nvidia", RoleModule},
	{"akmod-nvidia", RoleModule},
	{"dkms-nvidia", RoleModule},
	{"nvidia-open-driver-G0", RoleModule},
	{"nvidia-driver-G0", RoleModule},
	{"nvidia-gfxG0", RoleModule},
	{"nvidia-kmod-common", RoleCommon},
	{"libnvidia-nscq", RoleFabric},
	{"nvidia-fabricmanager", RoleFabric},
	{"nvidia-fabric-manager", RoleFabric},
	{"nvidia-imex", RoleFabric},
	{"libnvidia-compute", RoleLibrary},
	{"libnvidia-gl", RoleLibrary},
	{"libnvidia-decode", RoleLibrary},
	{"libnvidia-encode", RoleLibrary},
	{"libnvidia-fbc", RoleLibrary},
	{"libnvidia-cfg", RoleLibrary},
	{"libnvidia-extra", RoleLibrary},
	{"libnvidia-common", RoleCommon},
	{"libcuda1", RoleLibrary},
	{"libnvidia-ml", RoleLibrary},
	{"nvidia-driver-cuda-libs", RoleLibrary},
	{"nvidia-driver-libs", RoleLibrary},
	{"nvidia-driver-NVML", RoleLibrary},
	{"nvidia-compute-G0", RoleLibrary},
	{"nvidia-computeG0", RoleLibrary},
	{"nvidia-gl-G0", RoleLibrary},
	{"nvidia-glG0", RoleLibrary},
	{"nvidia-video-G0", RoleLibrary},
	{"xorg-x11-drv-nvidia-cuda-libs", RoleLibrary},
	{"xorg-x11-drv-nvidia-libs", RoleLibrary},
	{"xorg-x11-drv-nvidia-cuda", RoleUtility},
	{"xorg-x11-drv-nvidia", RoleCommon},
	{"nvidia-driver-latest-dkms-cuda-libs", RoleLibrary},
	{"nvidia-driver-latest-dkms-cuda", RoleUtility},
	{"nvidia-driver-cuda", RoleUtility},
	{"nvidia-driver-bin", RoleUtility},
	{"nvidia-compute-utils", RoleUtility},
	{"nvidia-utils", RoleUtility},
	{"nvidia-smi", RoleUtility},
	{"nvidia-firmware", RoleCommon},
	{"xserver-xorg-video-nvidia", RoleCommon},
}

// Parts picks the driver's packages that are installed, whole or half. What has only its settings left (rc) is none.
func Parts(packages []host.Package) []Part {
	var parts []Part
	for _, p := range packages {
		role, ok := roleOf(p.Name)
		if !ok || strings.HasPrefix(p.State, "r") || strings.HasPrefix(p.State, "p") || p.State == "ic" {
			continue
		}
		part := Part{Package: p, Role: role, Driver: Upstream(p.Version), Branch: branchOf(p.Name), Archive: archiveOf(p.Version)}
		if strings.HasPrefix(p.Name, "linux-") {
			part.Driver, part.Archive = "", ""
		}
		if part.Branch == 0 {
			text, _, _ := strings.Cut(part.Driver, ".")
			part.Branch, _ = strconv.Atoi(text)
		}
		for word := range strings.SplitSeq(p.Name, "-") {
			part.Server = part.Server || word == "server"
			part.Open = part.Open || word == "open"
		}
		if part.Branch != 0 {
			parts = append(parts, part)
		}
	}
	return parts
}

func roleOf(name string) (Role, bool) {
	for _, known := range roles {
		if strings.HasPrefix(name, known.prefix) {
			return known.role, true
		}
	}
	return RoleMeta, host.IsMetapackage(name)
}

// branchOf is the branch in a name: nvidia-driver-535-server; 0 for none.
func branchOf(name string) int {
	for word := range strings.SplitSeq(name, "-") {
		if len(word) == 3 && strings.Trim(word, "0123456789") == "" && word >= "304" {
			branch, _ := strconv.Atoi(word)
			return branch
		}
	}
	return 0
}

// Upstream cuts epoch and release off a package's version: 3:535.183.06-1.el9 is driver 535.183.06. It is empty for
// what is no driver's version.
func Upstream(version string) string {
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	version, _, _ = strings.Cut(version, "-")
	version, _, _ = strings.Cut(version, "+")
	version, _, _ = strings.Cut(version, "_") // SUSE puts the kernel there: 580.105.08_k6.12.0_160000.5
	first, rest, ok := strings.Cut(version, ".")
	if !ok || len(first) != 3 || strings.Trim(first+rest, "0123456789.") != "" {
		return ""
	}
	return version
}

// The archives that a version's suffix tells apart.
const (
	ArchiveUbuntu = "Ubuntu's archive"
	ArchivePPA    = "the graphics-drivers PPA"
	ArchiveNVIDIA = "NVIDIA's repository"
	ArchiveDebian = "Debian's archive"
)

// archiveOf tells where a .deb comes from: Ubuntu writes 535.183.01-0ubuntu0.22.04.1, its PPA ends in ~gpu22.04.1,
// NVIDIA writes 535.183.06-0ubuntu1, from 590 on -1ubuntu1, and Debian's stable updates end in ~deb12u1. A plain -1
// is Debian's or NVIDIA's: unknown.
func archiveOf(version string) string {
	_, release, ok := strings.Cut(version, "-")
	switch {
	case !ok:
		return ""
	case strings.Contains(release, "~gpu"):
		return ArchivePPA
	case strings.Contains(release, "~deb") || strings.Contains(release, "+deb") || strings.Contains(release, "~bpo"):
		return ArchiveDebian
	case release == "0ubuntu1" || release == "1ubuntu1":
		return ArchiveNVIDIA
	case strings.Contains(release, "ubuntu"):
		return ArchiveUbuntu
	}
	return ""
}

// Parts are the driver's packages of this host.
func (h Host) Parts() []Part { return slices.Clone(h.parts) }
