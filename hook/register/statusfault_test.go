package register

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStatusBroken: a program that is gone, not executable, for another machine, or without its next runtime; what
// becomes of the launches, and the one command that mends it.
func TestStatusBroken(t *testing.T) {
	const shim, hook = "/usr/local/libexec/gpu-preflight/docker-runc/gpu-preflight-runtime", "/usr/local/bin/gpu-preflight-hook"
	const ctk, containerdShim = "/usr/local/libexec/gpu-preflight/nvidia-ctk-runc/gpu-preflight-runtime", "/usr/local/libexec/gpu-preflight/containerd-runc/gpu-preflight-runtime"
	gone := func(path string) func(*testing.T, Site) {
		return func(t *testing.T, s Site) { t.Helper(); noError(t, os.Remove(filepath.Join(s.Root, path))) }
	}
	holds := func(path, text string, mode os.FileMode) func(*testing.T, Site) {
		return func(t *testing.T, s Site) {
			t.Helper()
			noError(t, os.Remove(filepath.Join(s.Root, path)))
			put(t, filepath.Join(s.Root, path), text, mode)
		}
	}
	for _, c := range []struct {
		name, engine string
		change       func(*testing.T, Site)
		path         string
		state        State
		what, mend   string
	}{
		{"gone", "docker", gone(shim), "docker --gpus, CDI", NotStarted, shim + " is missing", "gpu-preflight register docker"},
		{"not executable", "docker", holds(shim, elfFor(amd64), 0o644), "docker --gpus, CDI", NotStarted, "not executable", "gpu-preflight register docker"},
		{"another machine", "docker", holds(shim, elfFor(aarch64), 0o755), "docker --gpus, CDI", NotStarted, "another architecture", "gpu-preflight register docker"},
		{"no program", "docker", holds(shim, "", 0o755), "docker --gpus, CDI", NotStarted, "neither ELF nor a script", "gpu-preflight register docker"},
		{"no next", "docker", gone("/usr/sbin/runc"), "docker --gpus, CDI", NotStarted, "", "gpu-preflight register docker"},
		{"no file next", "docker", gone(filepath.Dir(shim) + "/next"), "docker --gpus, CDI", Judged, "missing or empty", "gpu-preflight register docker"},
		{"linked", "docker", func(t *testing.T, s Site) {
			t.Helper()
			gone(shim)(t, s)
			noError(t, os.Symlink("/usr/sbin/runc", filepath.Join(s.Root, shim)))
		}, "docker --gpus, CDI", PassesBy, "go straight there", "gpu-preflight register docker"},
		{"both gone", "docker", func(t *testing.T, s Site) { t.Helper(); gone(shim)(t, s); gone(hook)(t, s) }, "docker --gpus, CDI", NotStarted, "missing", "./install.sh && gpu-preflight register docker"},
		{"passed over", "nvidia-ctk", gone(ctk), "docker --runtime=nvidia", PassesBy, "missing", "gpu-preflight register nvidia-ctk"},
		{"found, another machine", "nvidia-ctk", holds(ctk, elfFor(aarch64), 0o755), "docker --runtime=nvidia", NotStarted, "another architecture", "gpu-preflight register nvidia-ctk"},
		{"gone", "containerd", gone(containerdShim), "DRA claim (containerd CRI)", NotStarted, "missing", "gpu-preflight register containerd"},
		{"behind the shell", "cdi", gone(hook), "docker --device, CDI", PassesBy, hook + " is missing", "./install.sh && gpu-preflight register cdi"},
		{"without a shell", "cdi", func(t *testing.T, s Site) {
			t.Helper()
			noError(t, os.Remove(filepath.Join(s.Root, "bin/sh")))
			registerHere(t, s, "cdi")
			gone(hook)(t, s)
		}, "docker --device, CDI", NotStarted, hook + " is missing", "./install.sh && gpu-preflight register cdi"},
		{"gone", "podman", gone(hook), "podman 4", PassesBy, "missing", "./install.sh && gpu-preflight register podman"},
		{"another machine", "podman", holds(hook, elfFor(aarch64), 0o755), "podman 4", PassesBy, "another architecture", "./install.sh && gpu-preflight register podman"},
	} {
		t.Run(c.engine+" "+c.name, func(t *testing.T) {
			s := statusHost(t)
			registerHere(t, s, c.engine)
			if st := Look(s); !st.Healthy || row(t, st, c.path).State != Judged {
				t.Fatalf("before: %+v", st)
			}
			c.change(t, s)
			st := Look(s)
			e := engineRow(t, st, c.engine)
			if st.Healthy || e.State != Broken || !strings.Contains(strings.Join(e.What, "; "), c.what) || e.Mend != c.mend {
				t.Errorf("%+v, want BROKEN, %q, %q", e, c.what, c.mend)
			}
			if p := row(t, st, c.path); p.State != c.state {
				t.Errorf("%+v, want %s", p, c.state)
			}
		})
	}
}

