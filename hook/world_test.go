package hook

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// worlds makes hosts up: any mixture of what a host may be, its facts drawn from one state.
type worlds struct{ *rand.Rand }

func one[T any](w worlds, of ...T) T { return of[w.IntN(len(of))] }

func (w worlds) once(in int) bool { return w.IntN(in) == 0 }

func drawn[T any](value T) fact.Fact[T] { return fact.Of(value, "drawn") }

type kind struct{ device, model, capability, brand string }

var kinds = []kind{
	{"1db6", "Tesla V100-SXM2-32GB", "7.0", "TESLA"},
	{"20b2", "NVIDIA A100-SXM4-80GB", "8.0", "NVIDIA"},
	{"2330", "NVIDIA H100 80GB HBM3", "9.0", "NVIDIA"},
	{"2901", "NVIDIA B200", "10.0", "NVIDIA"},
	{"2941", "NVIDIA GB200", "10.0", "NVIDIA"},
	{"2342", "NVIDIA GH200 480GB", "9.0", "NVIDIA"},
	{"1eb8", "Tesla T4", "7.5", "TESLA"},
	{"2684", "NVIDIA GeForce RTX 4090", "8.9", "GEFORCE_RTX"},
}

func (w worlds) host() host.Facts {
	version := one(w, "535.183.06", "535.183.06", "580.95.05", "570.124.06")
	cuda := map[string]string{"535.183.06": "12.2", "580.95.05": "13.0", "570.124.06": "12.8"}[version]
	loaded := !w.once(6)
	f := host.Facts{
		Platform: host.Platform{
			DXG: drawn(w.once(12)), Tegra: drawn(w.once(12)), ProcDriver: drawn(!w.once(12)),
			Hypervisor: drawn(w.once(3)), InitialPIDNamespace: drawn(!w.once(4)),
		},
		Kernel: drawn("6.8.0-52-generic"), OS: drawn(host.OS{ID: "ubuntu", VersionID: "24.04"}),
		Uptime:  drawn(one(w, 30.0, 86400, 86400, 86400)),
		Params:  drawn(map[string]string{"NvLinkDisable": one(w, "0", "0", "0", "1")}),
		MIGCaps: drawn([]host.MIGCapability{}), Nodes: drawn([]host.Node{}),
		Persistenced: drawn([]host.Process{}),
	}
	f.Driver.Version = drawn("")
	if loaded {
		f.Driver.Version = drawn(version)
		f.Driver.Flavor = drawn(one(w, "open", "proprietary"))
	}
	var libs []host.Library
	for _, root := range []string{"/", "/run/nvidia/driver"} {
		for _, v := range []string{version, "550.54.15"} {
			if w.once(2) {
				libs = append(libs, host.Library{Name: "libcuda", Path: root + "/usr/lib/libcuda.so." + v, Version: v, Root: root})
			}
		}
	}
	f.Libraries = drawn(libs)
	majors := map[string]int{"nvidia": 195}
	if loaded && !w.once(4) {
		majors["nvidia-uvm"] = one(w, 511, 235)
	}
	f.Majors = drawn(majors)
	switches := one(w, 0, 0, 4)
	f.Fabric = host.Fabric{
		Switches: drawn(switches), Manager: drawn([]host.Process{}), SubnetManager: drawn([]host.Process{}), IMEX: drawn([]host.Process{}),
		ManagerConfig: drawn(map[string]string{}),
	}
	if w.once(2) {
		f.Fabric.ManagerConfig.Value["FABRIC_MODE"] = one(w, "0", "0", "1", "2")
	}
	if w.once(2) {
		f.Fabric.Manager.Value = []host.Process{{PID: 7, Name: "nv-fabricmanage", Age: one(w, 10.0, 80000), Version: version}}
	}
	if w.once(4) {
		f.Fabric.SubnetManager.Value = []host.Process{{PID: 8, Name: "nvlsm", Age: one(w, 10.0, 80000)}}
	}
	code := host.NVMLSuccess
	if !loaded {
		code = host.NVMLDriverNotLoaded
	} else if w.once(5) {
		code = one(w, host.NVMLLibRMMismatch, host.NVMLLibRMMismatch, host.NVMLNoPermission, host.NVMLGPUIsLost, host.NVMLUnknown, host.NVMLNotReady, host.NVMLDriverNotLoaded)
	}
	f.NVML = host.NVML{Root: one(w, "/", "/", "/run/nvidia/driver"), Init: drawn(code)}
	f.NVML.Library = drawn(f.NVML.Root + "/usr/lib/libnvidia-ml.so." + version)
	var pci []host.PCIDevice
	main := one(w, kinds...)
	generation, ok := map[string]string{"1db6": "1ac2", "20b2": "1af1", "2330": "22a3"}[main.device]
	if !ok {
		switches = 0
	}
	f.Fabric.Switches = drawn(switches)
	for i := range switches {
		pci = append(pci, host.PCIDevice{Bus: fmt.Sprintf("0000:c%d:00.0", i), Device: one(w, generation, "ffff"), Class: "0680", Driver: "nvidia-nvswitch"})
	}
	var procs []host.ProcGPU
	count := w.IntN(4)
	index := 0
	for i := range count {
		k := main
		if w.once(4) {
			k = one(w, kinds[len(kinds)-2:]...)
		}
		bus := fmt.Sprintf("0000:1%d:00.0", i)
		uuid := fmt.Sprintf("GPU-00000000-0000-4000-8000-%012d", i)
		p := host.PCIDevice{Bus: bus, Device: k.device, Class: "0302", Driver: one(w, "nvidia", "nvidia", "nvidia", "nvidia", "nouveau", "vfio-pci", ""), OffBus: w.once(10)}
		if !loaded && p.Driver == "nvidia" {
			p.Driver = one(w, "", "nouveau")
		}
		pci = append(pci, p)
		if p.Driver != "nvidia" {
			continue
		}
		excluded := w.once(12) && !p.OffBus
		procs = append(procs, host.ProcGPU{Bus: bus, Model: k.model, UUID: uuid, Minor: index, Resident: true, Excluded: excluded})
		if excluded || code != 0 {
			continue
		}
		g := host.GPU{Bus: bus}
		switch {
		case w.once(8):
			g.NotAsked = "not resident"
		case p.OffBus || w.once(6):
			g.Handle = drawn(one(w, host.NVMLGPUIsLost, host.NVMLResetRequired, host.NVMLUnknown, host.NVMLNoPermission))
			if p.OffBus {
				g.Handle = drawn(host.NVMLGPUIsLost)
			}
		default:
			g.Handle, g.Index, g.Minor, g.UUID = drawn(0), drawn(index), drawn(index), drawn(uuid)
			g.Name, g.Brand, g.Capability = drawn(k.model), drawn(k.brand), drawn(k.capability)
			g.MIG = drawn(host.MIGMode{Current: w.once(4), Pending: w.once(4)})
			g.Instances = drawn([]host.MIGDevice{})
			if g.MIG.Value.Current && w.once(2) {
				g.Instances.Value = append(g.Instances.Value, host.MIGDevice{UUID: "MIG-1", GI: 1})
			}
			g.Fabric = drawn(host.FabricState{State: one(w, 0, 1, 2, 3, 3, 3), Status: one(w, 0, 0, 999)})
			g.Recovery = drawn(one(w, 0, 0, 0, 0, -1, 1, 2, 3, 4, 5))
			g.Compute = drawn(host.Compute{Mode: one(w, 0, 0, 0, 0, 2, 3)})
			g.Memory, g.Draining = drawn(host.Memory{}), drawn(w.once(9))
		}
		f.NVML.GPUs = append(f.NVML.GPUs, g)
		index++
	}
	if code == host.NVMLGPUIsLost && slices.IndexFunc(procs, func(p host.ProcGPU) bool { return !p.Excluded }) < 0 {
		f.NVML.Init = drawn(host.NVMLNoPermission)
	}
	f.PCI, f.ProcGPUs = drawn(pci), drawn(procs)
	if code == 0 {
		f.NVML.Driver, f.NVML.CUDA, f.NVML.Count = drawn(version), drawn(cuda), drawn(index)
		f.NVML.ConfCompute = drawn(host.ConfCompute{Enabled: w.once(12), Ready: w.once(2)})
	}
	return f
}

