package checks

import (
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/host"
)

// fabricKind is how the GPUs of a host are joined, which decides who has to set the joints up.
type fabricKind int

const (
	fabricUnknown  fabricKind = iota
	fabricNone                // PCIe boards, bridges, guests, passed-through GPUs: nothing to set up
	fabricOff                 // NvLinkDisable, FABRIC_MODE 2, vGPU
	fabricShared              // FABRIC_MODE 1: partitions are activated by a manager elsewhere
	fabricTray                // GB200, GB300, GH200: the switches are elsewhere
	fabricManaged             // Volta and Ampere with NVSwitch: Fabric Manager must be alive
	fabricRegister            // Hopper and later with NVSwitch: each GPU registers and NVML tells the state
)

// fabric sorts the host into the rows of the fabric table, tested in this order (NVIDIA Fabric Manager user
// guide; gpu-operator#610, gpu-driver-container#909, gpud and NVSentinel for the traps).
func (f Facts) fabric() (fabricKind, string) {
	if off := f.fabricOff(); off != "" {
		return fabricOff, off
	}
	if f.Host.Fabric.ManagerConfig.Value["FABRIC_MODE"] == "1" {
		return fabricShared, "FABRIC_MODE 1 (shared NVSwitch): partitions are activated by the virtualization manager"
	}
	for _, g := range f.gpus() {
		if slices.ContainsFunc([]string{"GB200", "GB300", "GH200"}, func(board string) bool { return strings.Contains(g.model, board) }) {
			return fabricTray, g.model
		}
	}
	kind, why := f.switches()
	off := firstKnown(f.Host.Params.Why(), f.Host.Fabric.ManagerConfig.Why())
	if off != "" && (kind == fabricManaged || kind == fabricRegister) {
		return fabricUnknown, "whether the NVSwitches are in use is not known: " + off
	}
	return kind, why
}

// switches sorts by the switches that are seen, on PCI or by what serves them.
func (f Facts) switches() (fabricKind, string) {
	switches := f.Host.Fabric.Switches
	switch {
	case switches.Known() && switches.Value > 0:
		return f.switchGeneration()
	case f.managerAlive() && slices.ContainsFunc(f.gpus(), gpu.boardBlackwell):
		// HGX B200 and B300 have no NVSwitch on PCI; the daemon or nvlsm tells. Beside other GPUs it may stay
		// resident for nothing (FM_STAY_RESIDENT_ON_FAILURES).
		return fabricRegister, "Fabric Manager serves switches that are not on PCI"
	case f.blackwellBoard() && len(f.Host.Fabric.ManagerConfig.Value) > 0:
		return fabricRegister, "HGX B200 or B300: its switches are not on PCI, and Fabric Manager is installed"
	case switches.Known():
		return fabricNone, "no NVSwitch on this host"
	}
	return fabricUnknown, switches.Why()
}

func (f Facts) fabricOff() string {
	if f.Host.Params.Value["NvLinkDisable"] == "1" {
		return "NVLink is switched off (NvLinkDisable: 1)"
	}
	if f.Host.Fabric.ManagerConfig.Value["FABRIC_MODE"] == "2" {
		return "FABRIC_MODE 2 (vGPU)"
	}
	for _, g := range f.gpus() {
		if slices.Contains([]string{"NVIDIA_VAPPS", "NVIDIA_VPC", "NVIDIA_VCS", "NVIDIA_VWS", "NVIDIA_CLOUD_GAMING", "GRID"}, g.Brand.Value) {
			return "a virtual GPU"
		}
	}
	return ""
}