// TestStatusHidden: a program that cannot be looked at is neither sound nor broken.
func TestStatusHidden(t *testing.T) {
	s := statusHost(t)
	registerHere(t, s, "cdi", "podman", "docker")
	folder := filepath.Join(s.Root, s.shimFolder("docker-runc"))
	noError(t, os.Remove(filepath.Join(folder, "gpu-preflight-runtime")))
	for _, link := range []string{"gpu-preflight-runtime", "gpu-preflight-hook"} {
		noError(t, os.Symlink("gpu-preflight-hook", filepath.Join(folder, link)))
	}
	program := filepath.Join(s.Root, "/usr/local/bin/gpu-preflight-hook")
	noError(t, os.Remove(program))
	noError(t, os.Symlink("gpu-preflight-hook", program))
	st := Look(s)
	for _, path := range []string{"docker --gpus, legacy hook", "docker --runtime=runc, CDI", "podman 4"} {
		if p := row(t, st, path); p.State != NotKnown || !strings.Contains(p.Why, "too many levels") {
			t.Errorf("%+v", p)
		}
	}
	if !st.Healthy {
		t.Errorf("%+v", st.Engines)
	}
}

// TestStatusNVML: the helper is found where the hook finds it, and one that cannot start is none.
func TestStatusNVML(t *testing.T) {
	const beside, elsewhere = "/usr/local/bin/gpu-preflight-nvml", "/usr/libexec/gpu-preflight/gpu-preflight-nvml"
	for _, c := range []struct {
		path, text string
		blind      bool
	}{
		{"/etc/none", "", true},
		{beside, elfFor(amd64), false},
		{elsewhere, elfFor(amd64), false},
		{beside, elfFor(aarch64), true},
	} {
		s := statusHost(t)
		noError(t, os.Remove(filepath.Join(s.Root, beside)))
		put(t, filepath.Join(s.Root, c.path), c.text, 0o755)
		if st := Look(s); st.NVML.Blind != c.blind || (st.NVML.Why == "") == c.blind {
			t.Errorf("%s: %+v", c.path, st.NVML)
		}
	}
}

// TestMachines: which programs run beside which.
func TestMachines(t *testing.T) {
	for _, c := range []struct {
		host, program uint16
		want          bool
	}{{62, 62, true}, {62, 3, true}, {183, 40, true}, {62, 183, false}, {3, 62, false}, {243, 62, false}} {
		if got := (machine{c.host, 1}).runs(machine{c.program, 1}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if (machine{21, 1}).runs(machine{21, 2}) {
		t.Error("ppc64le runs ppc64")
	}
}

// TestEntryProgram: what an entry runs is found whatever the prefix.
func TestEntryProgram(t *testing.T) {
	for _, prefix := range []string{"/usr/local", "/opt/gpu preflight", "/srv/it's"} {
		want := prefix + "/bin/gpu-preflight-hook"
		s := withShell(t, nil)
		s.Prefix = prefix
		for _, e := range []hookEntry{s.hookEntry(), s.userEntry(), {Path: want}} {
			if got := e.program(); got != want {
				t.Errorf("%+v: %q, want %q", e, got, want)
			}
		}
	}
}
