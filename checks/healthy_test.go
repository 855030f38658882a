package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

const day = 86400 // seconds

// change breaks one thing of a healthy launch.
type change func(*Facts)

// and makes several changes, in order.
func and(changes ...change) change {
	return func(f *Facts) {
		for _, c := range changes {
			c(f)
		}
	}
}

// known and missing are facts of the tests.
func known[T any](v T) fact.Fact[T] { return fact.Of(v, "test") }

func missing[T any]() fact.Fact[T] { return fact.Missing[T]("test", "time-out") }

// healthy is an HGX H200 host of testdata/hosts/136-healthy-h200-570-fm.json (ollama/ollama#9031, after the
// fix): eight GPUs, driver 570.86.15, CUDA 12.8, Fabric Manager of the same version, one day after boot. A CDI
// launch asks for all GPUs of it and its image declares nothing.
func healthy() Facts {
	const version = "570.86.15"
	f := Facts{Requirement: RequirementAuto}
	f.Host = host.Facts{
		Platform: host.Platform{
			DXG: known(false), Tegra: known(false), ProcDriver: known(true),
			Hypervisor: known(false), InitialPIDNamespace: known(true),
		},
		Kernel: known("6.8.0-52-generic"), Uptime: known(float64(day)),
		Driver: host.Driver{Version: known(version), Flavor: known("open")},
		Libraries: known([]host.Library{
			{Name: "libcuda", Path: "/usr/lib/x86_64-linux-gnu/libcuda.so." + version, Version: version, Root: "/"},
			{Name: "libnvidia-ml", Path: "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so." + version, Version: version, Root: "/"},
		}),
		Sources: []host.Source{{Path: "/usr/lib/x86_64-linux-gnu/libcuda.so." + version, There: known(true)}},
		Majors:  known(map[string]int{"nvidia": 195, "nvidiactl": 195, "nvidia-uvm": 511, "nvidia-caps": 236}),
		MIGCaps: known([]host.MIGCapability{}),
		Params:  known(map[string]string{"NvLinkDisable": "0"}),
		Fabric: host.Fabric{
			Switches:      known(4),
			Manager:       known([]host.Process{{PID: 2101, Name: "nv-fabricmanage", Age: day - 60, Version: version}}),
			ManagerConfig: known(map[string]string{"FABRIC_MODE": "0"}),
			SubnetManager: known([]host.Process{}),
			IMEX:          known([]host.Process{}),
		},
		NVML: host.NVML{
			Library: known("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so." + version), Root: "/",
			Init: known(host.NVMLSuccess), Driver: known(version), CUDA: known("12.8"), Count: known(8),
			ConfCompute: known(host.ConfCompute{}),
		},
	}
	f.Host.Stack = healthyStack(version)
	f.Host.OS = known(host.OS{ID: "ubuntu", VersionID: "24.04", Like: "debian"})
	f.Launch = Launch{
		Container: &oci.Container{Devices: []specs.LinuxDevice{
			{Path: "/dev/nvidiactl", Type: "c", Major: 195, Minor: 255},
			{Path: "/dev/nvidia-uvm", Type: "c", Major: 511, Minor: 0},
		}},
		GPUs: oci.GPURequest{
			GPU: true, Injected: true, Route: oci.RouteCDI, All: true, Reasons: []string{"/dev/nvidiactl"},
			Libcuda: "/usr/lib/x86_64-linux-gnu/libcuda.so." + version,
		},
		Needs: image.Requirements{Compat: image.Compat{Why: image.NotLooked}},
	}
	putGPUs(&f, 8, board{"NVIDIA H200", "NVIDIA", "9.0", "2335"})
	for i := range 4 {
		f.Host.PCI.Value = append(f.Host.PCI.Value, host.PCIDevice{
			Bus: fmt.Sprintf("0000:c%d:00.0", i), Device: "22a3", Class: "0680", Driver: "nvidia-nvswitch",
		})
	}
	return f
}

