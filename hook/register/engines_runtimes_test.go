package register_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/hook"
	"gpu-preflight/testdata/fixture"
)

// refusedText is what an operator reads when nvidia/cuda:13.0.0 is to start on a GeForce with driver 535.
var refusedText = []string{
	"gpu-preflight refused this container: the image requires CUDA 13.0 (NVIDIA_REQUIRE_CUDA), but driver 535.183.06 gives 12.2",
	"error 35", "Fix: install driver branch 580 or later", "[cuda-requirement; gpu-preflight logs]",
}

// TestEngineHookRefuses: the hook refuses on a host whose driver is too old, and the reason reaches the user where
// the runtime lets it.
func TestEngineHookRefuses(t *testing.T) {
	for _, e := range runtimes(t) {
		t.Run(e.name, func(t *testing.T) {
			s := oldHost(t, "")
			out, code := newBundle(t, withGPU(t, s.hook())).run(t, e)
			if code != e.exit || strings.Contains(out, ran) {
				t.Fatalf("exit %d, want %d: %s", code, e.exit, out)
			}
			if e.name == "crun" { // crun gives hooks no stderr: only the exit code gets through
				if !strings.Contains(out, "(exit code: 1)") {
					t.Errorf("crun does not name exit code 1: %s", out)
				}
			} else {
				contains(t, strings.ReplaceAll(out, `\"`, `"`), refusedText...)
			}
			list := s.records(t)
			if len(list) != 1 || list[0].Verdict != "refuse" || list[0].Driver != "535.183.06" {
				t.Fatalf("records: %+v", list)
			}
			contains(t, list[0].Message, refusedText...)
		})
	}
}

// TestEngineHookStarts: the same container starts on a host with a driver for CUDA 13, and is recorded.
func TestEngineHookStarts(t *testing.T) {
	for _, e := range runtimes(t) {
		t.Run(e.name, func(t *testing.T) {
			s := newHost(t)
			libcuda := "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05" // as each CDI specification mounts it
			out, code := newBundle(t, func(spec *specs.Spec) {
				withGPU(t, s.hook())(spec)
				spec.Mounts = append(spec.Mounts, specs.Mount{Source: s.root + libcuda, Destination: libcuda, Type: "bind", Options: []string{"bind", "ro"}})
			}).run(t, e)
			started(t, out, code)
			if list := s.records(t); len(list) != 1 || list[0].Verdict != "allow" || list[0].Problem != "" {
				t.Errorf("records: %+v", list)
			}
		})
	}
}

// TestEngineWithoutGPU: a container that asks for no GPU starts on a broken host and leaves no record.
func TestEngineWithoutGPU(t *testing.T) {
	for _, e := range runtimes(t) {
		t.Run(e.name, func(t *testing.T) {
			s := oldHost(t, "")
			out, code := newBundle(t, func(spec *specs.Spec) { spec.Hooks = s.hook() }).run(t, e)
			started(t, out, code)
			if list := s.records(t); len(list) != 0 {
				t.Errorf("a container without a GPU was recorded: %+v", list)
			}
		})
	}
}

// TestEngineHangingNVML: NVML that never answers holds the start no longer than the policy's timeout and half a
// second, nothing of it is refused, and its child does not keep the runtime waiting.
func TestEngineHangingNVML(t *testing.T) {
	const timeout = 1500 * time.Millisecond
	for _, e := range runtimes(t) {
		t.Run(e.name, func(t *testing.T) {
			s := newSite(t, "580.95.05", "cuda=13000\nhang=init\n", "timeout = \"1500ms\"\nnvml_timeout = \"1500ms\"")
			b := newBundle(t, withGPU(t, nil))
			began := time.Now()
			if out, code := b.run(t, e); code != 0 {
				t.Fatalf("without the hook: exit %d: %s", code, out)
			}
			alone := time.Since(began)
			began = time.Now()
			out, code := newBundle(t, withGPU(t, s.hook())).run(t, e)
			held := time.Since(began) - alone
			started(t, out, code)
			list := s.records(t)
			if len(list) != 1 || list[0].Duration > float64((timeout+500*time.Millisecond).Milliseconds()) {
				t.Errorf("records: %+v", list)
			}
			if held > timeout+time.Second { // half a second for the hook, half for a busy machine
				t.Errorf("the start was held for %v", held)
			}
		})
	}
}

