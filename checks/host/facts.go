// Package host reads the facts of this host's NVIDIA stack. It does not judge them.
//
// What can hang in the kernel (the driver's own files, PCI configuration, NVML) is read in a child with a
// deadline; what arrived before the deadline is kept and the rest is unknown.
package host

import "gpu-preflight/checks/fact"

// Schema names the JSON form of Facts; additions only.
const Schema = "gpu-preflight.facts/v1"

// Facts is everything known about a host. The zero Facts knows nothing.
type Facts struct {
	Schema       string                       `json:"schema"`
	Platform     Platform                     `json:"platform"`
	Kernel       fact.Fact[string]            `json:"kernel,omitzero"`   // release, as uname -r prints it
	OS           fact.Fact[OS]                `json:"os,omitzero"`       // os-release
	Uptime       fact.Fact[float64]           `json:"uptime_s,omitzero"` // seconds since boot
	Driver       Driver                       `json:"driver"`
	Libraries    fact.Fact[[]Library]         `json:"libraries,omitzero"`
	PCI          fact.Fact[[]PCIDevice]       `json:"pci,omitzero"`       // NVIDIA functions of class 03xx and 0680
	ProcGPUs     fact.Fact[[]ProcGPU]         `json:"proc_gpus,omitzero"` // the driver's own list
	Nodes        fact.Fact[[]Node]            `json:"nodes,omitzero"`     // NVIDIA device nodes below /dev
	Majors       fact.Fact[map[string]int]    `json:"majors,omitzero"`    // character majors of /proc/devices by name
	MIGCaps      fact.Fact[[]MIGCapability]   `json:"mig_caps,omitzero"`
	Params       fact.Fact[map[string]string] `json:"params,omitzero"` // /proc/driver/nvidia/params
	Fabric       Fabric                       `json:"fabric"`
	Persistenced fact.Fact[[]Process]         `json:"persistenced,omitzero"`
	Sources      []Source                     `json:"sources,omitempty"` // what this launch has mounted, where somebody looked
	NVML         NVML                         `json:"nvml"`
	Stack        Stack                        `json:"stack,omitzero"`
	Installed    Installed                    `json:"-"` // of a launch that failed, and not kept
}

// Platform tells the kinds of host on which some facts do not exist by design.
type Platform struct {
	DXG                 fact.Fact[bool] `json:"dxg,omitzero"`                   // WSL2: /dev/dxg is there
	Tegra               fact.Fact[bool] `json:"tegra,omitzero"`                 // Jetson: /etc/nv_tegra_release or soc0/family
	ProcDriver          fact.Fact[bool] `json:"proc_driver,omitzero"`           // /proc/driver is there (not in gVisor and some nested hosts)
	Hypervisor          fact.Fact[bool] `json:"hypervisor,omitzero"`            // cpuinfo has the hypervisor flag
	InitialPIDNamespace fact.Fact[bool] `json:"initial_pid_namespace,omitzero"` // false: processes and packages of the host cannot be seen
}

// OS is what os-release says.
type OS struct {
	ID        string `json:"id"`
	VersionID string `json:"version_id,omitempty"`
	Pretty    string `json:"pretty,omitempty"`
	Like      string `json:"like,omitempty"` // ID_LIKE: the distributions that it is made after
}

// Driver is the loaded kernel module.
type Driver struct {
	Version fact.Fact[string] `json:"version,omitzero"` // 535.183.06; known and empty: no module is loaded
	Flavor  fact.Fact[string] `json:"flavor,omitzero"`  // open | proprietary
}

// Library is a user-space driver library found below a driver root. Files alone prove nothing about a launch.
type Library struct {
	Name    string `json:"name"`    // libcuda | libnvidia-ml
	Path    string `json:"path"`    // as seen on the host
	Version string `json:"version"` // from the file name
	Root    string `json:"root"`    // the driver root it belongs to
}

// PCIDevice is one NVIDIA function on the PCI bus.
type PCIDevice struct {
	Bus     string `json:"bus"`               // 0000:17:00.0
	Device  string `json:"device"`            // 20b2
	Class   string `json:"class"`             // 0300 | 0302 | 0680
	Driver  string `json:"driver"`            // nvidia | nouveau | nova | vfio-pci | nvidia-nvswitch | "" for none
	OffBus  bool   `json:"off_bus,omitempty"` // configuration reads ff ff ff ff
	Virtual bool   `json:"virtual,omitempty"` // SR-IOV virtual function (physfn link)
}

// ProcGPU is /proc/driver/nvidia/gpus/<bus>/information.
type ProcGPU struct {
	Bus      string `json:"bus"`
	Model    string `json:"model,omitempty"`
	UUID     string `json:"uuid,omitempty"`
	Minor    int    `json:"minor"`              // -1 when not shown
	Resident bool   `json:"resident,omitempty"` // its Video BIOS version is known: the GPU is initialised
	Excluded bool   `json:"excluded,omitempty"`
}

// Node is a device node.
type Node struct {
	Path  string `json:"path"`
	Major int    `json:"major"`
	Minor int    `json:"minor"`
}

// MIGCapability ties a minor of /dev/nvidia-caps to what it opens
// (/proc/driver/nvidia/capabilities/gpu<N>/mig/gi<G>/[ci<C>/]access).
type MIGCapability struct {
	Minor int `json:"minor"`
	GPU   int `json:"gpu"` // minor of the parent GPU
	GI    int `json:"gi"`
	CI    int `json:"ci"` // -1 for the GPU instance itself
}

// Process is a daemon of the driver stack.
type Process struct {
	PID     int     `json:"pid"`
	Name    string  `json:"name"`
	Age     float64 `json:"age_s"` // seconds since it started
	Version string  `json:"version,omitempty"`
}

// Fabric is what is known of NVSwitch systems.
type Fabric struct {
	Switches      fact.Fact[int]               `json:"switches,omitzero"`       // NVSwitches the driver holds (PCI class 0680 on nvidia-nvswitch, or /proc/driver/nvidia-nvswitch)
	Manager       fact.Fact[[]Process]         `json:"manager,omitzero"`        // living nv-fabricmanager processes
	ManagerConfig fact.Fact[map[string]string] `json:"manager_config,omitzero"` // fabricmanager.cfg, FABRIC_MODE among it
	SubnetManager fact.Fact[[]Process]         `json:"subnet_manager,omitzero"` // nvlsm
	IMEX          fact.Fact[[]Process]         `json:"imex,omitzero"`           // nvidia-imex: shares memory between the trays of an NVLink domain
}
