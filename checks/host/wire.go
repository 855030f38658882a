package host

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"sync"
	"time"

	"gpu-preflight/checks/fact"
)

// Line is one fact on its way from a child to its parent: a line of JSON.
type Line struct {
	GPU  string          `json:"gpu,omitempty"` // the GPU that the fact is about: a bus id, or #N for the N-th
	Name string          `json:"name"`
	Fact json.RawMessage `json:"fact"` // a fact.Fact
}

// flushAfter is how long a fact may wait for others before it is written: each write is worth a change of process.
const flushAfter = 2 * time.Millisecond

// Emitter writes facts as they become known, so that what was said before a hang has arrived. Facts that follow each
// other at once go in one write; Flush writes what waits. Many may use it.
type Emitter struct {
	mu      sync.Mutex
	out     io.Writer
	waiting []byte
	timer   *time.Timer // set while something waits
}

// NewEmitter returns an Emitter that writes to out.
func NewEmitter(out io.Writer) *Emitter { return &Emitter{out: out} }

// Emit tells one fact of the host (gpu is empty) or of a GPU. A fact that cannot be written is lost, and so
// unknown to the parent.
func (e *Emitter) Emit(gpu, name string, value json.Marshaler) {
	data, err := value.MarshalJSON()
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	line := e.waiting
	if gpu != "" {
		line = append(strconv.AppendQuote(append(line, gpuKey...), gpu), ',')
	} else {
		line = append(line, '{')
	}
	line = append(strconv.AppendQuote(append(line, nameKey...), name), factKey...)
	e.waiting = append(append(line, data...), '}', '\n')
	if e.timer == nil {
		e.timer = time.AfterFunc(flushAfter, e.Flush)
	}
}

// End writes what waits, and that nothing follows.
func (e *Emitter) End() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = append(e.waiting, endLine+"\n"...)
	e.write()
}

// Flush writes what waits.
func (e *Emitter) Flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.write()
}

func (e *Emitter) write() {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	_, _ = e.out.Write(e.waiting)
	e.waiting = e.waiting[:0]
}

// The frame of a Line, written and read by hand: a launch on eight GPUs has a hundred of them.
const gpuKey, nameKey, factKey = `{"gpu":`, `"name":`, `,"fact":`

// slot is a *fact.Fact[T] of any T.
type slot interface {
	json.Unmarshaler
	IsZero() bool
}

// slots ties the names on the wire to the fields they fill.
type slots map[string]slot

// readerSlots are the facts that the reader child tells.
func (f *Facts) readerSlots() slots {
	return slots{
		"dxg":            &f.Platform.DXG,
		"tegra":          &f.Platform.Tegra,
		"proc_driver":    &f.Platform.ProcDriver,
		"hypervisor":     &f.Platform.Hypervisor,
		"initial_pid_ns": &f.Platform.InitialPIDNamespace,
		"kernel":         &f.Kernel,
		"os":             &f.OS,
		"libraries":      &f.Libraries,
		"pci":            &f.PCI,
		"proc_gpus":      &f.ProcGPUs,
		"nodes":          &f.Nodes,
		"mig_caps":       &f.MIGCaps,
		"params":         &f.Params,
		"switches":       &f.Fabric.Switches,
		"manager_config": &f.Fabric.ManagerConfig,
	}
}

// nvmlSlots are the facts of NVML about the host.
func (n *NVML) slots() slots {
	return slots{"init": &n.Init, "driver": &n.Driver, "cuda": &n.CUDA, "count": &n.Count, "conf_compute": &n.ConfCompute}
}

// slots are the facts of NVML about one GPU; care adds those of doctor's scope.
func (g *GPU) slots(care bool) slots {
	s := slots{
		"handle": &g.Handle, "index": &g.Index, "minor": &g.Minor, "uuid": &g.UUID, "name": &g.Name,
		"brand": &g.Brand, "capability": &g.Capability, "mig": &g.MIG, "instances": &g.Instances, "fabric": &g.Fabric,
		"recovery": &g.Recovery, "memory": &g.Memory, "compute": &g.Compute, "draining": &g.Draining,
	}
	if care {
		s["persistence"], s["inforom"], s["slowdown"] = &g.Persistence, &g.Inforom, &g.Slowdown
	}
	return s
}

// fold puts a fact where it belongs. A name that nobody knows and a value of the wrong type change nothing:
// the field stays unknown.
func (s slots) fold(line Line) {
	target, ok := s[line.Name]
	if !ok {
		return
	}
	if err := target.UnmarshalJSON(line.Fact); err != nil {
		lose(target, "the child's answer cannot be read")
	}
}

// rest makes unknown what did not arrive.
func (s slots) rest(why string) {
	for _, target := range s {
		if target.IsZero() {
			lose(target, why)
		}
	}
}

// lose makes a fact unknown.
func lose(target slot, why string) {
	if data, err := fact.Missing[bool]("", why).MarshalJSON(); err == nil {
		_ = target.UnmarshalJSON(data)
	}
}

// parseLine reads a child's line; ok is false for what is not one. The fact is judged by who reads it.
func parseLine(data []byte) (line Line, ok bool) {
	rest, found := bytes.CutPrefix(data, []byte(gpuKey))
	if found {
		if line.GPU, rest, ok = token(rest); !ok || len(rest) == 0 || rest[0] != ',' {
			return line, false
		}
		rest = rest[1:]
	} else if rest, found = bytes.CutPrefix(data, []byte("{")); !found {
		return line, false
	}
	if rest, found = bytes.CutPrefix(rest, []byte(nameKey)); !found {
		return line, false
	}
	if line.Name, rest, ok = token(rest); !ok {
		return line, false
	}
	rest, begins := bytes.CutPrefix(rest, []byte(factKey))
	rest, ends := bytes.CutSuffix(rest, []byte("}"))
	line.Fact = rest
	return line, begins && ends && len(rest) > 0 && line.Name != ""
}

// token reads a quoted text that needs no escapes: names, bus ids.
func token(data []byte) (text string, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(data, []byte(`"`))
	word, rest, ends := bytes.Cut(rest, []byte(`"`))
	return string(word), rest, ok && ends && !bytes.ContainsFunc(word, func(r rune) bool { return r == '\\' || r < ' ' })
}
