package checks

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

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
		Majors:  known(map[string]int{"nvidia": 195, "nvidiactl": 195, "nvidia-uvm": 511, "nvidia-caps": 236}),
		MIGCaps: known([]host.MIGCapability{}),
		Params:  known(map[string]string{"NvLinkDisable": "0"}),
		Fabric: host.Fabric{
			Switches:      known(4),
			Manager:       known([]host.Process{{PID: 2101, Name: "nv-fabricmanage", Age: day - 60, Version: version}}),
			ManagerConfig: known(map[string]string{"FABRIC_MODE": "0"}),
			SubnetManager: known([]host.Process{}),
		},
		NVML: host.NVML{
			Library: known("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so." + version), Root: "/",
			Init: known(host.NVMLSuccess), Driver: known(version), CUDA: known("12.8"), Count: known(8),
		},
	}
	f.Launch = Launch{
		Container: &oci.Container{Devices: []specs.LinuxDevice{
			{Path: "/dev/nvidiactl", Type: "c", Major: 195, Minor: 255},
			{Path: "/dev/nvidia-uvm", Type: "c", Major: 511, Minor: 0},
		}},
		GPUs: oci.GPURequest{
			GPU: true, Injected: true, Route: oci.RouteCDI, All: true, Reasons: []string{"/dev/nvidiactl"},
			Libcuda: "/usr/lib/x86_64-linux-gnu/libcuda.so." + version,
		},
	}
	putGPUs(&f, 8, board{"NVIDIA H200", "NVIDIA", "9.0", "2335"})
	for i := range 4 {
		f.Host.PCI.Value = append(f.Host.PCI.Value, host.PCIDevice{
			Bus: fmt.Sprintf("0000:c%d:00.0", i), Device: "22a3", Class: "0680", Driver: "nvidia-nvswitch",
		})
	}
	return f
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
			Fabric: known(host.FabricState{State: host.FabricCompleted}),
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

// row is one launch and what the check says of it: a status, with "transient" or "again" where the launch waits,
// and words of the text, with | between them.
type row struct {
	name   string
	change change
	want   string
	says   string
}

// testCheck judges each row, and holds every text to the rules for texts.
func testCheck(t *testing.T, check Check, rows []row) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := healthy()
			if row.change != nil {
				row.change(&f)
			}
			r := Run(f, []Check{check})[0]
			if got := told(r); got != row.want {
				t.Fatalf("%s (%s), want %s", got, r.What, row.want)
			}
			text := r.What + " | " + r.Why + " | " + strings.Join(r.Fix, " | ")
			for word := range strings.SplitSeq(row.says, "|") {
				if !strings.Contains(text, word) {
					t.Errorf("%q does not say %q", text, word)
				}
			}
			checkTexts(t, r)
			if again := Run(f, []Check{check})[0]; !reflect.DeepEqual(r, again) {
				t.Errorf("judged twice with two results: %+v, %+v", r, again)
			}
		})
	}
}

func told(r Result) string {
	switch {
	case r.Transient && r.LookAgain:
		return string(r.Status) + " transient and again"
	case r.Transient:
		return string(r.Status) + " transient"
	case r.LookAgain:
		return string(r.Status) + " again"
	}
	return string(r.Status)
}

// rewritten are the words for which Docker changes an exit code (moby, daemon/start.go).
var rewritten = []string{
	"permission denied", "no such file or directory", "is a directory", "not a directory", "executable file not found",
}

// checkTexts holds a result to the rules for every text of every check. A warning has a fix too: the policy may
// make it a refusal.
func checkTexts(t *testing.T, r Result) {
	t.Helper()
	for _, text := range append([]string{r.What, r.Why}, r.Fix...) {
		checkText(t, text)
	}
	if r.What == "" || slices.Contains(r.Fix, "") || slices.Contains(r.Source, "") {
		t.Errorf("empty text: %+v", r)
	}
	bad := r.Status == StatusFail || r.Status == StatusWarn
	if bad != (r.Why != "") || bad && len(r.Fix) == 0 {
		t.Errorf("%s with why %q and fix %q: %s", r.Status, r.Why, r.Fix, r.What)
	}
}

