package register

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// everyHost has every engine, with files as their packages bring them.
func everyHost(t *testing.T) Site {
	t.Helper()
	s := Site{Prefix: "/usr/local", Root: fixture.Tree(t, map[string]string{
		"/etc/docker/daemon.json":                        "{\n    \"runtimes\": {\n        \"nvidia\": {\n            \"args\": [],\n            \"path\": \"nvidia-container-runtime\"\n        }\n    }\n}\n",
		"/etc/nvidia-container-runtime/config.toml":      "#accept-nvidia-visible-devices-as-volume-mounts = false\n\n[nvidia-container-runtime]\nlog-level = \"info\"\nruntimes = [\"runc\", \"crun\"]\n",
		"/etc/containerd/config.toml":                    "version = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"registry.k8s.io/pause:3.9\"\n",
		"/etc/containers/containers.conf":                "[engine]\nruntime = \"crun\"\n",
		"/usr/share/containers/oci/hooks.d/":             "",
		"/etc/crio/crio.conf":                            "[crio.runtime]\n",
		"/lib/systemd/system/containerd.service":         "[Service]\nExecStart=/usr/bin/containerd\n",
		"/lib/systemd/system/crio.service":               "[Service]\nExecStart=/usr/bin/crio\n",
		"/lib/systemd/system/docker.service":             "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n",
		"/lib/systemd/system/nvidia-cdi-refresh.service": "[Service]\nExecStart=/usr/bin/nvidia-ctk cdi generate\n",
		"/etc/cdi/nvidia.yaml": "---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n    - name: \"0\"\n      containerEdits:\n        deviceNodes:\n            - path: /dev/nvidia0\n" +
			"containerEdits:\n    env:\n        - NVIDIA_VISIBLE_DEVICES=void\n    deviceNodes:\n        - path: /dev/nvidiactl\n",
	}, nil)}
	for _, program := range []string{
		"bin/sh", "usr/bin/systemctl", "usr/bin/dockerd", "usr/sbin/runc", "usr/bin/crun", "usr/bin/podman", "usr/bin/crio", "usr/bin/containerd",
		"usr/bin/nvidia-container-runtime", "usr/local/bin/gpu-preflight-hook",
	} {
		put(t, filepath.Join(s.Root, program), "", 0o755)
	}
	return s
}

// snapshot is every file of a host but those that a registration leaves on purpose.
func snapshot(t *testing.T, s Site) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(s.Root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.Contains(path, "/libexec/gpu-preflight/") {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, s.Root)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for path, text := range want {
		if now, there := got[path]; !there || now != text {
			t.Errorf("%s: %s is %q (there: %v), want %q", what, path, now, there, text)
		}
	}
	for path, text := range got {
		if _, there := want[path]; !there {
			t.Errorf("%s: %s is left: %q", what, path, text)
		}
	}
}

func forth(t *testing.T, s Site, e Engine) (Plan, error) {
	t.Helper()
	p, err := e.Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	return p, Apply(t.Context(), s, e, p)
}

func back(t *testing.T, s Site, e Engine) error {
	t.Helper()
	r, err := Remove(s, e, false)
	if err != nil {
		t.Fatal(err)
	}
	return Undo(s, r)
}

// TestEveryEngine: registered twice is once; taken out, every file is what it was; and cut off before any write, every
// shim that a file names is there with its next runtime, and both ways on end well.
func TestEveryEngine(t *testing.T) {
	for _, e := range All() {
		t.Run(e.Name, func(t *testing.T) { everyCut(t, e, func() Site { return everyHost(t) }) })
	}
}

func everyCut(t *testing.T, e Engine, host func() Site) {
	t.Helper()
	cut := errors.New("cut off")
	s := host()
	before := snapshot(t, s)
	if !e.Present(s) {
		t.Fatal("it is not seen")
	}
	if p, err := forth(t, s, e); err != nil || len(p.Edits) == 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	registered := snapshot(t, s)
	if p, err := forth(t, s, e); err != nil || len(p.Edits) != 0 {
		t.Errorf("the second time: %+v, %v", p, err)
	}
	if err := back(t, s, e); err != nil {
		t.Fatal(err)
	}
	same(t, "taken out", snapshot(t, s), before)
	for _, undo := range []bool{false, true} {
		for step, err := 0, cut; err != nil; step++ {
			err = cutOff(t, e, host, step, undo, cut, before, registered)
		}
	}
}

// cutOff lets the write number step fail, and goes both ways from there.
func cutOff(t *testing.T, e Engine, host func() Site, step int, undo bool, cut error, before, registered map[string]string) (err error) {
	t.Helper()
	for _, again := range []bool{false, true} {
		s := host()
		if undo {
			if _, err = forth(t, s, e); err != nil {
				t.Fatal(err)
			}
		}
		faulty, left := s, step
		faulty.fail = func(string) error {
			if left--; left < 0 {
				return cut
			}
			return nil
		}
		if undo {
			err = back(t, faulty, e)
		} else {
			_, err = forth(t, faulty, e)
		}
		if err != nil && !errors.Is(err, cut) {
			t.Fatal(err)
		}
		shimsStand(t, s)
		if again {
			if _, failed := forth(t, s, e); failed != nil {
				t.Fatal(failed)
			}
			after := snapshot(t, s)
			delete(after, statePath(e.Name))
			want := map[string]string{}
			for path, text := range registered {
				if path != statePath(e.Name) {
					want[path] = text
				}
			}
			same(t, "registered again", after, want)
		}
		if failed := back(t, s, e); failed != nil {
			t.Fatal(failed)
		}
		same(t, "taken out after a cut", snapshot(t, s), before)
	}
	return err
}

// shimsStand holds that every shim which some file names is there, and so is the runtime behind it.
func shimsStand(t *testing.T, s Site) {
	t.Helper()
	for path, text := range snapshot(t, s) {
		if strings.HasPrefix(path, stateFolder) {
			continue
		}
		for word := range strings.FieldsFuncSeq(text, func(c rune) bool { return strings.ContainsRune("\"', \n", c) }) {
			if !strings.HasSuffix(word, "/gpu-preflight-runtime") {
				continue
			}
			next := strings.TrimSpace(content(t, s, filepath.Join(filepath.Dir(word), "next")))
			if content(t, s, filepath.Dir(word)+"/next") == "-" || s.program(next) == "" || (s.program(word) == "" && !leads(s, word)) {
				t.Errorf("%s names %s, behind which stands %q", path, word, next)
			}
		}
	}
}

// leads says whether a link leads to a runtime of the host.
func leads(s Site, link string) bool {
	target, err := os.Readlink(filepath.Join(s.Root, link))
	return err == nil && s.program(target) != ""
}

// TestShimIsTried: a shim that cannot run is found before a file names it.
func TestShimIsTried(t *testing.T) {
	for text, want := range map[string]string{"#!/bin/sh\nexit 0\n": "", "#!/bin/sh\necho no next >&2\nexit 1\n": "no next", "": "exec format error"} {
		s := Site{Prefix: t.TempDir()}
		put(t, filepath.Join(s.Prefix, "bin/gpu-preflight-hook"), text, 0o755)
		err := s.place(t.Context(), Shim{Name: "docker-x", Next: "/bin/true"})
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", text, err)
		}
		if err := s.place(t.Context(), Shim{Name: "docker-y", Next: "/bin/false"}); err != nil {
			t.Errorf("a runtime that knows no --version: %v", err)
		}
	}
}
