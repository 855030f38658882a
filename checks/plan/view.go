package plan

import (
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/host"
)

// The words of host.Driver.Flavor.
const (
	openModules        = "open"
	proprietaryModules = "proprietary"
)

// hostView is what a plan needs of the facts, joined.
type hostView struct {
	facts    host.Facts
	software software
	gpus     []gpu
	driver   cuda.Driver  // loaded; zero: none, or not known
	cuda     cuda.Version // what it gives; zero: not known
	atLeast  bool         // it gives that or more: the branch is in no table
	by       string
}

// gpu is one GPU that a driver of this host would serve.
type gpu struct {
	bus, device, name, brand string
	capability               string       // 8.9; empty: not known
	arch                     cuda.ArchRow // zero: not known
	open, proprietary        bool         // the only kernel modules that drive it
	driven                   bool         // NVML lists it: what is loaded drives it, whatever a table says
}

func view(f host.Facts) hostView {
	v := hostView{facts: f, software: softwareOf(f), gpus: gpusOf(f)}
	v.by = v.broughtBy()
	for _, text := range []string{f.NVML.Driver.Value, f.Driver.Version.Value} {
		if d, err := cuda.ParseDriver(text); err == nil {
			v.driver = d
		}
	}
	if said, err := cuda.ParseVersion(f.NVML.CUDA.Value); err == nil {
		v.cuda = said
	} else if v.by != wsl { // WSL's numbers are Windows' own
		v.cuda, v.atLeast = atLeast(v.driver.Branch())
	}
	return v
}

// atLeast is what a branch brings by the table. One that is not in it brings no less than the one below: a newer branch
// has never brought less.
func atLeast(branch int) (v cuda.Version, bound bool) {
	if row, ok := cuda.MaxCUDA(branch); ok {
		return row.Version, false
	}
	for _, row := range cuda.Preferred() {
		if brought := brings(row.Branch); row.Branch < branch && v.Less(brought) {
			v, bound = brought, true
		}
	}
	return v, bound
}

// gives is what the driver that runs gives, in words.
func (v hostView) gives() string {
	words := "driver " + v.driver.String() + " gives "
	if v.atLeast {
		words += "at least "
	}
	return words + "CUDA " + v.cuda.String()
}

// gpusOf joins what PCI, the driver and NVML say of each GPU, in the order of the bus. GPUs that are given to virtual
// machines are not this driver's.
func gpusOf(f host.Facts) []gpu {
	var all []gpu
	for _, p := range f.PCI.Value {
		if strings.HasPrefix(p.Class, "03") && !p.Virtual && p.Driver != "vfio-pci" {
			chip, _ := cuda.Chip(p.Device)
			g := at(&all, p.Bus)
			g.device, g.capability = p.Device, chip.CC
		}
	}
	for _, p := range f.ProcGPUs.Value {
		at(&all, p.Bus).name = p.Model
	}
	for _, n := range f.NVML.GPUs {
		g := at(&all, n.Bus)
		g.brand, g.driven = n.Brand.Value, n.UUID.Known() || n.Name.Known()
		if n.Name.Value != "" {
			g.name = n.Name.Value
		}
		if n.Capability.Known() {
			g.capability = n.Capability.Value
		}
	}
	slices.SortStableFunc(all, func(a, b gpu) int { return strings.Compare(a.bus, b.bus) })
	for i := range all {
		all[i].fill()
	}
	return all
}

// at is the GPU of a bus address, which NVML writes with a longer domain. Without an address it is a GPU of its own.
func at(all *[]gpu, bus string) *gpu {
	bus = strings.ToLower(bus)
	if len(bus) == len("00000000:17:00.0") {
		bus = bus[4:]
	}
	i := slices.IndexFunc(*all, func(g gpu) bool { return g.bus == bus && bus != "" })
	if i < 0 {
		*all = append(*all, gpu{bus: bus})
		i = len(*all) - 1
	}
	return &(*all)[i]
}

// fill adds what the tables know. Maxwell, Pascal and Volta have no open kernel modules; Grace Hopper, Blackwell and
// later have no others.
// https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/kernel-modules.html
func (g *gpu) fill() {
	g.arch, _ = cuda.Arch(g.capability)
	if id, err := strconv.ParseUint(g.device, 16, 16); err == nil && g.name == "" {
		row, _ := cuda.FabricGPU(uint16(id))
		g.name = row.Name
	}
	major, minor, _ := strings.Cut(g.capability, ".")
	m, err := strconv.Atoi(major)
	switch {
	case err != nil:
	case strings.Contains(g.name, "GH200"):
		g.open, g.arch.Name = true, "Grace Hopper"
	case m >= 10:
		g.open = true
	case m < 7 || m == 7 && minor < "5":
		g.proprietary = true
	}
}

// String names the GPU for a person.
func (g gpu) String() string {
	switch {
	case g.name != "" && g.arch.Name != "":
		return g.name + " (" + g.arch.Name + ")"
	case g.name != "":
		return g.name
	case g.device == "":
		return strings.TrimSpace(g.arch.Name + " GPU")
	case g.arch.Name != "":
		return g.arch.Name + " GPU (10de:" + g.device + ")"
	}
	return "GPU 10de:" + g.device
}

func (v hostView) names() []string {
	var names []string
	for _, g := range v.gpus {
		names = append(names, g.String())
	}
	return names
}
