package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

var (
	notStarted = fabricIs(host.FabricNotStarted, 0)
	inProgress = fabricIs(host.FabricInProgress, 0)
)

// managerAge says how long Fabric Manager has been running, in seconds.
func managerAge(seconds float64) change {
	return func(f *Facts) { f.Host.Fabric.Manager.Value[0].Age = seconds }
}

func managerLives(f *Facts) {
	f.Host.Fabric.Manager = known([]host.Process{{PID: 2101, Name: "nv-fabricmanage", Age: day, Version: "580.95.05"}})
}

// switchesOfHopper are known by the GPUs, where PCI was not read.
func switchesOfHopper(f *Facts) { f.Host.Fabric.Switches = known(4) }

func TestFabricState(t *testing.T) {
	gb200 := gpus(4, board{"NVIDIA GB200", "NVIDIA", "10.0", "2941"})
	testCheck(t, fabricState, []row{
		// Hopper and later.
		{"completed", nil, "pass", "completed"},
		{"completed, the daemon has died since: the other check warns", noManager, "pass", ""},
		{"completed with an error", fabricIs(host.FabricCompleted, 23), "fail", "23|error"},
		{"an error is final at once", and(fabricIs(host.FabricCompleted, 23), booted(60)), "fail", ""},
		{"a status counts only when completed", fabricIs(host.FabricNotStarted, 23), "fail again", ""},
		{"not started", notStarted, "fail again", "has not started|802"},
		{"in progress", inProgress, "fail again", "still in progress|0000:17:00.0"},
		{"in progress without the daemon", and(inProgress, noManager), "fail again", "nv-fabricmanager does not run"},
		{"in progress within ten minutes of boot", and(inProgress, booted(599)), "fail transient", ""},
		{"in progress ten minutes after boot", and(inProgress, booted(600)), "fail again", ""},
		{"the daemon was restarted", and(inProgress, managerAge(599)), "fail transient", ""},
		{"the daemon has had ten minutes", and(inProgress, managerAge(600)), "fail again", ""},
		{"time of boot unknown", and(inProgress, func(f *Facts) { f.Host.Uptime = missing[float64]() }), "fail transient", ""},
		{"whether a daemon runs is unknown", and(inProgress, func(f *Facts) { f.Host.Fabric.Manager = missing[[]host.Process]() }), "fail transient", ""},
		{"no daemon is seen from a container", and(inProgress, noManager, otherPIDNamespace), "fail transient", ""},
		{"a state that says nothing", fabricIs(7, 0), "warn", "7"},
		{"not supported on a switch board", fabricIs(host.FabricNotSupported, 0), "warn", ""},
		{"NVML does not tell", everyGPU(func(g *host.GPU) { g.Fabric = missing[host.FabricState]() }), "unknown", "time-out"},
		{"no GPU answered", everyGPU(silent), "unknown", ""},
		{"no NVML", noNVML, "unknown", ""},
		{"none is resident", everyGPU(notAsked), "skip", "not asked"},
		// Which GPUs.
		{"a GPU not asked for", and(gpuIs(3, fabricOf(host.FabricInProgress, 0)), ask("1")), "pass", ""},
		{"the GPU asked for", and(gpuIs(3, fabricOf(host.FabricInProgress, 0)), ask("3")), "fail again", "3 (0000:47:00.0)"},
		{"all means what works", gpuIs(3, fabricOf(host.FabricInProgress, 0)), "warn", "0000:47:00.0"},
		{"one fails, the rest is not resident", and(everyGPU(notAsked), gpuIs(3, fabricOf(host.FabricInProgress, 0))), "warn", ""},
		{"one fails, one is silent", and(gpuIs(3, fabricOf(host.FabricInProgress, 0)), gpuIs(4, silent)), "warn", ""},
		{"two asked, one may come, one never will", and(booted(60), gpuIs(1, fabricOf(host.FabricInProgress, 0)), gpuIs(2, fabricOf(host.FabricCompleted, 23)), ask("1", "2")), "fail", "23"},
		{"the same in the other order", and(booted(60), gpuIs(2, fabricOf(host.FabricInProgress, 0)), gpuIs(1, fabricOf(host.FabricCompleted, 23)), ask("1", "2")), "fail", "23"},
		{"all, one may come, the rest never will", and(booted(60), fabricIs(host.FabricCompleted, 23), gpuIs(2, fabricOf(host.FabricInProgress, 0))), "fail transient", ""},
		{"all, and of eight only one answered in time", and(inProgress, answeredOnly(1), switchesOfHopper), "warn", "0000:17:00.0"},
		{"all, and the only one left over is held by no driver", and(inProgress, unbound(7)), "fail again", ""},
		{"an observer", and(inProgress, observer), "warn", ""},
		{"without compute", and(inProgress, capabilities("video", "utility")), "skip", "NVIDIA_DRIVER_CAPABILITIES"},
		// HGX B200 has no switch on PCI.
		{"B200", hgxB200, "pass", ""},
		{"Blackwell without a name beside a daemon may be a tray", and(hgxB200, inProgress, func(f *Facts) {
			f.Host.ProcGPUs = missing[[]host.ProcGPU]()
		}, everyGPU(func(g *host.GPU) { g.Name = missing[string]() })), "warn", ""},
		{"B200 in progress", and(hgxB200, inProgress), "fail again", "nvlsm"},
		{"B200, nvlsm was restarted", and(hgxB200, inProgress, func(f *Facts) { f.Host.Fabric.SubnetManager.Value[0].Age = 5 }), "fail transient", ""},
		{"B200, only nvlsm lives", and(hgxB200, inProgress, noManager), "fail again", ""},
		{"B200, both are dead but installed", and(hgxB200, inProgress, noManager, fabricMode("0"), func(f *Facts) {
			f.Host.Fabric.SubnetManager = known([]host.Process{})
		}), "fail again", ""},
		{"B200, nothing of Fabric Manager is there", and(hgxB200, inProgress, noManager, func(f *Facts) {
			f.Host.Fabric.SubnetManager = known([]host.Process{})
		}), "warn", ""},
		// The order of the table.
		{"NvLinkDisable", and(inProgress, nvLinkDisable), "skip", "NvLinkDisable"},
		{"FABRIC_MODE 2", and(inProgress, fabricMode("2")), "skip", "FABRIC_MODE 2"},
		{"FABRIC_MODE 1: until a partition is activated", and(inProgress, fabricMode("1")), "warn", "in progress"},
		{"FABRIC_MODE 1 and completed", fabricMode("1"), "pass", ""},
		{"vGPU", and(inProgress, vGPU), "skip", "virtual GPU"},
		{"vGPU comes before a switch", and(fabricIs(host.FabricCompleted, 23), vGPU), "skip", ""},
		{"settings unread", and(inProgress, func(f *Facts) { f.Host.Fabric.ManagerConfig = missing[map[string]string]() }), "unknown", ""},
		{"GB200 completed", and(gb200, fabricIs(host.FabricCompleted, 0)), "pass", ""},
		{"GB200 with an error", and(gb200, fabricIs(host.FabricCompleted, 23)), "warn", "23"},
		{"GB200 in progress", and(gb200, inProgress, booted(60)), "warn", ""},
		{"GB200 without a fabric", gb200, "warn", ""},
		{"GB200, NVML does not tell", and(gb200, everyGPU(silent)), "unknown", ""},
		{"GB300 comes before a switch", and(inProgress, everyGPU(func(g *host.GPU) { g.Name = known("NVIDIA GB300") })), "warn", ""},
		{"GH200", and(inProgress, everyGPU(func(g *host.GPU) { g.Name = known("NVIDIA GH200 480GB") })), "warn", ""},
		{"a GH200 that stands alone", and(everyGPU(func(g *host.GPU) {
			g.Name = known("NVIDIA GH200 480GB")
			g.Fabric = known(host.FabricState{State: host.FabricNotSupported})
		})), "skip", ""},
		{"A100: the daemon's life decides", and(hgxA100, inProgress), "skip", "HGX A100"},
		{"PCIe", gpus(2, t4), "skip", "no NVSwitch"},
		{"PCIe, NVML does not tell", and(gpus(2, t4), everyGPU(silent)), "skip", "no NVSwitch"},
		{"PCIe in progress", and(gpus(2, board{"NVIDIA H100 NVL", "NVIDIA", "9.0", "2321"}), inProgress), "warn", "in progress"},
		{"PCIe in progress after a young boot", and(gpus(2, board{"NVIDIA H100 NVL", "NVIDIA", "9.0", "2321"}), inProgress, booted(30)), "warn", ""},
		{"PCIe with Fabric Manager installed", and(gpus(2, board{"NVIDIA H100 NVL", "NVIDIA", "9.0", "2321"}), inProgress, fabricMode("0")), "warn", ""},
		{"PCIe where Fabric Manager stays resident for nothing", and(gpus(2, board{"NVIDIA H100 NVL", "NVIDIA", "9.0", "2321"}), inProgress, fabricMode("0"), managerLives), "warn", ""},
		{"a workstation Blackwell board likewise", and(gpus(2, board{"NVIDIA RTX PRO 6000 Blackwell Server Edition", "NVIDIA_RTX", "12.0", "2bb5"}), inProgress, managerLives), "warn", ""},
		{"a guest under shared NVSwitches", and(inProgress, noSwitches, noManager, guest), "warn", ""},
		{"one GPU passed through", and(gpus(1, h200), guest), "skip", ""},
		{"switches unread", and(noManager, func(f *Facts) { f.Host.Fabric.Switches = missing[int]() }), "unknown", ""},
	})
}
