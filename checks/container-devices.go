package checks

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/oci"
)

// CUDA opens /dev/nvidiactl and /dev/nvidia-uvm; without them, or with a node of another device number than the
// kernel's, it ends in 999 or 304. The major of nvidia-uvm is dynamic and changes between boots, so that a
// specification generated before the boot may carry an old one.
// https://github.com/pytorch/pytorch/issues/49081, ggml-org/llama.cpp#7218
var containerDevices = Check{
	ID:     "container-devices",
	Title:  "the device nodes that CUDA opens are given, with the kernel's numbers",
	Layer:  Container,
	Why:    `CUDA would fail with error 999, "unknown error"`,
	CUDA:   []int{999, 304},
	Links:  []string{"https://github.com/pytorch/pytorch/issues/49081"},
	After:  []string{"nvidia-uvm-loaded"},
	Launch: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		switch route := f.Launch.GPUs.Route; {
		case f.Launch.Container == nil:
			return skip("no container configuration to look at")
		case !f.wantsCompute():
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		case f.Launch.GPUs.NVIDIAHook:
			return skip("NVIDIA's own hook adds the nodes later")
		case route != oci.RouteCDI && route != oci.RouteDevices:
			return skip("the nodes are added later (%s)", route)
		case mountsDev(f.Launch.Container.Mounts):
			return skip("a /dev of the host is mounted")
		case !f.linux():
			return unknown("whether this host needs NVIDIA's nodes is not known")
		}
		wrong, missing := f.wrongMajor(), f.missingNodes()
		if wrong.Status == StatusPass || rank(missing.Status) > rank(wrong.Status) {
			return missing
		}
		return wrong
	},
}

// wrongMajor finds a node whose major is not the kernel's for that driver. A node of nvidia-caps stops only what
// asks for a MIG instance. Major 0 is a number that nobody filled in.
func (f Facts) wrongMajor() Result {
	worst := pass("every node has the kernel's number")
	for _, d := range f.Launch.Container.Devices {
		want, known := f.kernelMajor(d.Path)
		if !known || d.Major == 0 || int(d.Major) == want {
			continue
		}
		r := fail("%s is given with major %d, but the kernel's is %d", d.Path, d.Major, want).
			fix("generate the CDI specification again (nvidia-ctk cdi generate)", "give the node by its path so that the runtime reads its number").
			from("linux.devices", f.Host.Majors.Source)
		if strings.HasPrefix(d.Path, "/dev/nvidia-caps/") && len(f.Launch.GPUs.MIGCaps) == 0 {
			r = r.lowered().because("it opens MIG capabilities, which this launch does not ask for; a launch that does would fail with error 999", 999)
		}
		if rank(r.Status) > rank(worst.Status) {
			worst = r
		}
	}
	return worst
}

// kernelMajor is the major that the kernel uses for a node: 195 for the GPUs and nvidiactl (static), the one of
// /proc/devices for nvidia-uvm and nvidia-caps while their drivers are registered.
func (f Facts) kernelMajor(node string) (int, bool) {
	name := ""
	switch base := path.Base(node); {
	case !strings.HasPrefix(node, "/dev/nvidia"):
		return 0, false
	case base == "nvidiactl" || base == "nvidia-modeset" || isGPUNode(base):
		return 195, true
	case strings.HasPrefix(base, "nvidia-uvm"):
		name = "nvidia-uvm"
	case strings.HasPrefix(base, "nvidia-cap"):
		name = "nvidia-caps"
	}
	major, ok := f.Host.Majors.Value[name]
	return major, ok && name != "" && f.Host.Majors.Known()
}

func isGPUNode(base string) bool {
	digits := strings.TrimPrefix(base, "nvidia")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

func (f Facts) missingNodes() Result {
	var missing []string
	for _, node := range []string{"/dev/nvidiactl", "/dev/nvidia-uvm"} {
		if !given(f.Launch.Container, node) {
			missing = append(missing, node)
		}
	}
	switch {
	case len(missing) == 0 && !f.Host.Majors.Known():
		return unknown("the kernel's device numbers are not known: %s", f.Host.Majors.Why())
	case len(missing) == 0:
		return pass("nvidiactl and nvidia-uvm are given").from("linux.devices")
	}
	if !slices.ContainsFunc(f.Launch.Container.Devices, func(d specs.LinuxDevice) bool { return isGPUNode(path.Base(d.Path)) }) {
		return warn("the driver's libraries are given, but no GPU (/dev/nvidia0 and so on)").
			fix("request the GPU by its CDI name (nvidia.com/gpu=all)").from("linux.devices")
	}
	// Graphics and video work without nvidia-uvm, so only a container that says it wants CUDA fails.
	if !f.declaresCUDA() {
		return warn("%s not given", list(missing)).fix("give the container " + list(missing)).from("linux.devices")
	}
	return fail("the GPUs are given without %s", list(missing)).
		fix("give the container " + list(missing) + " too, or request the GPU by its CDI name (nvidia.com/gpu=all)").
		from("linux.devices")
}

// declaresCUDA tells whether the container or its image says in words that it uses CUDA. The capability all does
// not: desktops and games ask for it to get graphics.
func (f Facts) declaresCUDA() bool {
	declared := f.Launch.Needs.Declared
	return slices.Contains(f.Launch.GPUs.Capabilities, "compute") || declared.CUDAVersion != "" || len(declared.Requirements) > 0
}

func given(c *oci.Container, node string) bool {
	for _, d := range c.Devices {
		if d.Path == node {
			return true
		}
	}
	for _, m := range c.Mounts {
		if path.Clean(m.Destination) == node {
			return true
		}
	}
	return false
}

func mountsDev(mounts []specs.Mount) bool {
	for _, m := range mounts {
		if path.Clean(m.Destination) == "/dev" && path.IsAbs(m.Source) {
			return true
		}
	}
	return false
}
