package checks

import (
	"testing"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// noManager: nobody runs Fabric Manager. A zombie is not in the list of living processes either.
func noManager(f *Facts) { f.Host.Fabric.Manager = known([]host.Process{}) }

func fabricMode(mode string) change {
	return func(f *Facts) { f.Host.Fabric.ManagerConfig = known(map[string]string{"FABRIC_MODE": mode}) }
}

func nvLinkDisable(f *Facts) { f.Host.Params = known(map[string]string{"NvLinkDisable": "1"}) }

func otherPIDNamespace(f *Facts) { f.Host.Platform.InitialPIDNamespace = known(false) }

func pidNamespaceUnknown(f *Facts) { f.Host.Platform.InitialPIDNamespace = missing[bool]() }

func noSwitches(f *Facts) {
	f.Host.Fabric.Switches = known(0)
	f.Host.PCI.Value = f.Host.PCI.Value[:len(f.Host.NVML.GPUs)]
}

func guest(f *Facts) { f.Host.Platform.Hypervisor = known(true) }

// vGPU is a virtual GPU of an A100 board.
func vGPU(f *Facts) {
	everyGPU(func(g *host.GPU) { g.Brand, g.Name = known("NVIDIA_VCS"), known("GRID A100X-40C") })(f)
}

// brokenA100 is an HGX A100 without Fabric Manager, a day after boot.
var brokenA100 = and(hgxA100, noManager)

func TestFabricManagerRunning(t *testing.T) {
	testCheck(t, fabricManagerRunning, []row{
		// Volta and Ampere: nothing but the daemon sets up the switches.
		{"installed as a service", brokenA100, "fail again", "systemctl restart nvidia-fabricmanager"},
		{"in a driver container", and(brokenA100, func(f *Facts) {
			f.Host.Fabric.ManagerConfig.Source = driverContainerRoot + "/usr/share/nvidia/nvswitch/fabricmanager.cfg"
		}), "fail again", "restart that container"},
		{"on a system that is one image", and(brokenA100, func(f *Facts) { f.Host.OS = known(host.OS{ID: "talos"}) }), "fail again", "(535.183.01) on this host"},
		{"A100 with the daemon", hgxA100, "pass", "2101"},
		{"A100 without the daemon", brokenA100, "fail again", "HGX A100|nv-fabricmanager does not run|802|535.183.01"},
		{"within ten minutes of boot", and(brokenA100, booted(599)), "fail transient", ""},
		{"ten minutes after boot", and(brokenA100, booted(600)), "fail again", ""},
		{"time of boot unknown", and(brokenA100, func(f *Facts) { f.Host.Uptime = missing[float64]() }), "fail transient", ""},
		{"one GPU of the board is asked for", and(brokenA100, ask("2")), "fail again", ""},
		{"MIG does not exempt", and(brokenA100, everyGPU(func(g *host.GPU) { g.MIG = known(host.MIGMode{Current: true, Pending: true}) })), "fail again", ""},
		{"V100 with NVSwitches", and(brokenA100, func(f *Facts) {
			putGPUs(f, 8, board{"Tesla V100-SXM3-32GB", "TESLA", "7.0", "1db8"})
		}), "fail again", "Volta or Ampere"},
		{"inside a container: absence is no fact", and(brokenA100, otherPIDNamespace), "unknown", ""},
		{"pid namespace unknown", and(brokenA100, pidNamespaceUnknown), "unknown", ""},
		{"processes unread", and(hgxA100, func(f *Facts) { f.Host.Fabric.Manager = missing[[]host.Process]() }), "unknown", "time-out"},
		{"an observer", and(brokenA100, observer), "warn", "nvidia-smi"},
		{"without compute", and(brokenA100, capabilities("utility", "graphics")), "skip", "NVIDIA_DRIVER_CAPABILITIES"},
		{"with compute", and(brokenA100, capabilities("utility", "compute")), "fail again", ""},
		// Hopper and later: NVML's state decides, a dead daemon warns.
		{"H200 with the daemon", nil, "pass", ""},
		{"H200 without the daemon: the state is latched", noManager, "warn", "does not run|registration stays"},
		{"H200 inside a container", and(noManager, otherPIDNamespace), "unknown", ""},
		{"B200: nvlsm lives, the daemon does not", and(hgxB200, noManager), "warn", ""},
		// Systems whose fabric is not this host's.
		{"NvLinkDisable", and(brokenA100, nvLinkDisable), "skip", "NvLinkDisable"},
		{"NvLinkDisable comes before FABRIC_MODE 1", and(brokenA100, nvLinkDisable, fabricMode("1")), "skip", "NvLinkDisable"},
		{"FABRIC_MODE 1", and(brokenA100, fabricMode("1")), "warn", "FABRIC_MODE 1"},
		{"FABRIC_MODE 2", and(brokenA100, fabricMode("2")), "skip", "FABRIC_MODE 2"},
		{"vGPU", and(brokenA100, vGPU), "skip", "virtual GPU"},
		{"settings of Fabric Manager unread", and(brokenA100, func(f *Facts) { f.Host.Fabric.ManagerConfig = missing[map[string]string]() }), "unknown", "time-out"},
		{"module parameters unread", and(brokenA100, func(f *Facts) { f.Host.Params = missing[map[string]string]() }), "unknown", "time-out"},
		{"GH200 with something like a switch", and(noManager, everyGPU(func(g *host.GPU) { g.Name = known("NVIDIA GH200 480GB") })), "skip", "GH200"},
		{"a GB200 tray", and(gpus(4, board{"NVIDIA GB200", "NVIDIA", "10.0", "2941"})), "skip", "GB200"},
		{"PCIe", gpus(2, t4), "skip", "no NVSwitch"},
		{"a guest without switches", and(brokenA100, noSwitches, guest), "skip", "no NVSwitch"},
		{"a guest that was given the switches", and(brokenA100, guest), "fail again", ""},
		{"switches unread", and(brokenA100, func(f *Facts) { f.Host.Fabric.Switches = missing[int]() }), "unknown", ""},
		{"generation unknown", and(brokenA100, func(f *Facts) {
			f.Host.PCI = fact.Missing[[]host.PCIDevice]("/sys/bus/pci/devices", "time-out")
			f.Host.ProcGPUs = missing[[]host.ProcGPU]()
			everyGPU(silent)(f)
		}), "unknown", "generation"},
	})
}