// switchGeneration tells Volta and Ampere from Hopper by the GPUs, else by the switches' PCI ids.
func (f Facts) switchGeneration() (fabricKind, string) {
	for _, p := range f.Host.PCI.Value {
		id, err := strconv.ParseUint(p.Device, 16, 16)
		if err != nil || !strings.HasPrefix(p.Class, "0680") {
			continue
		}
		if row, ok := cuda.FabricGeneration(uint16(id)); ok && (row.Generation == "1" || row.Generation == "2") {
			return fabricManaged, row.Systems
		} else if ok {
			return fabricRegister, row.Systems
		}
	}
	switch {
	case slices.ContainsFunc(f.gpus(), gpu.hopperOrLater):
		return fabricRegister, "NVSwitch, Hopper or later"
	case slices.ContainsFunc(f.gpus(), gpu.voltaOrAmpere):
		return fabricManaged, "NVSwitch, Volta or Ampere"
	}
	return fabricUnknown, "the generation of the NVSwitches is not known"
}

// hopperOrLater tells whether a GPU is known to be of Hopper or later, by compute capability or, for one that was not
// asked, by its model's name.
func (g gpu) hopperOrLater() bool {
	return g.isOf(func(major int, _ string) bool { return major >= 9 }, "H100", "H800", "H200", "H20", "B100", "B200", "B300")
}

// voltaOrAmpere tells likewise a GPU of the two earlier generations that NVSwitches join, and none of other boards.
func (g gpu) voltaOrAmpere() bool {
	return g.isOf(func(major int, minor string) bool { return minor == "0" && (major == 7 || major == 8) }, "V100", "A100", "A800")
}

func (g gpu) isOf(capability func(major int, minor string) bool, models ...string) bool {
	text, minor, _ := strings.Cut(g.Capability.Value, ".")
	if major, err := strconv.Atoi(text); err == nil && g.Capability.Known() {
		return capability(major, minor)
	}
	return slices.ContainsFunc(models, func(model string) bool { return strings.Contains(g.model, model) })
}

// blackwellBoard tells whether the host has the eight GPUs of an HGX B200 or B300 board. One of them passed through
// to a guest has no fabric to wait for.
func (f Facts) blackwellBoard() bool {
	count := 0
	for _, g := range f.gpus() {
		if g.blackwellModel() {
			count++
		}
	}
	return count >= 8
}

// boardBlackwell tells a GPU of the kind that HGX B200 and B300 boards carry: compute capability 10, or the name.
func (g gpu) boardBlackwell() bool {
	major, _, _ := strings.Cut(g.Capability.Value, ".")
	return g.Capability.Known() && major == "10" && g.model != "" || g.blackwellModel()
}

func (g gpu) blackwellModel() bool {
	return slices.ContainsFunc(strings.Fields(g.model), func(word string) bool {
		return word == "B100" || word == "B200" || word == "B300"
	})
}

func (f Facts) managerAlive() bool {
	fabric := f.Host.Fabric
	return fabric.Manager.Known() && len(fabric.Manager.Value) > 0 ||
		fabric.SubnetManager.Known() && len(fabric.SubnetManager.Value) > 0
}

// managerSettled tells whether Fabric Manager and nvlsm, if they run, have been running long enough to have done
// their work. Where processes cannot be seen it is not known, and counts as not settled.
func (f Facts) managerSettled() bool {
	manager := f.Host.Fabric.Manager
	if !manager.Known() || len(manager.Value) == 0 && !f.seesProcesses() {
		return false
	}
	daemons := slices.Concat(manager.Value, f.Host.Fabric.SubnetManager.Value)
	return !slices.ContainsFunc(daemons, func(p host.Process) bool { return p.Age < bootGrace })
}

// startManager is what sets up the fabric of this host: a command only where Fabric Manager is installed as a service.
func (f Facts) startManager() string {
	version := "Fabric Manager of the driver's very version (" + f.driverName() + ")"
	config := f.Host.Fabric.ManagerConfig
	switch {
	case strings.HasPrefix(config.Source, driverContainerRoot):
		return "start " + version + ", which the driver container holds: restart that container"
	case len(config.Value) > 0 && f.mend.Image() == "":
		return "start " + version + " on this host: systemctl restart nvidia-fabricmanager"
	case len(config.Value) > 0:
		return "start " + version + " on this host"
	}
	return "install and start " + version + " on this host"
}
