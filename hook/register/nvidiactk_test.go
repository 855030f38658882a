package register

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostWith is a host below a folder of its own: files by path, and programs that can be executed.
func hostWith(t *testing.T, files map[string]string, programs ...string) Site {
	t.Helper()
	s := Site{Root: t.TempDir(), Prefix: "/usr/local"}
	write := func(path, text string, mode os.FileMode) {
		here := filepath.Join(s.Root, path)
		if err := os.MkdirAll(filepath.Dir(here), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(here, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range files {
		write(path, text, 0o644)
	}
	for _, path := range programs {
		write(path, "", 0o755)
	}
	return s
}

// hostFile is what a host's file holds; "absent" if it is not there.
func hostFile(t *testing.T, s Site, path string) string {
	t.Helper()
	data, _, err := s.read(path)
	if err != nil {
		t.Fatal(err)
	}
	if data == nil {
		return "absent"
	}
	return string(data)
}

// registerOn plans and writes, and wants a second plan to have nothing to write.
func registerOn(t *testing.T, s Site, e Engine) Plan {
	t.Helper()
	p, err := e.Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range p.Edits {
		if err = s.replace(edit); err != nil {
			t.Fatal(err)
		}
	}
	again, err := e.Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Edits) > 0 {
		t.Errorf("registering again would write\n%s", Diff(again.Edits[0]))
	}
	if !slices.Equal(again.Shims, p.Shims) {
		t.Errorf("registering again names the shims %v, first %v", again.Shims, p.Shims)
	}
	return p
}

// stripAll takes our entries out of every file of an engine.
func stripAll(t *testing.T, s Site, e Engine) {
	t.Helper()
	for _, path := range e.Files(s) {
		before, mode, err := s.read(path)
		if err != nil {
			t.Fatal(err)
		}
		if before == nil {
			continue
		}
		after, err := e.Strip(path, before)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.replace(Edit{Path: path, Before: before, After: after, Mode: mode}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNvidiaCTKRegistersTwiceAsOnceAndLeavesNothing(t *testing.T) {
	for name, text := range oddTOML {
		t.Run(name, func(t *testing.T) {
			s := hostWith(t, map[string]string{nvidiaConfig: text}, "/usr/bin/nvidia-container-runtime", "/usr/sbin/runc", "/usr/bin/crun", "/opt/runc")
			if name == "empty list" {
				if _, err := nvidiaCTK().Plan(s); err == nil || !strings.Contains(err.Error(), nvidiaConfig) {
					t.Errorf("no runtime could stand behind ours: %v", err)
				}
				return
			}
			before := nvidiaList(mustParse(t, text))
			p := registerOn(t, s, nvidiaCTK())
			list := nvidiaList(mustParse(t, hostFile(t, s, nvidiaConfig)))
			if want := append([]string{s.ShimPath(p.Shims[0].Name)}, before...); !slices.Equal(list, want) {
				t.Errorf("runtimes are %q, want %q", list, want)
			}
			next := map[string]string{"runc": "/usr/sbin/runc", "crun": "/usr/bin/crun", "/opt/runc": "/opt/runc"}[before[0]]
			if p.Shims[0] != (Shim{Name: "nvidia-ctk-" + filepath.Base(next), Next: next}) {
				t.Errorf("the shim is %+v, want the next runtime %s", p.Shims[0], next)
			}
			stripAll(t, s, nvidiaCTK())
			if got := hostFile(t, s, nvidiaConfig); got != text && !strings.HasPrefix(name, "inline,") {
				t.Errorf("taken out again:\n%q\nwant\n%q", got, text)
			}
		})
	}
}

func TestNvidiaCTKOnHosts(t *testing.T) {
	const theirs = "[nvidia-container-runtime]\nruntimes = [\"runc\", \"/usr/local/libexec/gpu-preflight/nvidia-ctk-runc/gpu-preflight-runtime\"]\n"
	for name, c := range map[string]struct {
		files    map[string]string
		programs []string
		file     string // the one that is written
		want     []string
		err      string
	}{
		"no file, the toolkit installed": {
			programs: []string{"/usr/bin/nvidia-container-runtime", "/usr/bin/crun"}, file: nvidiaConfig,
			want: []string{"/usr/local/libexec/gpu-preflight/nvidia-ctk-crun/gpu-preflight-runtime", "runc", "crun"},
		},
		"the shim was pushed back": {
			files: map[string]string{nvidiaConfig: theirs}, programs: []string{"/usr/bin/runc"}, file: nvidiaConfig,
			want: []string{"/usr/local/libexec/gpu-preflight/nvidia-ctk-runc/gpu-preflight-runtime", "runc"},
		},
		"the operator's toolkit alone, with containerd's shim": {
			files:    map[string]string{operatorConfig: "[nvidia-container-runtime]\nruntimes = [\"/usr/local/libexec/gpu-preflight/containerd-runc/gpu-preflight-runtime\", \"runc\"]\n"},
			programs: []string{"/usr/bin/runc"}, file: operatorConfig,
			want: []string{"/usr/local/libexec/gpu-preflight/nvidia-ctk-operator-runc/gpu-preflight-runtime", "runc"},
		},
		"a runtime that cannot be executed is passed over": {
			files:    map[string]string{nvidiaConfig: "[nvidia-container-runtime]\nruntimes = [\"/etc/nvidia-container-runtime/config.toml\", \"/usr/bin/youki\"]\n"},
			programs: []string{"/usr/bin/youki"}, file: nvidiaConfig,
			want: []string{"/usr/local/libexec/gpu-preflight/nvidia-ctk-youki/gpu-preflight-runtime", "/etc/nvidia-container-runtime/config.toml", "/usr/bin/youki"},
		},
		"no runtime":    {programs: []string{"/usr/bin/nvidia-container-runtime"}, err: "none of the runtimes"},
		"no toolkit":    {programs: []string{"/usr/bin/runc"}, err: "is not installed here"},
		"a broken file": {files: map[string]string{nvidiaConfig: "[a]\nb = \n"}, err: nvidiaConfig + ": line 2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := hostWith(t, c.files, c.programs...)
			if c.err != "" {
				if p, err := nvidiaCTK().Plan(s); err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("planned %+v, %v; want an error with %q", p, err, c.err)
				}
				return
			}
			if !nvidiaCTK().Present(s) {
				t.Error("it is not seen")
			}
			p := registerOn(t, s, nvidiaCTK())
			if len(p.Edits) != 1 || p.Edits[0].Path != c.file {
				t.Fatalf("it edits %+v, not %s", p.Edits, c.file)
			}
			if got := nvidiaList(mustParse(t, hostFile(t, s, c.file))); !slices.Equal(got, c.want) {
				t.Errorf("runtimes are %q, want %q", got, c.want)
			}
			if note := strings.Join(p.Notes, "\n"); strings.Contains(note, "NVIDIA_CONTAINER_RUNTIME_RUNTIMES") != (c.file == operatorConfig) {
				t.Errorf("notes: %q", note)
			}
			stripAll(t, s, nvidiaCTK())
			if c.files == nil && hostFile(t, s, c.file) != "absent" {
				t.Errorf("a file of ours is left: %q", hostFile(t, s, c.file))
			}
		})
	}
}
