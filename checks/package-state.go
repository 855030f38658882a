package checks

import (
	"slices"
	"strings"

	"gpu-preflight/checks/host"
)

// A package that is unpacked and not configured stops every later run of the package tool, and its module was
// probably not built. Settings that a removed package left (rc) are harmless.
var packageState = Check{
	ID:     "package-state",
	Title:  "the driver's packages are whole",
	Layer:  Packages,
	Why:    "a driver that is half installed has parts of two versions, or no module",
	CUDA:   []int{100, 803},
	Links:  []string{"https://man7.org/linux/man-pages/man1/dpkg.1.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignPackages(); why != "" {
			return skip("%s", why)
		}
		packages := f.Host.Stack.Packages
		if !packages.Known() {
			return unknown("%s", packages.Why())
		}
		var broken, left []string
		for _, p := range packages.Value {
			switch {
			case !strings.Contains(p.Name, "nvidia") && !strings.HasPrefix(p.Name, "libcuda"):
			case p.State == "rc":
				left = append(left, p.Label())
			case len(p.State) == 2 && strings.ContainsRune("UFHWt", rune(p.State[1])):
				broken = append(broken, p.Label()+" ("+p.State+", "+stateWords(p)+")")
			}
		}
		if len(broken) > 0 {
			return warn("packages are half installed: %s", few(broken)).fix(f.mend.Finish()...).from(packages.Source)
		}
		if len(left) > 0 {
			return pass("whole; only settings are left of removed packages, which is harmless: %s", few(slices.Compact(left))).from(packages.Source)
		}
		return pass("whole").from(packages.Source)
	},
}

func stateWords(p host.Package) string {
	return map[byte]string{
		'U': "unpacked and not configured", 'F': "its set-up failed", 'H': "its installation broke off",
		'W': "waits for a trigger", 't': "a trigger is pending",
	}[p.State[1]]
}
