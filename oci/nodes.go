package oci

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	nvidiaMajor = 195 // static, Documentation/admin-guide/devices.txt
	ctlMinor    = 255 // /dev/nvidiactl
	maxGPUMinor = 247 // 248 to 255 are control nodes (nv-chardev-numbers.h of the open kernel modules)
	// The minors of /dev/nvidia-caps below 3 are config (1) and monitor (2) of MIG as a whole.
	firstInstanceCap = 3

	maxNamed = 16 // nodes that a reason names
)

// nodes are the NVIDIA nodes among a container's devices.
type nodes struct {
	minors   []int // /dev/nvidiaN
	caps     []int // /dev/nvidia-caps/nvidia-capN
	dxg      bool  // WSL2
	tegra    bool  // an integrated GPU: /dev/nvhost-gpu, /dev/nvgpu/…
	control  bool  // nvidiactl, nvidia-uvm, nvidia-uvm-tools
	nvswitch bool
}

// gpu tells whether the nodes show use of a GPU. Control nodes alone do too (the excerpts of older CDI
// specifications), but not beside NVSwitch nodes: that is Fabric Manager, which repairs a host.
// nvidia-modeset, IMEX channels and MIG's config and monitor nodes by themselves are no GPU.
func (n nodes) gpu() bool {
	return len(n.minors) > 0 || len(n.instances()) > 0 || n.dxg || n.tegra || n.control && !n.nvswitch
}

// instances are the caps that open MIG instances.
func (n nodes) instances() []int {
	var caps []int
	for _, minor := range n.caps {
		if minor >= firstInstanceCap {
			caps = append(caps, minor)
		}
	}
	return caps
}

// findNodes reads linux.devices, and bind mounts of single nodes (rootless engines cannot make nodes).
func findNodes(c *Container, majors func() (map[string]int, error)) nodes {
	var n nodes
	var names map[int]string
	for _, d := range c.Devices {
		if d.Type == "b" || d.Type == "p" {
			continue
		}
		if n.add(d.Path, d.Major, d.Minor) || !dynamic(d) || majors == nil {
			continue
		}
		if names == nil {
			names = byMajor(majors)
		}
		n.addNamed(names[int(d.Major)], d.Minor)
	}
	for _, m := range c.Mounts {
		if strings.HasPrefix(m.Source, "/dev/") {
			n.add(m.Source, 0, 0)
		}
	}
	slices.Sort(n.minors)
	n.minors = slices.Compact(n.minors)
	slices.Sort(n.caps)
	n.caps = slices.Compact(n.caps)
	return n
}

// dynamic tells whether only /proc/devices knows whose device this is: 234-254 and 384-511 are assigned at run
// time (Documentation/admin-guide/devices.txt).
func dynamic(d specs.LinuxDevice) bool {
	return !strings.HasPrefix(d.Path, "/dev/nvidia") && (d.Major >= 234 && d.Major <= 254 || d.Major >= 384)
}

// byMajor turns /proc/devices round. When it cannot be read, such a device shows nothing.
func byMajor(majors func() (map[string]int, error)) map[int]string {
	names := map[int]string{}
	known, err := majors()
	if err != nil {
		return names
	}
	for name, major := range known {
		names[major] = name
	}
	return names
}

// addNamed takes a device by the name of its driver in /proc/devices.
func (n *nodes) addNamed(driver string, minor int64) {
	switch driver {
	case "nvidia-uvm":
		n.control = true
	case "nvidia-caps":
		n.caps = append(n.caps, int(minor))
	case "nvidia-nvswitch":
		n.nvswitch = true
	}
}

// add takes a device by major 195, else by its path, and tells whether one of them said what it is.
func (n *nodes) add(file string, major, minor int64) bool {
	if major != nvidiaMajor {
		return n.addPath(path.Clean(file))
	}
	switch {
	case minor >= 0 && minor <= maxGPUMinor:
		n.minors = append(n.minors, int(minor))
	case minor == ctlMinor:
		n.control = true
	}
	return true
}

func (n *nodes) addPath(file string) bool {
	if minor, ok := nodeNumber(file, "/dev/nvidia"); ok {
		n.minors = append(n.minors, minor)
		return true
	}
	if minor, ok := nodeNumber(file, "/dev/nvidia-caps/nvidia-cap"); ok {
		n.caps = append(n.caps, minor)
		return true
	}
	switch {
	case strings.HasPrefix(file, "/dev/nvidia-nvswitch"):
		n.nvswitch = true
	case file == "/dev/nvidiactl" || strings.HasPrefix(file, "/dev/nvidia-uvm"):
		n.control = true
	case file == "/dev/dxg":
		n.dxg = true
	case file == "/dev/nvhost-gpu" || file == "/dev/nvhost-ctrl-gpu" || strings.HasPrefix(file, "/dev/nvgpu/"):
		n.tegra = true
	default:
		return false
	}
	return true
}

// word names what shows a GPU, for a reason.
func (n nodes) word() string {
	switch {
	case len(n.minors) > 0:
		names := make([]string, min(len(n.minors), maxNamed))
		for i := range names {
			names[i] = "/dev/nvidia" + strconv.Itoa(n.minors[i])
		}
		return "devices " + strings.Join(names, ", ")
	case n.dxg:
		return "device /dev/dxg"
	case n.tegra:
		return "devices of an integrated GPU (nvhost-gpu, nvgpu)"
	case n.gpu():
		return "control devices (nvidiactl, nvidia-uvm, nvidia-caps)"
	}
	return ""
}

// nodeNumber cuts N out of /dev/nvidiaN.
func nodeNumber(file, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(file, prefix)
	if !ok || !isNumber(digits) {
		return 0, false
	}
	number, err := strconv.Atoi(digits)
	return number, err == nil && number < 1<<20
}
