package host

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gpu-preflight/testdata/fixture"
)

// healthy writes the healthy host of so many GPUs, with the fake NVML below it that answers conf.
func healthy(t testing.TB, gpus int, conf string, flags ...string) Options {
	t.Helper()
	files, links := fixture.HealthyHost(gpus)
	links["/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"] = "libnvidia-ml.so.535.183.06"
	root := fixture.Tree(t, files, links)
	dir := filepath.Join(root, "usr/lib/x86_64-linux-gnu")
	fake := fixture.NVML(t, t.TempDir(), conf, flags...)
	for from, to := range map[string]string{fake: "libnvidia-ml.so.535.183.06", fake + ".conf": "libnvidia-ml.so.535.183.06.conf"} {
		if err := os.Rename(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	return Options{
		Root: root, Helper: fixture.Build(t, "cmd/gpu-preflight-nvml"), RunDir: t.TempDir(), NVMLTimeout: long,
	}
}

func TestGatherHealthyHost(t *testing.T) {
	o := healthy(t, 8, "gpus=8\ngpu.0.mig=1\ngpu.0.instances=1/0,2/0\ngpu.*.fabric_state=3\ngpu.1.fabric_health=0x155\n")
	f := Gather(t.Context(), o)
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(data); strings.Contains(text, "unknown") {
		t.Errorf("a healthy host has unknown facts: %s", text)
	}
	n := f.NVML
	if n.Init.Value != 0 || n.Driver.Value != "535.183.06" || n.CUDA.Value != "12.2" || n.Count.Value != 8 || len(n.GPUs) != 8 {
		t.Errorf("NVML: %s", data)
	}
	if n.Library.Value != "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.183.06" || n.Root != "/" {
		t.Errorf("library %q of root %q", n.Library.Value, n.Root)
	}
	first, second := n.GPUs[0], n.GPUs[1]
	want := []MIGDevice{
		{UUID: "MIG-00000000-0000-0000-0001-000000000000", GI: 1}, {UUID: "MIG-00000000-0000-0000-0002-000000000000", GI: 2},
	}
	if !first.MIG.Value.Current || !slices.Equal(first.Instances.Value, want) || first.Bus != "0000:10:00.0" {
		t.Errorf("GPU 0: %+v", first)
	}
	if second.MIG.Value.Current || len(second.Instances.Value) != 0 || second.Fabric.Value != (FabricState{State: 3, Health: 0x155}) {
		t.Errorf("GPU 1: %+v", second)
	}
	if second.Capability.Value != "8.0" || second.Brand.Value != "NVIDIA" || second.Minor.Value != 1 || second.Index.Value != 1 {
		t.Errorf("GPU 1: %+v", second)
	}
	if len(f.PCI.Value) != 8 || len(f.ProcGPUs.Value) != 8 || len(f.Nodes.Value) != 11 || f.Majors.Value["nvidia-uvm"] != 235 {
		t.Errorf("host: %s", data)
	}
	if f.Platform.Tegra.Value || f.Platform.DXG.Value || f.Platform.Hypervisor.Value || !f.Platform.InitialPIDNamespace.Value {
		t.Errorf("platform: %+v", f.Platform)
	}
	if len(f.Fabric.Manager.Value) != 0 || f.Fabric.Switches.Value != 0 || f.OS.Value.ID != "ubuntu" || f.Uptime.Value != 86400 {
		t.Errorf("fabric or system: %s", data)
	}
}

func TestGatherSurvivesJSON(t *testing.T) {
	f := Gather(t.Context(), healthy(t, 2, "gpus=2\n"))
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var again Facts
	if err = json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	twice, err := json.Marshal(again)
	if err != nil || string(twice) != string(data) {
		t.Errorf("became %s", twice)
	}
}

// What the library and the helper can do to us: what was answered before stays, the rest is unknown and says why.
func TestGatherTroubles(t *testing.T) {
	for name, test := range map[string]struct {
		conf    string
		flags   []string
		helper  string
		timeout time.Duration
		init    int    // -1: unknown
		why     string // part of the reason of what is unknown: init's, else the GPU's handle, else its fabric
	}{
		"not loaded":       {conf: "init=9", init: 9, why: "nvmlInit returned 9"},
		"mismatch":         {conf: "init=18", init: 18, why: "nvmlInit returned 18"},
		"no permission":    {conf: "init=4", init: 4, why: "nvmlInit returned 4"},
		"lost":             {conf: "init=15", init: 15, why: "nvmlInit returned 15"},
		"unknown error":    {conf: "init=999", init: 999, why: "nvmlInit returned 999"},
		"hang in init":     {conf: "hang=init", timeout: short, init: -1, why: "no answer within 300ms"},
		"crash in init":    {conf: "crash=init", init: -1, why: "exit status 2 (how a Go program ends that crashes)"},
		"status 1 in init": {conf: "exit=init", init: -1, why: "exit status 1"},
		"no init at all":   {flags: []string{"-DNO_INIT"}, init: -1, why: "exit status 127"},
		"hang at a handle": {conf: "gpus=1\nhang=handle", timeout: short, why: "no answer within 300ms"},
		"crash at a handle": {
			conf: "gpus=1\ncrash=handle", why: "exit status 2 (how a Go program ends that crashes)",
		},
		"hang in fabric": {conf: "gpus=1\nhang=fabric", timeout: short, why: "no answer within 300ms"},
		"no helper":      {helper: "/nowhere/helper", init: -1, why: "could not be started"},
		"no bus ids":     {flags: []string{"-DNO_BUS_ID"}, why: "does not have it"},
		"old driver":     {flags: []string{"-DOLD_DRIVER"}, why: "NVML returned 13"},
		"fabric error":   {conf: "gpu.0.fabric_code=999", why: "NVML returned 999 (Unknown Error)"},
	} {
		t.Run(name, func(t *testing.T) {
			o := healthy(t, 1, test.conf, test.flags...)
			if test.helper != "" {
				o.Helper = test.helper
			}
			if test.timeout != 0 {
				o.NVMLTimeout = test.timeout
			}
			f := Gather(t.Context(), o)
			n := f.NVML
			if n.Init.Known() != (test.init >= 0) || (n.Init.Known() && n.Init.Value != test.init) {
				t.Fatalf("init %+v, want %d", n.Init, test.init)
			}
			if len(n.GPUs) != 1 || n.GPUs[0].Bus != "0000:10:00.0" {
				t.Fatalf("GPUs %+v", n.GPUs)
			}
			if n.Driver.Known() != (n.Init.Known() && n.Init.Value == 0) {
				t.Errorf("driver %+v", n.Driver)
			}
			gpu := n.GPUs[0]
			why := gpu.Fabric.Why()
			if !n.Init.Known() {
				why = n.Init.Why()
			} else if !gpu.Handle.Known() {
				why = gpu.Handle.Why()
			}
			if !strings.Contains(why, test.why) {
				t.Errorf("reason %q, want %q", why, test.why)
			}
			if !f.ProcGPUs.Known() || !f.Nodes.Known() || f.Driver.Version.Value != "535.183.06" {
				t.Errorf("the host's own facts are gone: %+v", f)
			}
		})
	}
}

func TestGatherAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		conf  string
		flags []string
		is    func(NVML) bool
	}{
		"lost GPU":           {conf: "gpu.0.handle=15", is: func(n NVML) bool { return n.GPUs[0].Handle.Value == 15 && !n.GPUs[0].UUID.Known() }},
		"count below":        {conf: "count=0", is: func(n NVML) bool { return n.Count.Known() && n.Count.Value == 0 && n.GPUs[0].Handle.Value == 0 }},
		"count above":        {conf: "count=99999", is: func(n NVML) bool { return n.Count.Value == 99999 && len(n.GPUs) == 1 }},
		"count fails":        {conf: "count_code=999", is: func(n NVML) bool { return !n.Count.Known() && n.GPUs[0].Handle.Value == 0 }},
		"old driver, no MIG": {flags: []string{"-DOLD_DRIVER"}, is: func(n NVML) bool { return n.GPUs[0].MIG.Known() && !n.GPUs[0].MIG.Value.Current }},
		"no MIG":             {is: func(n NVML) bool { return n.GPUs[0].MIG.Known() && n.GPUs[0].Instances.Known() }},
		"MIG fails":          {conf: "gpu.0.mig_code=999", is: func(n NVML) bool { return !n.GPUs[0].MIG.Known() && !n.GPUs[0].Instances.Known() }},
		"MIG pending": {conf: "gpu.0.mig=0\ngpu.0.mig_pending=1", is: func(n NVML) bool {
			return n.GPUs[0].MIG.Value == MIGMode{Pending: true}
		}},
		"no fabric": {is: func(n NVML) bool { return n.GPUs[0].Fabric.Known() && n.GPUs[0].Fabric.Value == FabricState{} }},
		"fabric, plain call": {conf: "gpu.0.fabric_state=2", flags: []string{"-DNO_FABRIC_V"}, is: func(n NVML) bool {
			return n.GPUs[0].Fabric.Value == FabricState{State: FabricInProgress}
		}},
		"fabric, second version": {conf: "fabric_version=2\ngpu.0.fabric_state=3\ngpu.0.fabric_status=999", is: func(n NVML) bool {
			return n.GPUs[0].Fabric.Value == FabricState{State: FabricCompleted, Status: 999}
		}},
		"another GPU": {conf: "gpu.0.bus=0000:99:00.0", is: func(n NVML) bool { return n.GPUs[0].Handle.Value == NVMLNotFound }},
	} {
		t.Run(name, func(t *testing.T) {
			if n := Gather(t.Context(), healthy(t, 1, test.conf, test.flags...)).NVML; len(n.GPUs) != 1 || !test.is(n) {
				t.Errorf("got %+v", n)
			}
		})
	}
}