// TestEnginePanic: a panic in our code, planted by a test build into the judging goroutine and into those beside it,
// never refuses by itself: the container starts, and what could still be known is recorded.
func TestEnginePanic(t *testing.T) {
	e := probe(t, engine{name: "runc", exit: 1})
	for _, row := range []struct{ name, file, function, problem string }{
		{"a check", "checks/run.go", "func judge(", "panic: planted"},
		{"the reading of config.json", "oci/gpus.go", "func FindGPUs(", "panic: planted"},
		{"gathering", "checks/host/choose.go", "func (t tree) choose(", "panic: planted"},
		{"the goroutine that asks NVML", "checks/host/asknvml.go", "func askNVML(", ""},
		{"the goroutine that hears a child", "checks/host/wire.go", "func parseLine(", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := oldHost(t, "")
			plant(t, filepath.Join(s.bin, "gpu-preflight-hook"), row.file, row.function)
			out, code := newBundle(t, withGPU(t, s.hook())).run(t, e)
			started(t, out, code)
			if list := s.records(t); len(list) != 1 || !strings.Contains(list[0].Problem, row.problem) {
				t.Errorf("records: %+v", list)
			}
		})
	}
}

// plant builds the hook with a panic as the first statement of one function.
func plant(t *testing.T, to, file, function string) {
	t.Helper()
	path := filepath.Join(fixture.Root(), file)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(data), "\n"+function)
	signature, body, open := strings.Cut(after, "{\n")
	if !found || !open {
		t.Fatalf("%s has no %q", file, function)
	}
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	write(t, changed, before+"\n"+function+signature+"{\n\tif len(\"planted\") > 0 {\n\t\tpanic(\"planted\")\n\t}\n"+body)
	write(t, overlay, `{"Replace": {"`+path+`": "`+changed+`"}}`)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", to, "./cmd/gpu-preflight-hook")
	cmd.Dir, cmd.Env = fixture.Root(), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
}

// TestEngineBrokenPolicy: a broken policy judges in warn mode and says so; its own log file is not believed.
func TestEngineBrokenPolicy(t *testing.T) {
	e := probe(t, engine{name: "runc", exit: 1})
	s := oldHost(t, "mode = \"strict\"")
	b := newBundle(t, withGPU(t, s.hook()))
	s.log = hook.DefaultPolicy().Log.File // the broken file's own is not believed
	keepFile(t, s.log)
	out, code := b.run(t, e)
	started(t, out, code)
	list := s.records(t)
	if len(list) == 0 {
		t.Fatal("no record")
	}
	last := list[len(list)-1]
	if last.Container.ID != b.id || last.Verdict != "warn" || !last.WouldRefuse {
		t.Errorf("record: %+v", last)
	}
	contains(t, last.Problem, s.config, "line 1: mode")
}

