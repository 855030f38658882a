package register_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/testdata/fixture"
)

// TestEngineNvidiaRuntime: nvidia-container-runtime over runc in each of its modes. What the image asks for and the
// driver cannot give starts, is refused once nvidia-ctk is registered, and starts when it is taken out; the mode is
// NVIDIA's own affair. A container without a GPU comes to runc as it was written.
func TestEngineNvidiaRuntime(t *testing.T) {
	refusedByHook := []string{
		`gpu-preflight refused this container: the image requires "cuda>=13.0" (NVIDIA_REQUIRE_CUDA)`, "driver 535.183.06",
		"Fix: install driver branch 580 or later", "[cuda-requirement; gpu-preflight logs]",
	}
	for _, row := range []struct {
		program, mode string
		says          []string
	}{
		{"nvidia-container-runtime", "auto", refusedText},
		{"nvidia-container-runtime", "jit-cdi", refusedText},
		{"nvidia-container-runtime", "cdi", refusedText},
		{"nvidia-container-runtime", "legacy", refusedByHook},
		{"nvidia-container-runtime.cdi", "auto", refusedText},
		{"nvidia-container-runtime.legacy", "auto", refusedByHook},
	} {
		t.Run(row.program+" "+row.mode, func(t *testing.T) {
			probe(t, engine{name: "runc"})
			old, good := oldHost(t, ""), newHost(t)
			dir := rootOfItsOwn(t, old)
			k := newToolkit(t, old, dir, row.mode)
			k.generate(t, old)
			bad := func(s site) launched {
				return newBundle(t, asksForAll(t)).create(t, k.program(row.program), slices.Concat(k.env, s.env()))
			}
			starts := func(s site, records int) {
				t.Helper()
				if l := bad(s); !l.started {
					t.Errorf("it did not start: %s", l.said)
				}
				if list := s.records(t); len(list) != records {
					t.Errorf("records: %+v", list)
				}
			}
			starts(old, 0)
			k.product(t, "register", "--prefix", dir+"/local", "nvidia-ctk")
			l := bad(old)
			if l.started {
				t.Errorf("registered, it started: %s", l.said)
			}
			contains(t, l.said, row.says...)
			if list := old.records(t); len(list) != 1 || list[0].Verdict != "refuse" || list[0].Program != "runtime" {
				t.Errorf("records: %+v", list)
			}
			if l = newBundle(t, nil).create(t, k.program(row.program), slices.Concat(k.env, old.env())); !l.started {
				t.Errorf("without a GPU: %s", l.said)
			}
			k.move(t, old, good)
			starts(good, 1)
			if list := good.records(t); list[0].Verdict != "allow" || list[0].Problem != "" {
				t.Errorf("record of the good host: %+v", list)
			}
			if asked, _ := filepath.Glob(k.program("nvidia-container-cli") + ".asked"); (len(asked) > 0) != slices.Equal(row.says, refusedByHook) {
				t.Errorf("nvidia-container-cli was called: %q", asked)
			}
			k.product(t, "unregister", "--prefix", dir+"/local", "nvidia-ctk")
			starts(old, 1)
		})
	}
}

// asksForAll gives a container the environment of nvidia/cuda:13.0.0, which asks for all GPUs, and nothing else.
func asksForAll(t *testing.T) func(*specs.Spec) {
	t.Helper()
	text := readFile(t, filepath.Join(fixture.Root(), "testdata/images/cuda-13.0.0-base.env"))
	return func(spec *specs.Spec) {
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "PATH=") {
				spec.Process.Env = append(spec.Process.Env, strings.TrimSuffix(line, "\n"))
			}
		}
	}
}

// env is what the shim is told of a site.
func (s site) env() []string {
	return []string{"GPU_PREFLIGHT_ROOT=" + s.root, "GPU_PREFLIGHT_CONFIG=" + s.config}
}

// within waits until something is so.
func within(t *testing.T, so func() bool) {
	t.Helper()
	for range 200 {
		if so() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("it is not so after ten seconds")
}
