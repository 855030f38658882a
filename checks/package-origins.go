package checks

import (
	"slices"
	"strings"

	"gpu-preflight/checks/remedy"
)

// Ubuntu's archive and NVIDIA's repository build the same driver under the same names with different versions. Where
// both are mixed, one upgrade renews a part of the layers.
var packageOrigins = Check{
	ID:     "package-origins",
	Title:  "the driver's packages come from one repository",
	Layer:  Packages,
	Why:    "the next upgrade renews the packages of one repository and not those of the other: the layers part",
	CUDA:   []int{803, 802},
	Links:  []string{"https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/", "https://github.com/NVIDIA/gpu-operator/issues/544"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignPackages(); why != "" {
			return skip("%s", why)
		}
		packages := f.Host.Stack.Packages
		if !packages.Known() {
			return unknown("%s", packages.Why())
		}
		from := map[string][]string{}
		var archives []string
		for _, p := range ofRole(f.mend.Parts(), remedy.RoleModule, remedy.RoleLibrary, remedy.RoleUtility, remedy.RoleMeta, remedy.RoleFabric) {
			if p.Archive == "" {
				continue
			}
			if from[p.Archive] == nil {
				archives = append(archives, p.Archive)
			}
			from[p.Archive] = append(from[p.Archive], p.Name)
		}
		switch len(archives) {
		case 0:
			return skip("the versions do not tell where the packages come from")
		case 1:
			return pass("%s", archives[0]).from(packages.Source)
		}
		slices.Sort(archives)
		var words []string
		for _, a := range archives {
			words = append(words, a+" ("+few(from[a])+")")
		}
		return warn("they come from %d repositories: %s", len(archives), strings.Join(words, "; ")).
			fix("install all of them from one repository, and pin it (apt_preferences) or take the other's driver packages out").from(packages.Source)
	},
}