func checkText(t *testing.T, text string) {
	t.Helper()
	if strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text {
		t.Errorf("%q ends in a period or has space around it", text)
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
		t.Errorf("%q is not plain ASCII", text)
	}
	for _, word := range rewritten {
		if strings.Contains(strings.ToLower(text), word) {
			t.Errorf("%q has words for which Docker rewrites exit codes", text)
		}
	}
}

func TestAllIsWhole(t *testing.T) {
	want := []string{
		"driver-loaded", "driver-library-version", "nvml-responds", "gpu-present", "gpu-reachable", "gpu-injected",
		"container-devices", "cuda-requirement", "cuda-driver-version", "gpu-compute-capability",
		"fabric-manager-running", "fabric-manager-version", "fabric-state",
	}
	var ids []string
	for _, c := range All() {
		for _, id := range c.After {
			if !slices.Contains(ids, id) {
				t.Errorf("%s comes after %s, which is no earlier check", c.ID, id)
			}
		}
		ids = append(ids, c.ID)
		if c.Title == "" || c.Why == "" || c.Layer == "" || len(c.CUDA) == 0 || len(c.Links) == 0 || c.Run == nil {
			t.Errorf("%s lacks a title, a why, a layer, CUDA errors, links or Run", c.ID)
		}
		checkText(t, c.Title)
		checkText(t, c.Why)
	}
	if !slices.Equal(ids, want) {
		t.Errorf("%q, want %q", ids, want)
	}
}

// TestACheckIsItsFile: the ID is the file name, so that a message leads to its code.
func TestACheckIsItsFile(t *testing.T) {
	for _, c := range All() {
		source, err := os.ReadFile(c.ID + ".go")
		if err != nil || !strings.Contains(string(source), `"`+c.ID+`"`) {
			t.Errorf("%s is not in a file of its name: %v", c.ID, err)
		}
		if _, err := os.Stat(c.ID + "_test.go"); err != nil {
			t.Error(err)
		}
	}
}

func TestHealthyHostsPass(t *testing.T) {
	for name, c := range map[string]change{
		"H200": and(), "A100": hgxA100, "B200": hgxB200,
		"PCIe": and(gpus(2, t4), driver("535.183.06", "12.2")), "GeForce": gpus(1, rtx4090),
	} {
		f := healthy()
		c(&f)
		env("NVIDIA_REQUIRE_CUDA=cuda>=12.2")(&f)
		for _, r := range Run(f, All()) {
			if r.Status != StatusPass && r.Status != StatusSkip {
				t.Errorf("%s: %s: %s (%s)", name, r.ID, r.Status, r.What)
			}
		}
	}
}

// TestNothingKnown: facts that nobody read give unknown, whatever the launch asks for. The checks named here
// rest on the launch alone.
func TestNothingKnown(t *testing.T) {
	whole := healthy()
	env("CUDA_VERSION=13.0.0", "NVIDIA_REQUIRE_CUDA=cuda>=99", "NVIDIA_REQUIRE_ARCH=arch>=9.0")(&whole)
	whole.Launch.GPUs.Capabilities = []string{"compute"}
	bare := Launch{GPUs: oci.GPURequest{GPU: true, Injected: true}}
	hooked := whole.Launch
	hooked.GPUs.NVIDIAHook = true
	noNodes := whole.Launch
	noNodes.Container = &oci.Container{}
	for name, tt := range map[string]struct {
		launch Launch
		rests  map[string]Status
	}{
		"bare": {bare, map[string]Status{
			"gpu-injected": StatusPass, "container-devices": StatusSkip, "cuda-requirement": StatusSkip,
			"cuda-driver-version": StatusSkip, "gpu-compute-capability": StatusSkip,
		}},
		"all asked": {whole.Launch, map[string]Status{"gpu-injected": StatusPass}},
		"hook":      {hooked, map[string]Status{"gpu-injected": StatusPass, "container-devices": StatusSkip}},
		"no nodes":  {noNodes, map[string]Status{"gpu-injected": StatusPass}},
	} {
		for _, mode := range []Requirement{RequirementAuto, RequirementDeclared, RequirementMinorVersion} {
			for _, r := range Run(Facts{Launch: tt.launch, Requirement: mode}, All()) {
				want, ok := tt.rests[r.ID]
				if !ok {
					want = StatusUnknown
				}
				if r.Status != want {
					t.Errorf("%s, %s: %s: %s (%s), want %s", name, mode, r.ID, r.Status, r.What, want)
				}
				checkTexts(t, r)
			}
		}
	}
}

