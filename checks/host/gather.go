package host

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"gpu-preflight/checks/fact"
)

// Options say what Gather reads and from where.
type Options struct {
	Root        string        // the host's top folder; empty: /. Below any other this machine's own NVML is never asked
	Asked       []string      // GPUs asked for: bus ids, UUIDs, MIG names, indexes, minor:N; nil: all
	AskAll      bool          // ask GPUs that are not resident too, which initialises them; ask what only doctor wants; search all processes
	Stack       bool          // read how the driver was installed too, which only doctor and facts look at
	Packed      bool          // look into compressed modules for it: the program calls PackedMain
	Sources     []string      // files that the runtime is to mount, as it names them; nil: none are looked for
	NVMLLibrary string        // the libnvidia-ml to load, whatever the driver roots hold
	DriverRoot  string        // the driver root that the launch uses; chooses among known ones only
	NVMLTimeout time.Duration // for each child; 0: 2 s. ctx bounds the whole
	Helper      string        // gpu-preflight-nvml; empty: beside the program, else in /usr/libexec/gpu-preflight
	Self        string        // the program that is the reader child; empty: this one
	RunDir      string        // where hung children are noted; empty: /run/gpu-preflight
}

const (
	defaultTimeout = 2 * time.Second
	defaultRunDir  = "/run/gpu-preflight"
	libexecHelper  = "/usr/libexec/gpu-preflight/" + HelperName
)

func (o Options) withDefaults() Options {
	if o.NVMLTimeout <= 0 {
		o.NVMLTimeout = defaultTimeout
	}
	if o.Self == "" {
		o.Self = "/proc/self/exe"
	}
	if o.RunDir == "" {
		o.RunDir = defaultRunDir
	}
	if o.Helper == "" {
		o.Helper = FindHelper()
	}
	if o.Root != "" {
		if full, err := filepath.Abs(o.Root); err == nil {
			o.Root = full // a child starts in /
		}
	}
	return o
}

// FindHelper returns where gpu-preflight-nvml is: beside this program, for a registration's link in
// PREFIX/libexec/gpu-preflight/NAME in PREFIX/bin, else in /usr/libexec/gpu-preflight, whether or not it is there.
func FindHelper() string {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return libexecHelper
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, HelperName), filepath.Join(dir, "../../../bin", HelperName)} {
		if there, err := (tree{}).exists(path); err == nil && there {
			return path
		}
	}
	return libexecHelper
}

// Gather reads this host's facts. It returns when all are there or their time is over: the caller's ctx, and
// NVMLTimeout for each child. It never fails; what could not be read is unknown, with the reason.
func Gather(ctx context.Context, o Options) Facts {
	o = o.withDefaults()
	t := newTree(o.Root)
	f := Facts{Schema: Schema}
	var wg sync.WaitGroup
	limited, cancel := context.WithTimeout(ctx, o.NVMLTimeout)
	defer cancel()
	f.Driver = t.driver()
	library := t.choose(o, f.Driver.Version.Value)
	wg.Go(safely(func() { readHost(limited, o, &f) }))
	if len(o.Sources) > 0 {
		wg.Go(safely(func() { f.Sources = readSources(limited, o) }))
	}
	var nvml NVML
	var got answers
	why := "an error of ours"
	safely(func() { got, why = askNVML(limited, o, library, &nvml) })() // the longest way
	wg.Wait()
	got.finish(&nvml, planGPUs(o, &f), why)
	f.NVML = nvml
	f.Majors, f.Uptime = t.majors(), t.uptime()
	f.placeDaemons(t.readDaemons(f.Uptime, f.daemonsThatMatter(o)...))
	if f.stale() {
		f.again(ctx, o, t)
	}
	if f.lacksSource() {
		f.Sources = readSources(ctx, o) // NVML's start makes nodes
	}
	if f.wantsManagerVersion(o) {
		readVersions(ctx, o, f.Fabric.Manager.Value)
	}
	if o.Stack {
		gatherStack(ctx, o, &f)
	}
	return f
}

// daemonsThatMatter are those whose absence has to be certain. nvlsm serves only boards whose switches are not on PCI.
func (f *Facts) daemonsThatMatter(o Options) []string {
	switch {
	case o.AskAll:
		return []string{commManager, commSubnet, commIMEX}
	case !f.hasFabric():
		return nil
	case f.Fabric.Switches.Known() && f.Fabric.Switches.Value == 0:
		return []string{commManager, commSubnet}
	}
	return []string{commManager}
}

// hasFabric tells whether Fabric Manager matters here: a switch is held or may be, or a GPU has a fabric state. HGX
// B200 shows no switch on PCI, but its GPUs have one.
func (f *Facts) hasFabric() bool {
	return !f.Fabric.Switches.Known() || f.Fabric.Switches.Value > 0 || slices.ContainsFunc(f.NVML.GPUs, func(gpu GPU) bool {
		return gpu.Fabric.Known() && gpu.Fabric.Value.State != FabricNotSupported
	})
}

