package register_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// shimBefore stands the shim of a site in front of a runtime.
func (s site) shimBefore(t *testing.T, runtime string) (program string, env []string) {
	t.Helper()
	write(t, filepath.Join(s.bin, "next"), runtime+"\n")
	return filepath.Join(s.bin, "gpu-preflight-runtime"), []string{"GPU_PREFLIGHT_ROOT=" + s.root, "GPU_PREFLIGHT_CONFIG=" + s.config}
}

// mounting gives a container a GPU and a mount as a CDI specification makes it.
func mounting(t *testing.T, source string) func(*specs.Spec) {
	gpu := withGPU(t, nil)
	return func(spec *specs.Spec) {
		gpu(spec)
		spec.Mounts = append(spec.Mounts, specs.Mount{
			Source: source, Destination: "/lib/" + filepath.Base(source), Options: []string{"ro", "nosuid", "nodev", "bind"},
		})
	}
}

// TestEngineStaleSpecification: a launch that mounts a library which an upgrade of the driver took away fails at the
// runtime with a path and a system error. Behind the shim it is refused with the reason, and starts once the file is
// there; above nvidia-container-runtime the runtime has the word.
func TestEngineStaleSpecification(t *testing.T) {
	for _, e := range runtimes(t) {
		t.Run(e.name, func(t *testing.T) {
			s := newHost(t)
			library := filepath.Join(t.TempDir(), "libcuda.so.570.133.07")
			out, code := newBundle(t, mounting(t, library)).run(t, e)
			if code == 0 || !strings.Contains(strings.ToLower(out), "no such file or directory") || strings.Contains(out, "gpu-preflight") {
				t.Fatalf("without us: exit %d: %s", code, out)
			}
			program, env := s.shimBefore(t, e.via)
			log := filepath.Join(t.TempDir(), "log.json")
			out, code = newBundle(t, mounting(t, library)).runAs(t, program, env, "--log="+log, "--log-format=json")
			if code != 1 || strings.Contains(out, "o such file") {
				t.Errorf("stale: exit %d: %s", code, out)
			}
			contains(t, out, "gpu-preflight refused this container: this launch mounts "+library+", which is gone from this host, where driver 580.95.05 is loaded",
				"stale", "Fix: ", "nvidia-ctk cdi generate --output=", "[libcuda-injected; gpu-preflight logs]")
			contains(t, readFile(t, log), `"level":"error"`, "[libcuda-injected;")
			if list := s.records(t); len(list) != 1 || list[0].Verdict != "refuse" || list[0].Program != "runtime" {
				t.Errorf("records: %+v", list)
			}
			above := filepath.Join(t.TempDir(), "nvidia-container-runtime")
			must(t, os.Symlink(e.via, above))
			program, env = s.shimBefore(t, above)
			if out, code = newBundle(t, mounting(t, library)).runAs(t, program, env); code == 0 || strings.Contains(out, "gpu-preflight refused") {
				t.Errorf("above nvidia-container-runtime: exit %d: %s", code, out)
			}
			program, env = s.shimBefore(t, e.via)
			write(t, library, "a library")
			out, code = newBundle(t, mounting(t, library)).runAs(t, program, env)
			started(t, out, code)
		})
	}
}

// TestEngineShimIsTheRuntime: through the shim a runtime's whole life works as without it, with the flags as engines
// write them; a descriptor that the engine hands on reaches the container.
func TestEngineShimIsTheRuntime(t *testing.T) {
	for _, e := range runtimes(t) {
		t.Run(e.name, func(t *testing.T) {
			s := newHost(t)
			program, env := s.shimBefore(t, e.via)
			b := newBundle(t, func(spec *specs.Spec) {
				withGPU(t, nil)(spec)
				spec.Process.Args = []string{"/bin/busybox", "cat", "/proc/self/fd/3"}
			})
			root, log := t.TempDir(), filepath.Join(t.TempDir(), "log.json")
			global := []string{"--root", root, "--log", log, "--log-format=json"}
			from, give, err := os.Pipe()
			must(t, err)
			defer from.Close()
			_, err = give.WriteString("through descriptor 3\n")
			must(t, err)
			must(t, give.Close())
			kept, err := os.CreateTemp(t.TempDir(), "out")
			must(t, err)
			defer kept.Close()
			call := func(out *os.File, words ...string) string {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, program, append(append([]string{}, global...), words...)...)
				cmd.Dir, cmd.Env, cmd.ExtraFiles = t.TempDir(), append(os.Environ(), env...), []*os.File{from}
				var said bytes.Buffer
				cmd.Stdout, cmd.Stderr = &said, &said
				if out != nil {
					cmd.Stdout, cmd.Stderr = out, out // what the container keeps open must be no pipe of ours
				}
				if err := cmd.Run(); err != nil {
					t.Fatalf("%q: %v: %s%s%s", words, err, said.String(), readFile(t, log), readFile(t, kept.Name()))
				}
				return said.String()
			}
			write(t, log, "")
			pid := filepath.Join(t.TempDir(), "pid")
			call(kept, "create", "--bundle="+b.dir, "--pid-file", pid, "--preserve-fds", "1", b.id)
			var state struct{ ID, Status, Bundle string }
			must(t, json.Unmarshal([]byte(call(nil, "state", b.id)), &state))
			if state.ID != b.id || state.Status != "created" || state.Bundle != b.dir || readFile(t, pid) == "" {
				t.Errorf("state %+v, process %s", state, readFile(t, pid))
			}
			call(kept, "start", b.id)
			for end := time.Now().Add(time.Minute); !strings.Contains(readFile(t, kept.Name()), "through descriptor 3"); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("the container said %q", readFile(t, kept.Name()))
				}
			}
			call(nil, "delete", "--force", b.id)
			if list := s.records(t); len(list) != 1 || list[0].Verdict == "refuse" {
				t.Errorf("records: %+v", list)
			}
		})
	}
}
