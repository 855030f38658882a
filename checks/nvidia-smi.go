package checks

// nvidia-smi is the end-to-end question that everybody asks first. It comes in a package of its own, and may be of
// another version than the rest.
var nvidiaSMI = Check{
	ID:     "nvidia-smi",
	Title:  "nvidia-smi is there, of the driver's version",
	Layer:  Utilities,
	Why:    "CUDA does not need it, but nobody can ask the driver without it, and its absence shows an installation that is not whole",
	Links:  []string{"https://docs.nvidia.com/deploy/nvidia-smi/index.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreignStack(); why != "" {
			return skip("%s", why)
		}
		programs := f.Host.Stack.Programs
		if !programs.Known() {
			return unknown("%s", programs.Why())
		}
		smi, there := f.program("nvidia-smi")
		libraries := f.versionsOf("/")
		switch {
		case !there && len(libraries) == 0:
			return skip("no driver library is installed in the host's own folders")
		case !there:
			return warn("the driver's libraries %s are installed, and nvidia-smi is not", libraries[len(libraries)-1]).
				fix(f.smiPackage(libraries[len(libraries)-1])).from(programs.Source)
		case smi.Version != "" && f.loaded() != "" && smi.Version != f.loaded():
			return warn("%s has version %s, and the loaded module %s", smi.Path, smi.Version, f.loaded()).fix(f.mend.Reload()...).from(smi.Path)
		}
		return pass("%s%s", smi.Path, inParentheses(smi.Version)).from(programs.Source)
	},
}

// smiPackage is what brings nvidia-smi.
func (f Facts) smiPackage(version string) string {
	for _, p := range f.mend.Parts() {
		name := "nvidia-utils-" + branchName(p)
		if command, ok := f.mend.Install(version, name); ok {
			return command
		}
	}
	return "install the driver's utilities of version " + version + " (Ubuntu: nvidia-utils-BRANCH, RHEL: nvidia-driver-cuda)"
}