// TestEngineBadInput: whatever is wrong with our input, the container starts and the record says what was wrong.
func TestEngineBadInput(t *testing.T) {
	e := probe(t, engine{name: "runc", exit: 1})
	for name, text := range map[string]string{"config.json cut off": `{"process": {"env": [`, "config.json of another shape": `{"process": 3}`} {
		t.Run(name, func(t *testing.T) {
			s := oldHost(t, "")
			dir := t.TempDir()
			write(t, filepath.Join(dir, "config.json"), text)
			code, said := s.call(t, `{"id": "c1", "bundle": "`+dir+`"}`)
			if code != 0 || said != "" {
				t.Errorf("exit %d, stderr %q", code, said)
			}
			if list := s.records(t); len(list) != 1 || !strings.Contains(list[0].Problem, filepath.Join(dir, "config.json")+":1:") {
				t.Errorf("records: %+v", list)
			}
		})
	}
	t.Run("stdin", func(t *testing.T) {
		s := oldHost(t, "")
		if code, said := s.call(t, `{"id": "c1", `); code != 0 || said != "" {
			t.Errorf("exit %d, stderr %q", code, said)
		}
		if list := s.records(t); len(list) != 1 || !strings.Contains(list[0].Problem, "stdin") {
			t.Errorf("records: %+v", list)
		}
	})
	t.Run("flag", func(t *testing.T) {
		s := oldHost(t, "")
		hooks := s.hook()
		hooks.CreateRuntime[0].Args = append(hooks.CreateRuntime[0].Args, "--no-such-flag")
		out, code := newBundle(t, withGPU(t, hooks)).run(t, e)
		started(t, out, code)
		if list := s.records(t); len(list) != 1 || !strings.Contains(list[0].Problem, "--no-such-flag") {
			t.Errorf("records: %+v", list)
		}
	})
}

// TestEngineShim: the shim in front of runc refuses before anything is set up, in runc's own log form and on
// stderr; what may start it hands on.
func TestEngineShim(t *testing.T) {
	e := probe(t, engine{name: "runc", exit: 1})
	runc, err := exec.LookPath(e.name)
	if err != nil {
		t.Fatal(err)
	}
	shim := func(s site) (string, []string) {
		write(t, filepath.Join(s.bin, "next"), runc+"\n")
		return filepath.Join(s.bin, "gpu-preflight-runtime"), []string{"GPU_PREFLIGHT_ROOT=" + s.root, "GPU_PREFLIGHT_CONFIG=" + s.config}
	}
	t.Run("refuses", func(t *testing.T) {
		s := oldHost(t, "")
		program, env := shim(s)
		log := filepath.Join(t.TempDir(), "log.json")
		out, code := newBundle(t, withGPU(t, nil)).runAs(t, program, env, "--log", log, "--log-format", "json")
		if code != 1 || strings.Contains(out, ran) {
			t.Fatalf("exit %d: %s", code, out)
		}
		contains(t, out, refusedText...)
		data, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		contains(t, string(data), `"level":"error"`, `"msg":"gpu-preflight refused this container`, `"time":"`)
		if list := s.records(t); len(list) != 1 || list[0].Program != "runtime" || list[0].Verdict != "refuse" {
			t.Errorf("records: %+v", list)
		}
	})
	t.Run("starts", func(t *testing.T) {
		s := newHost(t)
		program, env := shim(s)
		out, code := newBundle(t, withGPU(t, nil)).runAs(t, program, env)
		started(t, out, code)
	})
	t.Run("no GPU", func(t *testing.T) {
		s := oldHost(t, "")
		program, env := shim(s)
		out, code := newBundle(t, nil).runAs(t, program, env)
		started(t, out, code)
		if list := s.records(t); len(list) != 0 {
			t.Errorf("records: %+v", list)
		}
	})
	t.Run("passes on", func(t *testing.T) {
		s := oldHost(t, "")
		program, env := shim(s)
		cmd := exec.CommandContext(t.Context(), program, "--version")
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "runc version") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// call runs the hook as an engine does, without one.
func (s site) call(t *testing.T, state string) (code int, stderr string) {
	t.Helper()
	h := s.hook().CreateRuntime[0]
	cmd := exec.CommandContext(t.Context(), h.Path, h.Args[1:]...)
	cmd.Env, cmd.Stdin = h.Env, strings.NewReader(state)
	var out strings.Builder
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// keepFile puts a file of this machine back as it was.
func keepFile(t *testing.T, path string) {
	t.Helper()
	before, err := os.ReadFile(path)
	t.Cleanup(func() {
		if err == nil {
			write(t, path, string(before))
			return
		}
		_ = os.Remove(path)
	})
}

func started(t *testing.T, out string, code int) {
	t.Helper()
	if code != 0 || !strings.Contains(out, ran) {
		t.Fatalf("exit %d, want a start: %s", code, out)
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in: %s", part, text)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
