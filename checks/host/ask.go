package host

import (
	"strconv"
	"strings"
)

// Plan is what NVML is asked about.
type Plan struct {
	All   bool     // every GPU, by index
	Buses []string // these
	Care  bool     // doctor's questions too, some of which take long
	left  []GPU    // GPUs that were asked for and are left alone, and why
}

// PlanGPUs is the plan for the host below root. The helper makes it for itself, so that it need not wait for the
// reader; Gather makes the same one from the reader's facts, to know what was asked in vain.
func PlanGPUs(root string, asked []string, askAll bool) Plan {
	t := newTree(root)
	f := Facts{ProcGPUs: t.procGPUs()}
	f.Platform.DXG, f.Platform.Tegra = t.isThere("/dev/dxg"), t.tegra()
	return planGPUs(Options{Asked: asked, AskAll: askAll}, &f)
}

// planGPUs decides which GPUs NVML is asked about: those asked for, and of them only those that the driver holds
// initialised. A handle of another one would initialise it, 1 to 3 s each, and the container would pay again
// (NVIDIA's driver persistence documentation). WSL and Jetson have no list of their own and always-on GPUs.
func planGPUs(o Options, f *Facts) Plan {
	if f.Platform.DXG.Value || f.Platform.Tegra.Value {
		return Plan{All: true, Care: o.AskAll}
	}
	if !f.ProcGPUs.Known() {
		return Plan{All: o.AskAll, Care: o.AskAll}
	}
	p := Plan{Care: o.AskAll}
	wanted := wantedGPUs(o.Asked, f.ProcGPUs.Value)
	for i, gpu := range f.ProcGPUs.Value {
		switch {
		case !wanted[i]:
		case gpu.Excluded:
			p.left = append(p.left, GPU{Bus: gpu.Bus, NotAsked: "excluded by the driver's configuration"})
		case !gpu.Resident && !o.AskAll:
			p.left = append(p.left, GPU{Bus: gpu.Bus, NotAsked: "not resident: it would have to be initialised first"})
		case len(p.Buses) < maxGPUs:
			p.Buses = append(p.Buses, gpu.Bus)
		}
	}
	return p
}

// wantedGPUs marks the GPUs that the names mean. A name that cannot be resolved here (a MIG device's own UUID, the
// UUID of a GPU that shows none) may mean any of them: all are marked. An index or minor that no GPU has means none.
func wantedGPUs(asked []string, gpus []ProcGPU) []bool {
	wanted := make([]bool, len(gpus))
	if asked == nil {
		asked = []string{"all"}
	}
	for _, name := range asked {
		match, resolved := matcher(name), false
		for i, index := 0, 0; i < len(gpus); i++ {
			if match(gpus[i], index) {
				wanted[i], resolved = true, true
			}
			if !gpus[i].Excluded {
				index++ // NVML counts in the order of the bus, without excluded ones
			}
		}
		if isUUID(name) && !resolved {
			for i := range wanted {
				wanted[i] = true
			}
		}
	}
	return wanted
}

func isUUID(name string) bool {
	return strings.HasPrefix(name, "GPU-") || strings.HasPrefix(name, "MIG-")
}

// matcher tells whether a GPU, and the index it has, is meant by a name: "all", a bus id, GPU-<uuid>,
// MIG-GPU-<uuid>/1/0, an index, <index>:<MIG index>, or minor:<minor>.
func matcher(name string) func(ProcGPU, int) bool {
	none := func(ProcGPU, int) bool { return false }
	if name == "all" {
		return func(ProcGPU, int) bool { return true }
	}
	if bus, ok := normalBus(name); ok {
		return func(g ProcGPU, _ int) bool { return g.Bus == bus }
	}
	if text, ok := strings.CutPrefix(name, "minor:"); ok {
		minor, err := strconv.Atoi(text)
		if err != nil || minor < 0 {
			return none
		}
		return func(g ProcGPU, _ int) bool { return g.Minor == minor }
	}
	if isUUID(name) {
		uuid, _, _ := strings.Cut(strings.TrimPrefix(name, "MIG-"), "/")
		return func(g ProcGPU, _ int) bool { return g.UUID != "" && strings.EqualFold(g.UUID, uuid) }
	}
	number, _, _ := strings.Cut(name, ":")
	wanted, err := strconv.Atoi(number)
	if err != nil {
		return none
	}
	return func(g ProcGPU, index int) bool { return !g.Excluded && index == wanted }
}