// placeDaemons puts the daemons where they belong. From inside another pid namespace their absence is not known.
func (f *Facts) placeDaemons(found daemons) {
	hidden := f.Platform.InitialPIDNamespace.Known() && !f.Platform.InitialPIDNamespace.Value
	for comm, target := range map[string]*fact.Fact[[]Process]{
		commManager: &f.Fabric.Manager, commSubnet: &f.Fabric.SubnetManager, commPersistenced: &f.Persistenced,
		commIMEX: &f.Fabric.IMEX,
	} {
		*target = found[comm]
		if hidden && target.Known() && len(target.Value) == 0 {
			*target = fact.Missing[[]Process]("/proc", "processes of the host cannot be seen from this pid namespace")
		}
	}
}

// readHost runs the reader child.
func readHost(ctx context.Context, o Options, f *Facts) {
	wanted := f.readerSlots()
	err := RunChild(ctx, readerChild(o), func(data []byte) {
		if line, ok := parseLine(data); ok {
			wanted.fold(line)
		}
	})
	wanted.rest(o.ended(err))
}

func readerChild(o Options, args ...string) Child {
	top := o.Root
	if top == "" {
		top = "/"
	}
	return Child{Path: o.Self, Argv0: ReaderName, Args: slices.Concat([]string{top}, args), Name: "host", RunDir: o.RunDir}
}

// stale tells that the host may look otherwise now than before NVML was asked: the driver is loaded and its nodes
// are made on demand, so an absence counts only if it is seen afterwards.
func (f *Facts) stale() bool {
	if !f.NVML.Init.Known() || f.Platform.DXG.Value || f.Platform.Tegra.Value {
		return false
	}
	if f.Driver.Version.Known() && f.Driver.Version.Value == "" {
		return true
	}
	return f.Nodes.Known() && f.lacksNodes()
}

// lacksNodes tells whether a GPU of the driver's list, or the driver itself, has no node.
func (f *Facts) lacksNodes() bool {
	minors := []int{controlMinor}
	for _, gpu := range f.ProcGPUs.Value {
		if gpu.Minor >= 0 && !gpu.Excluded {
			minors = append(minors, gpu.Minor)
		}
	}
	for _, minor := range minors {
		if !slices.ContainsFunc(f.Nodes.Value, func(n Node) bool { return n.Major == nvidiaMajor && n.Minor == minor }) {
			return true
		}
	}
	return false
}

// The driver's fixed character major, and the minor of /dev/nvidiactl (nv-linux.h).
const (
	nvidiaMajor  = 195
	controlMinor = 255
)

// again reads once more what NVML's start may have changed.
func (f *Facts) again(ctx context.Context, o Options, t tree) {
	ctx, cancel := context.WithTimeout(ctx, o.NVMLTimeout)
	defer cancel()
	var second Facts
	readHost(ctx, o, &second)
	f.Driver, f.Majors = t.driver(), t.majors()
	f.Nodes, f.ProcGPUs, f.PCI, f.Params = second.Nodes, second.ProcGPUs, second.PCI, second.Params
	f.MIGCaps, f.Fabric.Switches = second.MIGCaps, second.Fabric.Switches
}

// wantsManagerVersion tells whether Fabric Manager's version is worth another child: it explains a fabric that is
// not ready, and never decides.
func (f *Facts) wantsManagerVersion(o Options) bool {
	if len(f.Fabric.Manager.Value) == 0 {
		return false
	}
	return o.AskAll || slices.ContainsFunc(f.NVML.GPUs, func(gpu GPU) bool {
		state := gpu.Fabric.Value
		return state.State == FabricNotStarted || state.State == FabricInProgress || (state.State == FabricCompleted && state.Status != 0)
	})
}

// readVersions fills in the versions of running programs, in a child: their files may lie in a container's
// file system.
func readVersions(ctx context.Context, o Options, processes []Process) {
	ctx, cancel := context.WithTimeout(ctx, o.NVMLTimeout)
	defer cancel()
	versions := make([]fact.Fact[string], len(processes))
	wanted, pids := slots{}, []string{}
	for i := range processes[:min(len(processes), 8)] {
		pid := strconv.Itoa(processes[i].PID)
		wanted["version:"+pid] = &versions[i]
		pids = append(pids, pid)
	}
	_ = RunChild(ctx, readerChild(o, pids...), func(data []byte) { // an unknown version stays empty
		if line, ok := parseLine(data); ok {
			wanted.fold(line)
		}
	})
	for i := range processes {
		processes[i].Version = versions[i].Value
	}
}

// safely keeps a panic of ours from ending the program, whose exit code would refuse a container: what was not read
// stays unknown.
func safely(f func()) func() {
	return func() {
		defer func() { _ = recover() }()
		f()
	}
}
