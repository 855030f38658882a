package checks

import (
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
)

// A GPU in MIG mode runs CUDA on its instances only: without any, CUDA finds no device. A mode that is still to be
// switched at the next reset only warns.
// https://docs.nvidia.com/datacenter/tesla/mig-user-guide/ (creating GPU instances)
var migMode = Check{
	ID:    "mig-mode",
	Title: "GPUs in MIG mode have instances, and those given exist",
	Layer: Hardware,
	Why:   `CUDA would fail with error 100, "no CUDA-capable device is detected"`,
	CUDA:  []int{100},
	Links: []string{"https://docs.nvidia.com/datacenter/tesla/mig-user-guide/"},
	After: []string{"nvml-responds", "gpu-present", "gpu-reachable"},
	Run: func(f Facts) Result {
		if !f.wantsCompute() {
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		}
		r := eachGPU(f, func(g gpu) fact.Fact[host.MIGMode] { return g.MIG }, f.migOf,
			"no GPU asked for is in MIG mode without instances",
			"create instances (nvidia-smi mig -cgi PROFILE -C), or switch MIG mode off (nvidia-smi -mig 0) and reset the GPU",
			"ask for an instance by its name")
		if r.Status == StatusFail {
			r.Transient = f.justBooted() || f.migPending() // somebody is at it
			r.LookAgain = !r.Transient
		}
		if gone := f.goneInstances(); r.Status == StatusPass && gone != "" {
			return warn("the nodes of MIG instances given (nvidia-cap%s) belong to no instance of this host", gone).
				fix("generate the CDI specification again (nvidia-ctk cdi generate): MIG was set up anew since").
				from("linux.devices", f.Host.MIGCaps.Source)
		}
		return r
	},
}

// migOf judges one GPU.
func (f Facts) migOf(g gpu, mode host.MIGMode) said {
	switch {
	case !mode.Current && mode.Pending:
		return said{StatusWarn, "goes into MIG mode at the next reset"}
	case !mode.Current:
		return said{StatusPass, ""}
	case !g.Instances.Known():
		return said{StatusUnknown, "is in MIG mode; its instances are not known: " + g.Instances.Why()}
	case len(g.Instances.Value) == 0:
		return said{StatusFail, "is in MIG mode and has no instance"}
	case !mode.Pending:
		return said{StatusWarn, "leaves MIG mode at the next reset"}
	case f.givesWhole(g):
		return said{StatusWarn, "is in MIG mode, but is given whole: without the nodes of an instance (/dev/nvidia-caps)"}
	}
	return said{StatusPass, ""}
}

func (f Facts) migPending() bool {
	return slices.ContainsFunc(f.asked().GPUs, func(g gpu) bool { return g.MIG.Value.Current != g.MIG.Value.Pending })
}

// givesWhole tells whether the configuration has a GPU's own node and no instance's; with NVIDIA's hook or runtime
// those come later.
func (f Facts) givesWhole(g gpu) bool {
	want := f.Launch.GPUs
	final := !want.NVIDIAHook && (want.Route == oci.RouteCDI || want.Route == oci.RouteDevices)
	return final && len(want.MIGCaps) == 0 && slices.Contains(want.Minors, g.minor)
}

// goneInstances lists the minors of /dev/nvidia-caps that were given and that open nothing on this host, if none of
// them does.
func (f Facts) goneInstances() string {
	if !f.Host.MIGCaps.Known() {
		return ""
	}
	var gone []string
	for _, minor := range f.Launch.GPUs.MIGCaps {
		if slices.ContainsFunc(f.Host.MIGCaps.Value, func(c host.MIGCapability) bool { return c.Minor == minor }) {
			return ""
		}
		gone = append(gone, strconv.Itoa(minor))
	}
	return strings.Join(gone, ", nvidia-cap")
}
