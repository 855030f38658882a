package plan

import (
	"slices"
	"strings"

	"gpu-preflight/checks/host"
	"gpu-preflight/checks/remedy"
)

// What brings the driver onto a host, as Plan.By says it.
const (
	apt          = "apt"
	dnf          = "dnf"
	zypper       = "zypper"
	gke          = "gke"
	bottlerocket = "bottlerocket"
	talos        = "talos"
	flatcar      = "flatcar"
	nixos        = "nixos"
	operator     = "gpu-operator"
	wsl          = "wsl"
	jetson       = "jetson"
	vgpu         = "vgpu"
	image        = "image"
	container    = "container"
	unknown      = "unknown"
)

// byID are systems that bring their driver in a way of their own, by the ID of os-release(5).
var byID = map[string]string{"cos": gke, "bottlerocket": bottlerocket, "talos": talos, "flatcar": flatcar, "nixos": nixos}

// byFamily are the rest.
var byFamily = map[remedy.Family]string{
	remedy.FamilyApt: apt, remedy.FamilyDNF: dnf, remedy.FamilyZypper: zypper, remedy.FamilyImage: image,
	remedy.FamilyPacman: unknown, remedy.FamilyUnknown: unknown, // a rolling distribution has one branch, or a package for each
}

// without are releases for which NVIDIA's repository has none of the branches to choose from.
var without = []string{"rhel 7", "centos 7", "ol 7", "amzn 2"}

// broughtBy tells what brings the driver. Platforms whose driver is not this system's come before the system.
func (v hostView) broughtBy() string {
	p, os := v.facts.Platform, v.facts.OS.Value
	switch {
	case p.DXG.Value:
		return wsl
	case p.Tegra.Value:
		return jetson
	case slices.ContainsFunc(v.gpus, gpu.virtual):
		return vgpu
	case p.InitialPIDNamespace.Known() && !p.InitialPIDNamespace.Value:
		return container
	case slices.ContainsFunc(v.facts.Libraries.Value, func(l host.Library) bool { return l.Root == "/run/nvidia/driver" }) || v.facts.NVML.Root == "/run/nvidia/driver":
		return operator
	}
	if by, ok := byID[os.ID]; ok {
		return by
	}
	if slices.Contains(without, os.ID+" "+major(os.VersionID)) {
		return unknown
	}
	return byFamily[v.software.remedy.Family()]
}

// virtual tells a GPU of NVIDIA's virtual GPU software, by NVML's brand.
func (g gpu) virtual() bool {
	return slices.Contains([]string{"NVIDIA_VAPPS", "NVIDIA_VPC", "NVIDIA_VCS", "NVIDIA_VWS", "NVIDIA_CLOUD_GAMING", "GRID"}, g.brand)
}

func major(version string) string {
	first, _, _ := strings.Cut(version, ".")
	return first
}

// osName is ID and version, without quotes and blanks of a file that is not ours.
func osName(os host.OS) string { return strings.TrimSpace(os.ID + " " + os.VersionID) }

// fabricNeed is what joins the GPUs of a host by NVLink switches.
type fabricNeed struct {
	generation string // of cuda.FabricSystem; empty: none
	manager    bool   // Fabric Manager runs here
	subnet     bool   // and nvlsm
	imex       bool   // nvidia-imex, the switches are elsewhere
}

// fabric sorts the host into the systems of the Fabric Manager user guide. HGX B200 and B300 have no switch on PCI: the
// eight GPUs of the board tell them, or a manager that is installed.
func (v hostView) fabric() fabricNeed {
	f := v.facts.Fabric
	installed := len(f.Manager.Value)+len(f.SubnetManager.Value)+len(f.ManagerConfig.Value) > 0
	boards := v.boards("B100", "B200", "B300")
	switch {
	case v.boards("GB200", "GB300") > 0:
		return fabricNeed{generation: "NVL72", imex: true}
	case boards >= 8 || boards > 0 && installed:
		return fabricNeed{generation: "4", manager: true, subnet: true}
	case f.Switches.Value == 0:
		return fabricNeed{}
	case slices.ContainsFunc(v.gpus, func(g gpu) bool { return g.arch.Name == "Hopper" }):
		return fabricNeed{generation: "3", manager: true}
	}
	return fabricNeed{generation: "2", manager: true}
}

// boards counts the GPUs in whose names one of the words stands.
func (v hostView) boards(words ...string) int {
	count := 0
	for _, g := range v.gpus {
		if slices.ContainsFunc(strings.Fields(g.name), func(w string) bool { return slices.Contains(words, w) }) {
			count++
		}
	}
	return count
}
