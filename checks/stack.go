package checks

import (
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/host"
	"gpu-preflight/checks/remedy"
)

// foreignStack says why the driver's installation on this host is not to be judged by Linux's files: a platform with
// a driver of its own, or a driver that a container brings.
func (f Facts) foreignStack() string {
	if why := f.foreign(); why != "" {
		return why
	}
	if f.driverContainer() {
		return "the driver comes from a driver container"
	}
	if !f.hasHardware() {
		return "no GPU of NVIDIA's on this host"
	}
	return ""
}

// foreignPackages says why packages tell nothing here.
func (f Facts) foreignPackages() string {
	if why := f.foreign(); why != "" {
		return why
	}
	if words := f.mend.Image(); words != "" {
		return "no packages to judge: " + words
	}
	return ""
}

// hasHardware tells whether the host has an NVIDIA GPU or switch, or may have one.
func (f Facts) hasHardware() bool {
	return !f.Host.PCI.Known() || len(f.Host.PCI.Value) > 0 || len(f.gpus()) > 0
}

// loaded is the version of the kernel module that is loaded, empty for none and where that is not known.
func (f Facts) loaded() string {
	if v := f.Host.Driver.Version; v.Known() && v.Value != "" {
		return v.Value
	}
	if f.Host.NVML.Driver.Known() {
		return f.Host.NVML.Driver.Value
	}
	return ""
}

// surelyNotLoaded tells that no module is loaded and that none loaded on demand.
func (f Facts) surelyNotLoaded() bool {
	version, init := f.Host.Driver.Version, f.Host.NVML.Init
	return version.Known() && version.Value == "" && init.Known() && init.Value == host.NVMLDriverNotLoaded
}

// kernelFolder is what lies in /lib/modules for a kernel; ok is false where there is no such folder.
func (f Facts) kernelFolder(release string) (host.Kernel, bool) {
	for _, k := range f.Host.Stack.Kernels.Value {
		if k.Release == release {
			return k, true
		}
	}
	return host.Kernel{}, false
}

// answering tells that NVML answers for every GPU that was asked, at least one.
func (f Facts) answering() bool {
	n := f.Host.NVML
	if !n.Init.Known() || n.Init.Value != host.NVMLSuccess || !n.Count.Known() || n.Count.Value == 0 {
		return false
	}
	return !slices.ContainsFunc(n.GPUs, func(g host.GPU) bool { return g.Handle.Known() && g.Handle.Value != host.NVMLSuccess })
}

// program tells whether one of the programs is on the host.
func (f Facts) program(names ...string) (host.Program, bool) {
	for _, p := range f.Host.Stack.Programs.Value {
		for _, name := range names {
			if strings.HasSuffix(p.Path, "/"+name) {
				return p, true
			}
		}
	}
	return host.Program{}, false
}

// firstUnknown is why the first unknown of some facts is unknown, empty where all are known.
func firstUnknown(facts ...interface{ Why() string }) string {
	for _, one := range facts {
		if why := one.Why(); why != "" {
			return why
		}
	}
	return ""
}

// ofRole keeps the driver's packages of some roles.
func ofRole(parts []remedy.Part, roles ...remedy.Role) []remedy.Part {
	return slices.DeleteFunc(slices.Clone(parts), func(p remedy.Part) bool { return !slices.Contains(roles, p.Role) })
}

// packageNames joins the names of packages, each once.
func packageNames(parts []remedy.Part) string { return few(labels(parts)) }

// labels are the names of packages, each once.
func labels(parts []remedy.Part) (list []string) {
	for _, p := range parts {
		if !slices.Contains(list, p.Label()) {
			list = append(list, p.Label())
		}
	}
	return list
}

// few joins at most six names.
func few(list []string) string {
	if len(list) > 6 {
		return strings.Join(list[:6], ", ") + " and others"
	}
	return strings.Join(list, ", ")
}

// Use is how a host is used, which decides what is right for it (reference: NVIDIA's driver installation guide, and
// the four set-ups that its packages are made for).
type Use string

// The four ways.
const (
	UseFabric    Use = "an NVSwitch system"
	UseDesktop   Use = "a desktop with a display"
	UseContainer Use = "a container host"
	UseTraining  Use = "a bare-metal node"
)

// Use tells how the host is used: by its switches, its display manager, its container engine, in this order.
func (f Facts) Use() Use {
	kind, _ := f.fabric()
	_, display := f.program("gdm3", "gdm", "sddm", "lightdm")
	_, engine := f.program("dockerd", "containerd", "podman", "crio", "k3s", "kubelet")
	switch {
	case kind == fabricManaged || kind == fabricRegister:
		return UseFabric
	case display:
		return UseDesktop
	case engine:
		return UseContainer
	}
	return UseTraining
}

// branchName is the middle of Ubuntu's package names: 535, 535-server.
func branchName(p remedy.Part) string {
	name := strconv.Itoa(p.Branch)
	if p.Server {
		name += "-server"
	}
	return name
}