// healthyStack is Ubuntu's headless driver with prebuilt open modules for both kernels, Fabric Manager and the
// container toolkit from one repository, and docker.
func healthyStack(version string) host.Stack {
	branch, _, _ := strings.Cut(version, ".")
	const release = "-0ubuntu0.24.04.1"
	pkg := func(name, version string) host.Package {
		return host.Package{Name: strings.ReplaceAll(name, "N", branch), Arch: "amd64", Version: version, State: "ii"}
	}
	kernel := func(release string) host.Kernel {
		return host.Kernel{Release: release, Image: true, Headers: true, Modules: []host.ModuleFile{{
			Path:   "/lib/modules/" + release + "/kernel/nvidia-" + branch + "srv-open/nvidia.ko",
			Origin: host.OriginPrebuilt, Version: version, Flavor: "open",
		}}}
	}
	return host.Stack{
		Kernels: known([]host.Kernel{kernel("6.8.0-51-generic"), kernel("6.8.0-52-generic")}),
		DKMS:    known([]host.DKMSTree{}), Installer: known(host.Installer{}),
		SecureBoot: known(false), SigEnforce: known(false), CommandLine: known([]string{}),
		Modules:  known([]string{"ib_umad", "mlx5_core", "mlx5_ib", "nvidia", "nvidia_modeset", "nvidia_uvm"}),
		ModProbe: known([]host.ModProbe{{Path: "/etc/modprobe.d/nvidia.conf", Command: "blacklist", Module: "nouveau"}}), KernelLog: known([]string{}),
		Copies: known([]host.LibraryCopy{}),
		Programs: known([]host.Program{
			{Path: "/usr/bin/nvidia-smi", Version: version},
			{Path: "/usr/bin/nv-fabricmanager", Version: version},
			{Path: "/usr/bin/nvidia-container-runtime"},
			{Path: "/usr/bin/nvidia-container-cli"},
			{Path: "/usr/bin/dockerd"},
		}),
		Toolkits: known([]host.Toolkit{}),
		Packages: known([]host.Package{
			pkg("libnvidia-compute-N-server", version+release), pkg("linux-modules-nvidia-N-server-open-6.8.0-52-generic", "6.8.0-52.53+1"),
			pkg("nvidia-fabricmanager-N", version+release), pkg("nvidia-headless-N-server-open", version+release),
			pkg("nvidia-utils-N-server", version+release), pkg("nvidia-container-toolkit", "1.18.1-1"),
		}),
		Available: known([]host.Candidate{}), ManagerLog: known([]string{}),
		CDI:         known([]host.CDIFile{{Path: "/etc/cdi/nvidia.yaml", Kind: "nvidia.com/gpu", Versions: []string{version}}}),
		ToolkitMode: known(""), Unlinked: known([]string{}), Systemd: known(true), Image: known(false),
	}
}

// board is a kind of GPU.
type board struct{ model, brand, capability, device string }

// putGPUs replaces the GPUs of the host, their nodes in the container and everything on the PCI bus.
func putGPUs(f *Facts, count int, b board) {
	var pci []host.PCIDevice
	var proc []host.ProcGPU
	var nvml []host.GPU
	devices := f.Launch.Container.Devices[:2:2]
	for i := range count {
		bus := fmt.Sprintf("0000:%x7:00.0", i+1)
		uuid := fmt.Sprintf("GPU-00000000-0000-4000-8000-%012d", i+1)
		pci = append(pci, host.PCIDevice{Bus: bus, Device: b.device, Class: "0302", Driver: "nvidia"})
		proc = append(proc, host.ProcGPU{Bus: bus, Model: b.model, UUID: uuid, Minor: i, Resident: true})
		nvml = append(nvml, host.GPU{
			Bus: "0000" + bus, Handle: known(host.NVMLSuccess), Index: known(i), Minor: known(i), UUID: known(uuid),
			Name: known(b.model), Brand: known(b.brand), Capability: known(b.capability),
			MIG: known(host.MIGMode{}), Instances: known([]host.MIGDevice{}),
			Fabric:   known(host.FabricState{State: host.FabricCompleted}),
			Recovery: known(host.RecoveryNone), Compute: known(host.Compute{}), Draining: known(false),
			Memory:      known(host.Memory{Uncorrected: new(uint64), Rows: &host.RowRemapping{}}),
			Persistence: known(true), Inforom: known(host.NVMLSuccess), Slowdown: known(uint64(0)),
		})
		devices = append(devices, specs.LinuxDevice{Path: fmt.Sprintf("/dev/nvidia%d", i), Type: "c", Major: 195, Minor: int64(i)})
	}
	f.Host.PCI, f.Host.ProcGPUs, f.Host.NVML.GPUs, f.Host.NVML.Count = known(pci), known(proc), nvml, known(count)
	f.Launch.Container.Devices = devices
}

// driver makes every place of the host tell this driver and its CUDA.
func driver(version, cuda string) change {
	return func(f *Facts) {
		f.Host.Driver.Version, f.Host.NVML.Driver, f.Host.NVML.CUDA = known(version), known(version), known(cuda)
		f.Host.NVML.Library = known("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so." + version)
		f.Launch.GPUs.Libcuda = "/usr/lib/x86_64-linux-gnu/libcuda.so." + version
		libraries := slices.Clone(f.Host.Libraries.Value)
		for i := range libraries {
			libraries[i].Version = version
		}
		f.Host.Libraries.Value = libraries
		for i := range f.Host.Fabric.Manager.Value {
			f.Host.Fabric.Manager.Value[i].Version = version
		}
		f.Host.Stack = healthyStack(version)
	}
}

// gpus makes a host without NVSwitches of count GPUs.
func gpus(count int, b board) change {
	return func(f *Facts) {
		putGPUs(f, count, b)
		f.Host.Fabric.Switches, f.Host.Fabric.Manager = known(0), known([]host.Process{})
		f.Host.Fabric.ManagerConfig = known(map[string]string{})
		fabricIs(host.FabricNotSupported, 0)(f)
	}
}

