package checks

import (
	"strconv"
	"strings"

	"gpu-preflight/checks/host"
	"gpu-preflight/checks/remedy"
)

// The metapackage pins the layers of a driver to one version. Without it each layer is upgraded on its own; several
// pull in different directions. rpm distributions pin through the versions of the packages themselves.
var packageMetapackage = Check{
	ID:     "package-metapackage",
	Title:  "one metapackage keeps the driver's layers together",
	Layer:  Packages,
	Why:    "the layers of the driver are upgraded apart from each other: module and libraries part",
	CUDA:   []int{803},
	Links:  []string{"https://documentation.ubuntu.com/server/how-to/graphics/install-nvidia-drivers/", "https://packages.ubuntu.com/search?keywords=nvidia-driver"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignPackages(); why != "" {
			return skip("%s", why)
		}
		packages, parts := f.Host.Stack.Packages, f.mend.Parts()
		switch {
		case !packages.Known():
			return unknown("%s", packages.Why())
		case len(parts) == 0:
			return skip("no package of a driver is installed")
		case f.driverContainer():
			return skip("the driver comes from a driver container")
		case f.mend.Family() != remedy.FamilyApt:
			return skip("packages of this distribution pin each other")
		}
		metas := ofRole(parts, remedy.RoleMeta)
		if len(metas) == 0 {
			return f.noMetapackage(parts).from(packages.Source)
		}
		for _, meta := range metas {
			if other := pulls(meta); other != 0 {
				return warn("%s is transitional: it pulls branch %d", meta.Name, other).
					fix("install the metapackage of branch " + strconv.Itoa(other) + " by its own name, then remove " + meta.Name).from(packages.Source)
			}
			if meta.Branch != metas[0].Branch || meta.Server != metas[0].Server {
				return warn("metapackages of several branches are installed: %s", packageNames(metas)).
					fix(f.keepOne(metas)...).from(packages.Source)
			}
		}
		if f.Use() == UseDesktop && metas[0].Server {
			return warn("%s is the headless driver, and this host has a display: the screen may stay black", metas[0].Name).
				fix("install nvidia-driver-" + strconv.Itoa(metas[0].Branch) + " where a display is wanted").from(packages.Source)
		}
		return pass("%s is in charge%s%s", packageNames(metas), serverWords(metas[0]), byHand(metas)).from(packages.Source)
	},
}

func (f Facts) noMetapackage(parts []remedy.Part) Result {
	core := ofRole(parts, remedy.RoleModule, remedy.RoleLibrary, remedy.RoleUtility)
	if len(ofRole(core, remedy.RoleModule)) == 0 || len(ofRole(core, remedy.RoleLibrary)) == 0 {
		return pass("none is needed for one layer alone: %s", packageNames(parts))
	}
	names := []string{"nvidia-driver-" + branchName(core[0]), "nvidia-headless-" + branchName(core[0])}
	r := warn("no metapackage is installed beside %s", packageNames(core))
	for _, name := range names {
		if command, ok := f.mend.Install("", name); ok {
			return r.fix(command)
		}
	}
	return r.fix("install " + names[0] + ", or " + names[1] + " on a host without a display")
}

// pulls is the other branch that a transitional metapackage depends on, 0 for none: nvidia-driver-550-server of later
// archives depends on nvidia-driver-570-server.
func pulls(meta remedy.Part) int {
	for dependency := range strings.SplitSeq(meta.Depends, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(dependency), " ")
		for _, p := range remedy.Parts([]host.Package{{Name: name, State: "ii"}}) {
			if p.Role == remedy.RoleMeta && p.Branch != meta.Branch && meta.Branch != 0 && strings.Contains(meta.Name, strconv.Itoa(meta.Branch)) {
				return p.Branch
			}
		}
	}
	return 0
}

// keepOne removes the metapackages of the branches that do not stay.
func (f Facts) keepOne(metas []remedy.Part) []string {
	keep := f.branchThatStays()
	var others []string
	for _, m := range metas {
		if m.Branch != keep {
			others = append(others, m.Name)
		}
	}
	if len(others) == 0 {
		return []string{"keep the one that fits the host's use (-server: without a display) and remove the others"}
	}
	return f.mend.Remove(others...)
}

func serverWords(meta remedy.Part) string {
	if meta.Server {
		return " (-server: the long-lived branch for compute)"
	}
	return ""
}

func byHand(metas []remedy.Part) string {
	for _, m := range metas {
		if m.Manual {
			return ", installed by hand"
		}
	}
	return ""
}