// TestLessIsNeverWorse: no host that can be made up refuses a launch for what could not be read of it, not even where
// the reader stopped half way through the GPUs. Two things make less known and more refused without a doubt, and are
// left out: what comes after a transient failure is not judged, and a table tells CUDA only where NVML is silent.
func TestLessIsNeverWorse(t *testing.T) {
	w := worlds{rand.New(rand.NewPCG(7, 7))}
	launches := launchesOn(nil)
	names := slices.Sorted(maps.Keys(launches))
	refused := 0
	for range 2500 {
		facts, name := w.host(), one(w, names...)
		v := Judge(facts, launches[name], DefaultPolicy())
		switch {
		case v.Verdict == Refuse:
			refused++
			continue
		case slices.ContainsFunc(v.Results, func(r checks.Result) bool { return r.Transient }):
			continue
		}
		all := facts.NVML.GPUs
		for range 6 {
			facts.NVML.GPUs = slices.Clone(all)
			if w.once(4) {
				facts.NVML.GPUs = facts.NVML.GPUs[:w.IntN(len(all)+1)]
			}
			w.forget(t, facts, name, judging(launches[name]), v)
		}
	}
	if refused < 500 {
		t.Errorf("%d of the hosts refuse: they are no test of what makes a refusal", refused)
	}
}

// forget makes some facts unknown. A refusal is told with the fewest of them.
func (w worlds) forget(t *testing.T, facts host.Facts, name string, judge func(host.Facts) Verdict, before Verdict) {
	t.Helper()
	paths, all := known(&facts)
	var some []int
	for part, i := w.Float64()*w.Float64(), 0; i < len(all); i++ {
		if w.Float64() < part {
			some = append(some, i)
		}
	}
	judged := func(chosen []int) (v Verdict) {
		values := make([]reflect.Value, len(chosen))
		for i, at := range chosen {
			values[i] = all[at]
		}
		forgotten(values, func() { v = judge(facts) })
		return v
	}
	if judged(some).Verdict != Refuse {
		return
	}
	for i := 0; i < len(some); {
		if less := slices.Delete(slices.Clone(some), i, i+1); judged(less).Verdict == Refuse {
			some = less
		} else {
			i++
		}
	}
	where := make([]string, len(some))
	for i, at := range some {
		where[i] = paths[at]
	}
	t.Fatalf("%s: refused since these are not known: %v\n%s\nall known:\n%s", name, where, Message(judged(some)), told(before))
}
