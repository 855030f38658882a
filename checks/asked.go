package checks

import (
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/host"
)

// gpu is one GPU of the host, joined from what the driver's files, the PCI bus and NVML say of it.
type gpu struct {
	*host.GPU // never nil; what is known of it is shared with the facts, for it is large

	bus, uuid, model string
	minor, index     int // -1: unknown
	offBus           bool
	driver           string // bound kernel driver, "" when PCI was not read
	device           string // PCI device id, "" when PCI was not read
	excluded         bool   // by the administrator, from what the driver serves
}

// String names the GPU for a message.
func (g gpu) String() string {
	switch {
	case g.index >= 0 && g.bus != "":
		return strconv.Itoa(g.index) + " (" + g.bus + ")"
	case g.bus != "":
		return g.bus
	case g.index >= 0:
		return strconv.Itoa(g.index)
	}
	return g.uuid
}

// asked is what the launch asks for, resolved against this host.
type asked struct {
	GPUs       []gpu
	All        bool     // all: a launch that works with what works
	Part       bool     // there may be more of them: not every GPU of this host is known
	Unresolved []string // names that no GPU of this host has
}

// busID brings NVML's 00000000:17:00.0 and sysfs's 0000:17:00.0 into one form.
func busID(bus string) string {
	bus = strings.ToLower(bus)
	if len(bus) == len("00000000:17:00.0") {
		bus = bus[4:]
	}
	return bus
}

// gpus joins what is known of the host's GPUs, in the order of their bus addresses, which is NVML's order.
func (f Facts) gpus() []gpu {
	if f.joined != nil {
		return f.joined
	}
	var all []gpu
	at := func(bus string) *gpu {
		bus = busID(bus)
		i := slices.IndexFunc(all, func(g gpu) bool { return bus != "" && g.bus == bus })
		if i < 0 {
			all = append(all, gpu{GPU: &host.GPU{}, bus: bus, minor: -1, index: -1})
			i = len(all) - 1
		}
		return &all[i]
	}
	for _, p := range f.Host.PCI.Value {
		if strings.HasPrefix(p.Class, "03") && !p.Virtual && p.Driver != "vfio-pci" {
			g := at(p.Bus)
			g.offBus, g.driver, g.device = p.OffBus, p.Driver, p.Device
		}
	}
	for _, p := range f.Host.ProcGPUs.Value {
		g := at(p.Bus)
		g.uuid, g.model, g.minor, g.excluded = p.UUID, p.Model, p.Minor, p.Excluded
	}
	for i := range f.Host.NVML.GPUs {
		n := &f.Host.NVML.GPUs[i]
		g := at(n.Bus)
		g.GPU = n
		g.uuid = firstKnown(n.UUID.Value, g.uuid)
		g.model = firstKnown(n.Name.Value, g.model)
		if n.Index.Known() {
			g.index = n.Index.Value
		}
		if n.Minor.Known() {
			g.minor = n.Minor.Value
		}
	}
	slices.SortStableFunc(all, func(a, b gpu) int { return strings.Compare(a.bus, b.bus) })
	f.count(all)
	return all
}

// count gives an index to GPUs that NVML was not asked for, such as those that are not resident: it counts in the
// order of the bus, without excluded GPUs and those that no driver holds. Where the two lists differ in length nobody can
// tell.
func (f Facts) count(all []gpu) {
	if !f.Host.NVML.Count.Known() || f.Host.NVML.Count.Value != served(all) {
		return
	}
	index := 0
	for i := range all {
		if !all[i].served() {
			continue
		}
		if all[i].index < 0 {
			all[i].index = index
		}
		index++
	}
}

// elsewhere tells a GPU that this driver does not serve: excluded, or held by another kernel driver.
func (g gpu) elsewhere() bool {
	return g.excluded || g.driver != "" && g.driver != "nvidia" && !g.Handle.Known()
}

