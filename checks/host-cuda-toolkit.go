package checks

import (
	"strings"

	"gpu-preflight/checks/cuda"
)

// A toolkit on the host that is newer than the driver builds programs that do not start: a newer driver runs older
// CUDA, not the other way round. Within one major, minor-version compatibility serves with limits.
var hostCUDAToolkit = Check{
	ID:     "host-cuda-toolkit",
	Title:  "the CUDA toolkits on the host are no newer than the driver",
	Layer:  Libraries,
	Why:    "a program built with it fails with 35, or with 222 where it brings PTX; containers bring their own CUDA",
	CUDA:   []int{35, 222},
	Links:  []string{"https://docs.nvidia.com/deploy/cuda-compatibility/", "https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		toolkits := f.toolkitVersions()
		if why := firstUnknown(f.Host.Stack.Toolkits); why != "" && len(toolkits) == 0 {
			return unknown("%s", why)
		}
		if len(toolkits) == 0 {
			return skip("no CUDA toolkit on the host, which a container host does not need")
		}
		have := f.hostCUDA()
		if !have.Known() || have.Value.IsZero() {
			return unknown("toolkits %s are here; the CUDA version of the driver is not known", few(toolkits))
		}
		given := have.Value
		for _, text := range toolkits {
			v, err := cuda.ParseVersion(text)
			if err != nil || !given.Less(v) {
				continue
			}
			fixes := []string{"upgrade the driver first, reboot, then use the toolkit" + driverFor(v)}
			if v.Major == given.Major {
				return warn("toolkit %s is newer than the driver's CUDA %s, within one major: its programs start, with limits", text, given).
					because("PTX of this toolkit fails with 222, and what needs a newer driver is missing", 222).fix(fixes...).from(f.Host.Stack.Toolkits.Source)
			}
			return warn("toolkit %s is newer than the driver's CUDA %s", text, given).fix(fixes...).from(f.Host.Stack.Toolkits.Source)
		}
		return pass("%s, with CUDA %s of the driver", few(toolkits), given).from(f.Host.Stack.Toolkits.Source)
	},
}

// toolkitVersions are the versions of the toolkits in /usr/local, and of NVIDIA's toolkit packages.
func (f Facts) toolkitVersions() []string {
	var list []string
	for _, k := range f.Host.Stack.Toolkits.Value {
		list = append(list, k.Version)
	}
	for _, p := range f.Host.Stack.Packages.Value {
		if rest, ok := strings.CutPrefix(p.Name, "cuda-toolkit-"); ok && p.State == "ii" && strings.Count(rest, "-") == 1 && len(list) == 0 {
			list = append(list, strings.ReplaceAll(rest, "-", "."))
		}
	}
	return list
}

func driverFor(v cuda.Version) string {
	if driver, ok := cuda.ToolkitMinDriver(v); ok {
		return " (CUDA " + v.String() + " names driver " + driver + ")"
	}
	return ""
}
