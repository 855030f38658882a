package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/fact"
)

// HelperName is the program that asks NVML.
const HelperName = "gpu-preflight-nvml"

// askNVML asks the chosen library through the helper, which decides by itself which GPUs to ask. What was not
// answered is filled in by finish, once it is known what was asked.
func askNVML(ctx context.Context, o Options, c choice, n *NVML) (got answers, why string) {
	got.care = o.AskAll
	n.Library, n.Root = c.library(), c.root
	if c.root == "" {
		return got, c.why
	}
	args := []string{"--library", c.file, "--root", o.Root}
	for _, name := range o.Asked {
		args = append(args, "--asked", name)
	}
	if o.AskAll {
		args = append(args, "--ask-all")
	}
	err := RunChild(ctx, Child{Path: o.Helper, Args: args, Name: "nvml", RunDir: o.RunDir}, func(data []byte) {
		if line, ok := parseLine(data); ok {
			got.take(n, line)
		}
	})
	return got, o.ended(err)
}

// library is the file that is loaded, as a fact: none found is a known absence, none that may be loaded is not.
func (c choice) library() fact.Fact[string] {
	switch {
	case c.root != "":
		return fact.Of(c.path, "driver root "+c.root)
	case c.none:
		return fact.Of("", "the driver roots")
	default:
		return fact.Missing[string]("the driver roots", c.why)
	}
}

// ended is why a child's remaining facts are unknown.
func (o Options) ended(err error) string {
	switch {
	case err == nil:
		return "not answered"
	case errors.Is(err, ErrTimeout):
		return "no answer within " + o.NVMLTimeout.String()
	default:
		return err.Error()
	}
}

// answers collects the GPUs by the keys that the helper uses.
type answers struct {
	care  bool // doctor's questions were asked too
	keys  []string
	gpus  []*GPU
	slots []slots // of the GPUs
}

// at is where a GPU stands, a new one at the end.
func (a *answers) at(key string) int {
	if i := slices.Index(a.keys, key); i >= 0 {
		return i
	}
	gpu := &GPU{}
	if bus, ok := normalBus(key); ok {
		gpu.Bus = bus
	}
	a.keys, a.gpus, a.slots = append(a.keys, key), append(a.gpus, gpu), append(a.slots, gpu.slots(a.care))
	return len(a.keys) - 1
}

// maxGPUs bounds how many GPUs a helper may tell of.
const maxGPUs = 256

func (a *answers) take(n *NVML, line Line) {
	switch {
	case line.GPU == "":
		n.slots().fold(line)
	case len(a.gpus) >= maxGPUs:
	case line.Name == "bus":
		var bus fact.Fact[string]
		if bus.UnmarshalJSON(line.Fact) == nil {
			a.gpus[a.at(line.GPU)].Bus, _ = normalBus(bus.Value)
		}
	default:
		a.slots[a.at(line.GPU)].fold(line)
	}
}

// finish makes unknown what was not answered, and adds the GPUs that were asked in vain or left alone.
func (a *answers) finish(n *NVML, p Plan, why string) {
	if n.Init.Known() && n.Init.Value != NVMLSuccess {
		why = "nvmlInit returned " + strconv.Itoa(n.Init.Value)
	}
	n.slots().rest(why)
	for _, bus := range p.Buses {
		a.at(bus)
	}
	for i, gpu := range a.gpus {
		left := why
		if gpu.Handle.Known() && gpu.Handle.Value != NVMLSuccess {
			left = fmt.Sprintf("no handle: NVML returned %d", gpu.Handle.Value)
		}
		a.slots[i].rest(left)
		n.GPUs = append(n.GPUs, *gpu)
	}
	n.GPUs = append(n.GPUs, p.left...)
	slices.SortStableFunc(n.GPUs, func(x, y GPU) int { return strings.Compare(x.Bus, y.Bus) })
}