// TestEachFactMissing takes one fact of a healthy launch away at a time: no check may fail or warn for it.
func TestEachFactMissing(t *testing.T) {
	for name, system := range map[string]change{"H200": and(), "A100": hgxA100, "B200": hgxB200, "GeForce": gpus(1, rtx4090)} {
		count := 0
		for i := 0; ; i++ {
			f := healthy()
			system(&f)
			env("NVIDIA_REQUIRE_CUDA=cuda>=12.2,driver>=535,arch>=5.0")(&f)
			field, ok := forget(reflect.ValueOf(&f.Host).Elem(), new(i))
			if !ok {
				break
			}
			count++
			for _, r := range Run(f, All()) {
				if r.Status == StatusFail || r.Status == StatusWarn {
					t.Errorf("%s without %s: %s: %s (%s)", name, field, r.ID, r.Status, r.What)
				}
				checkTexts(t, r)
			}
		}
		if count < 30 {
			t.Errorf("%s: only %d facts were taken away", name, count)
		}
	}
}

// forget makes the n-th fact below v unknown and returns its name.
func forget(v reflect.Value, n *int) (string, bool) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			if name, ok := forget(v.Index(i), n); ok {
				return fmt.Sprintf("[%d].%s", i, name), true
			}
		}
	case reflect.Struct:
		if unknown := v.FieldByName("Unknown"); unknown.IsValid() {
			if *n--; *n < 0 {
				v.SetZero()
				unknown.SetString("time-out")
				return "", true
			}
			return "", false
		}
		for i := range v.NumField() {
			if name, ok := forget(v.Field(i), n); ok {
				return v.Type().Field(i).Name + "." + name, true
			}
		}
	default:
	}
	return "", false
}

func TestRunSkipsWhatFollows(t *testing.T) {
	f := healthy()
	f.Host.Driver.Version = known("")
	initCode(host.NVMLDriverNotLoaded)(&f)
	for i, r := range Run(f, All()) {
		check := All()[i]
		switch after := slices.Contains(check.After, "driver-loaded"); {
		case r.ID == "driver-loaded" && r.Status != StatusFail:
			t.Errorf("driver-loaded: %s", r.Status)
		case after && (r.Status != StatusSkip || !strings.Contains(r.What, "driver-loaded")):
			t.Errorf("%s: %s (%s), want a skip that names driver-loaded", r.ID, r.Status, r.What)
		case r.ID != "driver-loaded" && r.Status == StatusFail:
			t.Errorf("%s: one cause, one finding: %s", r.ID, r.What)
		}
	}
	observer(&f)
	for _, r := range Run(f, All()) {
		if r.Status == StatusFail {
			t.Errorf("%s fails for an observer", r.ID)
		}
	}
}

func TestNamedLeavesOut(t *testing.T) {
	left := Named([]string{"gpu-present", "fabric-state", "no-such-check"})
	if len(left) != len(All())-2 || slices.ContainsFunc(left, func(c Check) bool { return c.ID == "gpu-present" || c.ID == "fabric-state" }) {
		t.Errorf("%d checks left", len(left))
	}
	if left[0].ID != "driver-loaded" {
		t.Error("the order must stay")
	}
}

func TestNotInjectedAsksOnlyThat(t *testing.T) {
	f := healthy()
	f.Launch.GPUs = oci.GPURequest{GPU: true, Devices: []string{"GPU-00000000-0000-4000-8000-000000000001"}}
	for _, r := range Run(f, All()) {
		want := StatusSkip
		if r.ID == "gpu-injected" {
			want = StatusWarn
		}
		if r.Status != want {
			t.Errorf("%s: %s, want %s", r.ID, r.Status, want)
		}
	}
}
