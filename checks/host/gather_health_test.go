package host

import (
	"reflect"
	"strings"
	"testing"

	"gpu-preflight/checks/fact"
)

// TestGatherHealth: what NVML says of the health of a GPU, and what it means that a driver does not have the call.
func TestGatherHealth(t *testing.T) {
	three := uint64(3)
	sound := Memory{Uncorrected: new(uint64), Rows: &RowRemapping{}}
	const soundFields = "gpu.*.field.4=0\ngpu.*.field.143=0\ngpu.*.field.144=0\ngpu.*.field.145=0\ngpu.*.field.230=0\n"
	for name, test := range map[string]struct {
		conf   string
		flags  []string
		memory Memory
		gpu    GPU // the other answers
		cc     ConfCompute
	}{
		"sound":               {conf: soundFields, memory: sound, gpu: GPU{}},
		"nothing of it":       {gpu: GPU{Recovery: known(RecoveryNotTold)}},
		"old driver":          {flags: []string{"-DOLD_DRIVER"}, gpu: GPU{Recovery: known(RecoveryNotTold)}},
		"not supported":       {conf: "gpu.0.fields_code=3", gpu: GPU{Recovery: known(RecoveryNotTold)}},
		"field too new":       {conf: soundFields + "gpu.0.field_code.230=2", memory: sound, gpu: GPU{Recovery: known(RecoveryNotTold)}},
		"must be reset":       {conf: "gpu.0.field.230=1", gpu: GPU{Recovery: known(RecoveryReset)}},
		"ECC errors":          {conf: "gpu.0.field.4=3\ngpu.0.field.230=0", memory: Memory{Uncorrected: &three}},
		"rows":                {conf: "gpu.0.field.143=3\ngpu.0.field.144=1\ngpu.0.field.145=1\ngpu.0.field.230=0", memory: Memory{Rows: &RowRemapping{3, true, true}}},
		"pages":               {conf: "gpu.0.field.29=3\ngpu.0.field.30=2\ngpu.0.field.31=1\ngpu.0.field.230=0", memory: Memory{Pages: &PageRetirement{3, 2, true}}},
		"prohibited":          {conf: soundFields + "gpu.0.compute_mode=2", memory: sound, gpu: GPU{Compute: known(Compute{Mode: ComputeProhibited})}},
		"exclusive":           {conf: soundFields + "gpu.0.compute_mode=3\ngpu.0.processes=2", memory: sound, gpu: GPU{Compute: known(Compute{Mode: 3, Processes: 2})}},
		"exclusive, MPS":      {conf: soundFields + "gpu.0.compute_mode=3\ngpu.0.processes=1\nprocess_name=/usr/bin/nvidia-cuda-mps-server -x", memory: sound, gpu: GPU{Compute: known(Compute{3, 1, true})}},
		"draining":            {conf: soundFields + "gpu.0.drain=1", memory: sound, gpu: GPU{Draining: known(true)}},
		"confidential":        {conf: soundFields + "cc=1\ncc_ready=0", memory: sound, cc: ConfCompute{Enabled: true}},
		"confidential, ready": {conf: soundFields + "cc=1\ncc_ready=1", memory: sound, cc: ConfCompute{Enabled: true, Ready: true}},
	} {
		t.Run(name, func(t *testing.T) {
			n := Gather(t.Context(), healthy(t, 1, test.conf+"\n", test.flags...)).NVML
			g := n.GPUs[0]
			if !g.Memory.Known() || !reflect.DeepEqual(g.Memory.Value, test.memory) {
				t.Errorf("memory %+v (%s), want %+v", g.Memory.Value, g.Memory.Why(), test.memory)
			}
			if !g.Recovery.Known() || g.Recovery.Value != test.gpu.Recovery.Value {
				t.Errorf("recovery %+v", g.Recovery)
			}
			if !g.Compute.Known() || g.Compute.Value != test.gpu.Compute.Value {
				t.Errorf("compute %+v", g.Compute)
			}
			if !g.Draining.Known() || g.Draining.Value != test.gpu.Draining.Value {
				t.Errorf("draining %+v", g.Draining)
			}
			if !n.ConfCompute.Known() || n.ConfCompute.Value != test.cc {
				t.Errorf("confidential computing %+v", n.ConfCompute)
			}
			if !g.Persistence.IsZero() || !g.Inforom.IsZero() || !g.Slowdown.IsZero() {
				t.Errorf("doctor's questions at a launch: %+v", g)
			}
		})
	}
}

// TestGatherHealthFails: an error that is not absence leaves the fact unknown, and only that.
func TestGatherHealthFails(t *testing.T) {
	for name, test := range map[string]struct {
		conf string
		lost func(GPU) string // why the fact is unknown
	}{
		"the call":  {"gpu.0.fields_code=15", func(g GPU) string { return g.Memory.Why() }},
		"one field": {"gpu.0.field.4=0\ngpu.0.field_code.4=15", func(g GPU) string { return g.Memory.Why() }},
		"recovery":  {"gpu.0.field.230=0\ngpu.0.field_code.230=15", func(g GPU) string { return g.Recovery.Why() }},
	} {
		g := Gather(t.Context(), healthy(t, 1, test.conf+"\n")).NVML.GPUs[0]
		if why := test.lost(g); !strings.Contains(why, "NVML returned 15 (GPU is lost)") || !g.Compute.Known() {
			t.Errorf("%s: %q, %+v", name, why, g)
		}
	}
}

// TestGatherCare: doctor's scope asks more, the slow inforom after everything else.
func TestGatherCare(t *testing.T) {
	o := healthy(t, 2, "gpus=2\ngpu.0.persistence=0\ngpu.0.slowdown=0x40\ngpu.1.inforom=14\n")
	o.AskAll = true
	gpus := Gather(t.Context(), o).NVML.GPUs
	first, second := gpus[0], gpus[1]
	if first.Persistence.Value || !first.Persistence.Known() || first.Slowdown.Value != 0x40 || first.Inforom.Value != 0 || !first.Inforom.Known() {
		t.Errorf("GPU 0: %+v", first)
	}
	if !second.Persistence.Value || second.Inforom.Value != 14 {
		t.Errorf("GPU 1: %+v", second)
	}
}

func known[T any](v T) fact.Fact[T] { return fact.Of(v, "test") }