// Boards that the tests name.
var (
	h200    = board{"NVIDIA H200", "NVIDIA", "9.0", "2335"}
	a100    = board{"NVIDIA A100-SXM4-40GB", "NVIDIA", "8.0", "20b0"}
	t4      = board{"Tesla T4", "TESLA", "7.5", "1eb8"}
	rtx4090 = board{"NVIDIA GeForce RTX 4090", "GEFORCE_RTX", "8.9", "2684"}
	b200    = board{"NVIDIA B200", "NVIDIA", "10.0", "2901"}
)

// hgxA100 is the host of testdata/hosts/052-ubuntu2004-a100-802-535-183.json once Fabric Manager runs.
func hgxA100(f *Facts) {
	switches := slices.DeleteFunc(slices.Clone(f.Host.PCI.Value), func(p host.PCIDevice) bool { return p.Class != "0680" })
	for i := range switches {
		switches[i].Device = "1af1"
	}
	putGPUs(f, 8, a100)
	f.Host.PCI.Value = append(f.Host.PCI.Value, switches...)
	driver("535.183.01", "12.2")(f)
	fabricIs(host.FabricNotSupported, 0)(f)
}

// hgxB200 has no NVSwitch on PCI; Fabric Manager and nvlsm serve it.
func hgxB200(f *Facts) {
	gpus(8, b200)(f)
	driver("580.95.05", "13.0")(f)
	fabricIs(host.FabricCompleted, 0)(f)
	f.Host.Fabric.Manager = known([]host.Process{{PID: 2101, Name: "nv-fabricmanage", Age: day, Version: "580.95.05"}})
	f.Host.Fabric.SubnetManager = known([]host.Process{{PID: 2102, Name: "nvlsm", Age: day}})
}

// gpuIs changes NVML's answers for one GPU.
func gpuIs(i int, c func(*host.GPU)) change { return func(f *Facts) { c(&f.Host.NVML.GPUs[i]) } }

// everyGPU changes NVML's answers for all GPUs.
func everyGPU(c func(*host.GPU)) change {
	return func(f *Facts) {
		for i := range f.Host.NVML.GPUs {
			c(&f.Host.NVML.GPUs[i])
		}
	}
}

// notAsked is a GPU that was left alone because it is not resident.
func notAsked(g *host.GPU) { *g = host.GPU{Bus: g.Bus, NotAsked: "the GPU is not initialised"} }

// silent is a GPU that did not answer in time.
func silent(g *host.GPU) { *g = host.GPU{Bus: g.Bus, Handle: missing[int]()} }

func fabricIs(state, status int) change { return everyGPU(fabricOf(state, status)) }

func fabricOf(state, status int) func(*host.GPU) {
	return func(g *host.GPU) { g.Fabric = known(host.FabricState{State: state, Status: status}) }
}

// ask requests GPUs by name in place of all.
func ask(names ...string) change {
	return func(f *Facts) { f.Launch.GPUs.All, f.Launch.GPUs.Devices = false, names }
}

// askNodes requests GPUs by the minors of their nodes in place of all.
func askNodes(minors ...int) change {
	return func(f *Facts) { f.Launch.GPUs.All, f.Launch.GPUs.Minors = false, minors }
}

// env gives the container an environment to declare its needs in.
func env(lines ...string) change {
	return func(f *Facts) { f.Launch.Needs.Declared = image.FromEnv(lines) }
}

// capabilities sets NVIDIA_DRIVER_CAPABILITIES.
func capabilities(words ...string) change {
	return func(f *Facts) { f.Launch.GPUs.Capabilities = words }
}

func observer(f *Facts) { f.Launch.GPUs.Observer = "the program is nvidia-smi" }

func legacyHook(f *Facts) { f.Launch.GPUs.NVIDIAHook, f.Launch.GPUs.Route = true, oci.RouteLegacy }

func wsl(f *Facts) {
	f.Host.Platform.DXG, f.Host.Platform.ProcDriver = known(true), known(true)
	f.Launch.GPUs.DXG, f.Launch.GPUs.Libcuda = true, ""
}

func tegra(f *Facts) { f.Host.Platform.Tegra = known(true) }

func noProcDriver(f *Facts) { f.Host.Platform.ProcDriver = known(false) }

// booted sets the uptime in seconds.
func booted(seconds float64) change { return func(f *Facts) { f.Host.Uptime = known(seconds) } }

func initCode(code int) change {
	return func(f *Facts) {
		f.Host.NVML = host.NVML{Library: f.Host.NVML.Library, Root: f.Host.NVML.Root, Init: known(code)}
	}
}

// noNVML is a host whose NVML gave no answer.
func noNVML(f *Facts) { f.Host.NVML = host.NVML{Init: missing[int]()} }
