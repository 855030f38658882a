package checks

import "strings"

// Containers get GPUs through the NVIDIA Container Toolkit: its runtime, its prestart hook, or the CDI files that it
// writes.
var containerToolkit = Check{
	ID:     "container-toolkit",
	Title:  "the NVIDIA Container Toolkit is there for the container engine",
	Layer:  Container,
	Why:    "the engine cannot give a GPU to a container: \"could not select device driver\"",
	CUDA:   []int{100},
	Links:  []string{"https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		programs, mode := f.Host.Stack.Programs, f.Host.Stack.ToolkitMode
		if !programs.Known() {
			return unknown("%s", programs.Why())
		}
		engine, engines := f.program("dockerd", "podman", "crio", "containerd", "k3s")
		tool, there := f.program("nvidia-container-runtime", "nvidia-ctk", "nvidia-cdi-hook")
		switch {
		case there:
			return pass("%s%s, %s", tool.Path, inParentheses(f.toolkitPackage()), modeWords(mode.Value)).from(programs.Source, mode.Source)
		case !engines:
			return skip("no container engine is seen on this host")
		case !f.hasHardware():
			return skip("no GPU of NVIDIA's on this host")
		case len(f.Host.Stack.CDI.Value) > 0:
			return pass("no toolkit on the host; CDI files are there").from(f.Host.Stack.CDI.Source)
		}
		r := warn("%s is here, and no program of the toolkit", engine.Path)
		if command, ok := f.mend.Install("", "nvidia-container-toolkit"); ok {
			r = r.fix(command)
		} else {
			r = r.fix("install nvidia-container-toolkit from NVIDIA's repository (a Kubernetes GPU operator brings its own)")
		}
		return r.from(programs.Source)
	},
}

func (f Facts) toolkitPackage() string {
	for _, p := range f.Host.Stack.Packages.Value {
		if p.Name == "nvidia-container-toolkit" && p.State == "ii" {
			return strings.TrimSuffix(p.Version, "-1")
		}
	}
	return ""
}

func modeWords(mode string) string {
	if mode == "" {
		return "mode not set: auto"
	}
	return "mode " + mode
}