// A CUDA version of 0 is no version: taken for one, it would refuse every image that names its CUDA.
func TestGatherNoCUDAVersion(t *testing.T) {
	f := Gather(t.Context(), healthy(t, 1, "gpus=1\ncuda=0\n"))
	if f.NVML.CUDA.Known() || !strings.Contains(f.NVML.CUDA.Why(), "no version") || f.NVML.Driver.Value != "535.183.06" {
		t.Errorf("%+v", f.NVML)
	}
}

func TestGatherAsksOnlyWhatIsAskedAndResident(t *testing.T) {
	o := healthy(t, 4, "gpus=4\n")
	path := filepath.Join(o.Root, "proc/driver/nvidia/gpus/0000:12:00.0/information")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	asleep := strings.Replace(string(data), "92.00.45.00.03", "??.??.??.??.??", 1)
	if err := os.WriteFile(path, []byte(asleep), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Asked = []string{"1", "GPU-00000000-0000-0000-0000-000000000002"}
	n := Gather(t.Context(), o).NVML
	if len(n.GPUs) != 2 || n.GPUs[0].Bus != "0000:11:00.0" || n.GPUs[0].NotAsked != "" || n.GPUs[0].Handle.Value != 0 {
		t.Fatalf("GPUs %+v", n.GPUs)
	}
	if gpu := n.GPUs[1]; gpu.Bus != "0000:12:00.0" || !strings.HasPrefix(gpu.NotAsked, "not resident") || gpu.Handle.Known() {
		t.Errorf("the GPU that is not resident: %+v", gpu)
	}
	o.AskAll = true
	if n := Gather(t.Context(), o).NVML; n.GPUs[1].NotAsked != "" || !n.GPUs[1].Handle.Known() {
		t.Errorf("AskAll leaves GPU 2 alone: %+v", n.GPUs[1])
	}
}

func TestGatherDXGAsksByIndex(t *testing.T) {
	fake := fixture.NVML(t, t.TempDir(), "gpus=2\n")
	root := fixture.Tree(t, map[string]string{"/dev/dxg": "c 10 125\n", "/proc/uptime": "5.0 5.0\n", "/sys/module/": ""}, nil)
	f := Gather(t.Context(), Options{
		Root: root, NVMLLibrary: fake, Helper: fixture.Build(t, "cmd/gpu-preflight-nvml"), RunDir: t.TempDir(), NVMLTimeout: long,
	})
	if n := f.NVML; len(n.GPUs) != 2 || n.GPUs[1].Bus != "0000:11:00.0" || n.GPUs[1].Index.Value != 1 || n.Library.Value != fake {
		t.Errorf("got %+v", n)
	}
	if !f.Platform.DXG.Value || f.ProcGPUs.Known() {
		t.Errorf("platform %+v, own list %+v", f.Platform, f.ProcGPUs)
	}
}

// A foreign top must never lead to this machine's own library or files, and knows nothing where there is nothing.
func TestGatherEmptyTree(t *testing.T) {
	f := Gather(t.Context(), Options{Root: t.TempDir(), RunDir: t.TempDir(), NVMLTimeout: long, Helper: "/nowhere"})
	for name, known := range map[string]bool{
		"driver": f.Driver.Version.Known(), "gpus": f.ProcGPUs.Known(), "pci": f.PCI.Known(), "nodes": f.Nodes.Known(),
		"uptime": f.Uptime.Known(), "majors": f.Majors.Known(), "manager": f.Fabric.Manager.Known(),
		"init": f.NVML.Init.Known(), "switches": f.Fabric.Switches.Known(), "params": f.Params.Known(),
	} {
		if known {
			t.Errorf("%s is known from an empty folder", name)
		}
	}
	if !f.NVML.Library.Known() || f.NVML.Library.Value != "" || !strings.Contains(f.NVML.Init.Why(), "no libnvidia-ml found below") {
		t.Errorf("NVML %+v", f.NVML)
	}
	if !f.Platform.Tegra.Known() || f.Platform.Tegra.Value || !f.Platform.ProcDriver.Known() {
		t.Errorf("platform %+v", f.Platform)
	}
}

// A driver that is loaded on demand by NVML's start is not absent.
func TestGatherLooksAgainAfterNVML(t *testing.T) {
	o := healthy(t, 1, "")
	f := Gather(t.Context(), o)
	f.Driver.Version.Value = ""
	if !f.stale() {
		t.Error("a missing module is not looked for again")
	}
	f.again(t.Context(), o.withDefaults(), newTree(o.Root))
	if f.Driver.Version.Value != "535.183.06" || f.stale() {
		t.Errorf("driver %+v", f.Driver)
	}
	f.Nodes.Value = f.Nodes.Value[:1]
	if !f.stale() {
		t.Error("missing nodes are not looked for again")
	}
}

func TestGatherWithoutTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := Gather(ctx, healthy(t, 1, ""))
	if f.ProcGPUs.Known() || f.NVML.Init.Known() || !strings.Contains(f.ProcGPUs.Why(), "no answer within") {
		t.Errorf("own list %+v, init %+v", f.ProcGPUs, f.NVML.Init)
	}
	if !f.Driver.Version.Known() {
		t.Error("what does not hang was not read")
	}
}

func TestGatherReaderCannotStart(t *testing.T) {
	o := healthy(t, 1, "")
	o.Self = "/nowhere"
	f := Gather(t.Context(), o)
	if f.ProcGPUs.Known() || !strings.Contains(f.ProcGPUs.Why(), ErrNotStarted.Error()) || f.NVML.Init.Value != 0 || !f.NVML.Init.Known() {
		t.Errorf("own list %+v, init %+v", f.ProcGPUs, f.NVML.Init)
	}
}

func TestReasonNamesTheCauseAlone(t *testing.T) {
	err := &fs.PathError{Op: "open", Path: "/secret/place", Err: fs.ErrPermission}
	if got := reason(err); got != fs.ErrPermission.Error() {
		t.Errorf("reason %q", got)
	}
}