// unbound tells a GPU on the bus that no driver holds: the driver knows nothing of it.
func (g gpu) unbound() bool {
	return g.device != "" && g.driver == "" && g.minor < 0 && !g.Handle.Known() && g.NotAsked == ""
}

// served tells a GPU that the driver lists, or would list if it worked.
func (g gpu) served() bool { return !g.elsewhere() && !g.unbound() }

func served(all []gpu) (count int) {
	for _, g := range all {
		if g.served() {
			count++
		}
	}
	return count
}

func firstKnown(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// asked resolves the request. Several nodes that cover every GPU of the host, or that may, count as all.
func (f Facts) asked() asked {
	all, want := slices.DeleteFunc(slices.Clone(f.gpus()), gpu.elsewhere), f.Launch.GPUs
	if want.All || len(want.Minors)+len(want.Devices)+len(want.MIGCaps) == 0 {
		return asked{GPUs: all, All: true, Part: !f.knowsEveryGPU()}
	}
	var a asked
	add := func(name string, match func(gpu) bool) {
		i := slices.IndexFunc(all, match)
		switch {
		case i < 0:
			a.Unresolved = append(a.Unresolved, name)
		case !slices.ContainsFunc(a.GPUs, func(g gpu) bool { return g.bus == all[i].bus }):
			a.GPUs = append(a.GPUs, all[i])
		}
	}
	for _, minor := range want.Minors {
		add("/dev/nvidia"+strconv.Itoa(minor), func(g gpu) bool { return g.minor == minor })
	}
	for _, name := range want.Devices {
		add(name, func(g gpu) bool { return g.named(name) })
	}
	other := slices.ContainsFunc(all, func(g gpu) bool { return g.minor >= 0 && !slices.Contains(want.Minors, g.minor) })
	a.All = len(want.Minors) > 1 && len(want.Devices) == 0 && !other
	a.Part = !f.knowsEveryGPU() || slices.ContainsFunc(all, func(g gpu) bool { return g.minor < 0 && !g.unbound() })
	return a
}

// knowsEveryGPU tells whether some list of this host's GPUs was read to its end.
func (f Facts) knowsEveryGPU() bool {
	count := f.Host.NVML.Count
	return f.Host.PCI.Known() || f.Host.ProcGPUs.Known() || count.Known() && count.Value <= len(f.gpus())
}

// named tells whether a name of NVIDIA_VISIBLE_DEVICES means this GPU or one of its MIG instances: an index, an
// index:instance, a GPU UUID or the beginning of one, a MIG UUID.
func (g gpu) named(name string) bool {
	parent, _, _ := strings.Cut(name, ":")
	if n, err := strconv.Atoi(parent); err == nil {
		return n >= 0 && g.index == n
	}
	if strings.HasPrefix(name, "MIG-") {
		return slices.ContainsFunc(g.Instances.Value, func(m host.MIGDevice) bool { return m.UUID == name }) ||
			strings.HasPrefix(name, "MIG-"+g.uuid+"/") && g.uuid != ""
	}
	return len(name) >= len("GPU-")+4 && g.uuid != "" && strings.HasPrefix(strings.ToLower(g.uuid), strings.ToLower(name))
}

// names joins GPUs for a message.
func names(list []gpu) string {
	out := make([]string, len(list))
	for i, g := range list {
		out[i] = g.String()
	}
	return strings.Join(out, ", ")
}

// failIfNoneLeft is the rule of all: a launch for all GPUs fails only when none of them is usable; a launch for
// named ones fails for each.
func (a asked) failIfNoneLeft(hurt []gpu, format string, args ...any) Result {
	if a.All && a.mayBeLeft(hurt) {
		return warn(format, args...)
	}
	return fail(format, args...)
}

// mayBeLeft tells whether a GPU may work beside those that do not. One that no driver holds does not.
func (a asked) mayBeLeft(hurt []gpu) bool {
	return a.Part || slices.ContainsFunc(a.GPUs, func(g gpu) bool {
		return !g.unbound() && !slices.ContainsFunc(hurt, func(h gpu) bool { return h.String() == g.String() })
	})
}
