package checks

import (
	"slices"
	"strings"
)

// A CDI file lists the driver's files by name, version and all. After an upgrade it names files that are gone, and
// no container starts, or mounts libraries that the module does not know.
var cdiFiles = Check{
	ID:     "cdi-files",
	Title:  "the CDI files describe the driver that is loaded",
	Layer:  Container,
	Why:    "containers that ask for GPUs by CDI do not start, or get libraries of another version than the module: 803",
	CUDA:   []int{803},
	Links:  []string{"https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		files := f.Host.Stack.CDI
		if !files.Known() {
			return unknown("%s", files.Why())
		}
		if len(files.Value) == 0 {
			return skip("no CDI file of NVIDIA's")
		}
		const again = "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml (toolkit 1.18 and later: systemctl restart nvidia-cdi-refresh)"
		for _, file := range files.Value {
			loaded := f.loaded()
			switch {
			case loaded != "" && len(file.Versions) > 0 && !slices.Contains(file.Versions, loaded):
				return warn("%s mounts libcuda %s, and driver %s is loaded", file.Path, strings.Join(file.Versions, ", "), loaded).
					fix(again).from(file.Path, f.Host.Driver.Version.Source)
			case len(file.Gone) > 0:
				return warn("%s names files that are not there: %s", file.Path, few(file.Gone)).fix(again).from(file.Path)
			}
		}
		return pass("%s, naming nothing that is gone", counted(len(files.Value), "file")).from(files.Source)
	},
}
