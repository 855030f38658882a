package checks

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/checks/host"
)

// imexChannels are the nodes by which a container shares GPU memory with other trays of its NVLink domain.
const imexChannels = "/dev/nvidia-caps-imex-channels/"

// On GB200 and GB300 trays nvidia-imex carries what one tray exports to another. CUDA itself runs without, and the
// daemon may run in a container that starts with this one (the DRA driver's compute domains): it only warns, and only
// where a channel is given.
// https://docs.nvidia.com/multi-node-nvlink-systems/imex-guide/
var imex = Check{
	ID:    "imex",
	Title: "nvidia-imex runs where a launch on a tray gets an IMEX channel",
	Layer: FabricSys,
	Why:   `memory of another tray cannot be mapped: error 800, "operation not permitted"`,
	CUDA:  []int{800},
	Links: []string{"https://docs.nvidia.com/multi-node-nvlink-systems/imex-guide/"},
	After: []string{"driver-loaded", "gpu-present"},
	Run: func(f Facts) Result {
		kind, why := f.fabric()
		majors, daemon := f.Host.Majors, f.Host.Fabric.IMEX
		switch {
		case !f.asksChannel():
			return skip("no IMEX channel is asked for")
		case kind == fabricUnknown:
			return unknown("%s", why)
		case kind != fabricTray || strings.Contains(why, "GH200"):
			return skip("no tray of an NVLink domain: %s", why)
		case majors.Known() && majors.Value["nvidia-caps-imex-channels"] == 0:
			return warn("an IMEX channel is given, but the kernel has none (nvidia-caps-imex-channels)").
				fix("load the driver with its IMEX channels, and give the channel by its CDI name").from(majors.Source)
		}
		if domain := f.brokenDomain(); len(domain) > 0 {
			return warn("GPU %s waits for its IMEX domain to recover (NVML recovery action 5)", names(domain)).
				fix("restart nvidia-imex on every tray of the domain").from(domain[0].Recovery.Source)
		}
		switch {
		case !daemon.Known():
			return unknown("%s", daemon.Why())
		case len(daemon.Value) > 0:
			return pass("nvidia-imex runs (pid %d)", daemon.Value[0].PID).from(daemon.Source)
		case !f.seesProcesses():
			return unknown("no nvidia-imex is seen, but the host's processes cannot be seen from here")
		}
		return warn("an IMEX channel is given, but nvidia-imex does not run on this tray").
			fix("start nvidia-imex on every tray of the domain (systemctl start nvidia-imex), or see to the daemon of the compute domain").
			from(daemon.Source)
	},
}

func (f Facts) asksChannel() bool {
	return f.Launch.Container != nil && slices.ContainsFunc(f.Launch.Container.Devices, func(d specs.LinuxDevice) bool {
		return strings.HasPrefix(d.Path, imexChannels)
	})
}

func (f Facts) brokenDomain() []gpu {
	return slices.DeleteFunc(f.asked().GPUs, func(g gpu) bool { return !g.Recovery.Known() || g.Recovery.Value != host.RecoveryIMEX })
}
