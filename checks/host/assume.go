package host

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/fact"
)

// assumedSource is the source of every fact of an assumed host.
const assumedSource = "assumed"

// maxAssumedGPUs bounds gpus=; the largest real hosts have 16.
const maxAssumedGPUs = 64

var assumeKeys = []string{"driver", "cuda", "arch", "brand", "gpus"}

// Assume makes the facts of a healthy bare-metal host without NVSwitches from a list such as
// "driver=535.183.06,arch=8.9,brand=GeForce,gpus=1". "key=" makes that fact unknown. What is not given: driver,
// arch and brand are unknown, cuda is what the driver's branch brings by the table (unknown when the branch is
// not in it), gpus is 1. brand takes NVML's and libnvidia-container's words. Errors name the key.
func Assume(spec string) (Facts, error) {
	given, err := assumptions(spec)
	if err != nil {
		return Facts{}, err
	}
	a := assumed{driver: given["driver"], arch: given["arch"], brand: given["brand"], cuda: given["cuda"]}
	if _, set := given["cuda"]; !set {
		a.cuda = tableCUDA(a.driver)
	}
	count, set := given["gpus"]
	switch {
	case !set:
		a.gpus = fact.Of(1, assumedSource)
	case count == "":
		a.gpus = fact.Missing[int](assumedSource, "left open")
	default:
		n, _ := strconv.Atoi(count) // assumptions has read it
		a.gpus = fact.Of(n, assumedSource)
	}
	return a.facts(), nil
}

// assumptions reads the list and checks each value.
func assumptions(spec string) (map[string]string, error) {
	given := map[string]string{}
	for pair := range strings.SplitSeq(spec, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok {
			return nil, fmt.Errorf("%q is not key=value", pair)
		}
		if !slices.Contains(assumeKeys, key) {
			return nil, fmt.Errorf("unknown key %q: the keys are %s", key, strings.Join(assumeKeys, ", "))
		}
		if _, twice := given[key]; twice {
			return nil, fmt.Errorf("%s is given twice", key)
		}
		if err := assumable(key, value); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		given[key] = value
	}
	return given, nil
}

// assumable tells what is wrong with a value; an empty one leaves the fact open.
func assumable(key, value string) error {
	var err error
	switch {
	case value == "":
	case key == "driver":
		_, err = cuda.ParseDriver(value)
	case key == "cuda":
		_, err = cuda.ParseVersion(value)
	case key == "arch":
		major, minor, ok := strings.Cut(value, ".")
		if !ok || !digits(major) || !digits(minor) {
			err = fmt.Errorf("%q is no compute capability such as 8.9", value)
		}
	case key == "gpus":
		if n, wrong := strconv.Atoi(value); wrong != nil || n < 0 || n > maxAssumedGPUs {
			err = fmt.Errorf("%q is no number from 0 to %d", value, maxAssumedGPUs)
		}
	}
	return err
}

func digits(s string) bool { return s != "" && len(s) < 4 && strings.Trim(s, "0123456789") == "" }

// tableCUDA is what a driver's branch brings, "" when that is not known.
func tableCUDA(driver string) string {
	d, err := cuda.ParseDriver(driver)
	if err != nil {
		return ""
	}
	row, ok := cuda.MaxCUDA(d.Branch())
	if !ok {
		return ""
	}
	return row.Version.String()
}

type assumed struct {
	driver, cuda, arch, brand string // "" for unknown
	gpus                      fact.Fact[int]
}

// left is a given value, or an open one.
func left(value string) fact.Fact[string] {
	if value == "" {
		return fact.Missing[string](assumedSource, "left open")
	}
	return fact.Of(value, assumedSource)
}

func of[T any](value T) fact.Fact[T] { return fact.Of(value, assumedSource) }

func (a assumed) facts() Facts {
	f := Facts{
		Schema: Schema,
		Platform: Platform{
			DXG: of(false), Tegra: of(false), ProcDriver: of(true), Hypervisor: of(false), InitialPIDNamespace: of(true),
		},
		Uptime:    of(float64(24 * 60 * 60)),
		Driver:    Driver{Version: left(a.driver)},
		Libraries: fact.Missing[[]Library](assumedSource, "left open"),
		Majors:    of(map[string]int{"nvidia": 195, "nvidiactl": 195, "nvidia-uvm": 511}),
		MIGCaps:   of([]MIGCapability{}),
		Params:    of(map[string]string{}),
		Fabric: Fabric{
			Switches: of(0), Manager: of([]Process{}), ManagerConfig: of(map[string]string{}), SubnetManager: of([]Process{}),
		},
		NVML: NVML{
			Root: "/", Init: of(NVMLSuccess), Driver: left(a.driver), CUDA: left(a.cuda), Count: a.gpus,
			ConfCompute: of(ConfCompute{}),
		},
	}
	if a.driver != "" {
		const dir = "/usr/lib/x86_64-linux-gnu/"
		nvml := dir + "libnvidia-ml.so." + a.driver
		f.NVML.Library = of(nvml)
		f.Libraries = of([]Library{
			{Name: "libcuda", Path: dir + "libcuda.so." + a.driver, Version: a.driver, Root: "/"},
			{Name: "libnvidia-ml", Path: nvml, Version: a.driver, Root: "/"},
		})
	}
	if a.gpus.Known() {
		a.addGPUs(&f)
	}
	return f
}

// addGPUs writes each GPU where the driver, the kernel and NVML would show it.
func (a assumed) addGPUs(f *Facts) {
	var pci []PCIDevice
	var proc []ProcGPU
	nodes := []Node{{"/dev/nvidiactl", 195, 255}, {"/dev/nvidia-uvm", 511, 0}}
	for i := range a.gpus.Value {
		bus, uuid := fmt.Sprintf("0000:%02x:00.0", i+1), fmt.Sprintf("GPU-00000000-0000-4000-8000-%012d", i)
		pci = append(pci, PCIDevice{Bus: bus, Class: "0302", Driver: "nvidia"})
		proc = append(proc, ProcGPU{Bus: bus, UUID: uuid, Minor: i, Resident: true})
		nodes = append(nodes, Node{fmt.Sprintf("/dev/nvidia%d", i), 195, i})
		f.NVML.GPUs = append(f.NVML.GPUs, GPU{
			Bus: bus, Handle: of(NVMLSuccess), Index: of(i), Minor: of(i), UUID: of(uuid),
			Brand: left(a.brand), Capability: left(a.arch), MIG: of(MIGMode{}), Instances: of([]MIGDevice{}), Fabric: of(FabricState{State: FabricNotSupported}),
			Recovery: of(RecoveryNone), Memory: of(Memory{}), Compute: of(Compute{}), Draining: of(false),
			Persistence: of(true), Inforom: of(NVMLSuccess), Slowdown: of(uint64(0)),
		})
	}
	f.PCI, f.ProcGPUs, f.Nodes = of(pci), of(proc), of(nodes)
}
