package register

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// dockerHost is a host with docker, its runtimes and our programs. A daemon.json of "-" is absent.
func dockerHost(t *testing.T, daemon string, more map[string]string) Site {
	t.Helper()
	files := map[string]string{}
	if daemon != "-" {
		files["/etc/docker/daemon.json"] = daemon
	}
	maps.Copy(files, more)
	s := Site{Root: fixture.Tree(t, files, nil), Prefix: "/usr/local"}
	for _, program := range []string{"usr/bin/dockerd", "usr/sbin/runc", "usr/bin/crun", "usr/bin/nvidia-container-runtime", "usr/local/bin/gpu-preflight-hook"} {
		put(t, filepath.Join(s.Root, program), "", 0o755)
	}
	return s
}

func put(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
}

func register(t *testing.T, s Site) Plan {
	t.Helper()
	p, err := docker().Plan(s)
	if err == nil {
		err = Apply(t.Context(), s, docker(), p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func unregister(t *testing.T, s Site, force bool) Removal {
	t.Helper()
	r, err := Remove(s, docker(), force)
	if err == nil {
		err = Undo(s, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// content is a host's file; "-" is absent.
func content(t *testing.T, s Site, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Root, path))
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const daemonFile = "etc/docker/daemon.json"

// oddDaemons are files as people have them, and the default runtime that each names.
var oddDaemons = []struct{ name, text, old, next string }{
	{"absent", "-", "runc", "/usr/sbin/runc"},
	{"empty", "", "runc", "/usr/sbin/runc"},
	{"white space only", " \n\t\n", "runc", "/usr/sbin/runc"},
	{"no members", "{}", "runc", "/usr/sbin/runc"},
	{"no last newline", "{\"debug\": true}", "runc", "/usr/sbin/runc"},
	{"CRLF", "{\r\n  \"debug\": true,\r\n  \"log-driver\": \"json-file\"\r\n}\r\n", "runc", "/usr/sbin/runc"},
	{"tabs", "{\n\t\"debug\":true\n}\n", "runc", "/usr/sbin/runc"},
	{"unknown keys", "{\"x-mine\": {\"a\": [1, 2.50, 1e400]}, \"debug\": false}\n", "runc", "/usr/sbin/runc"},
	{"Unicode", "{\"labels\": [\"Größe=\\u00fc 😀\"]}\n", "runc", "/usr/sbin/runc"},
	{"features", "{\"features\": {\"cdi\": true}}\n", "runc", "/usr/sbin/runc"},
	{"other people's runtimes", "{\"runtimes\": {\"nvidia\": {\"args\": [], \"path\": \"nvidia-container-runtime\"}}}\n", "runc", "/usr/sbin/runc"},
	{"empty runtimes", "{\"runtimes\": { }, \"debug\": true}\n", "runc", "/usr/sbin/runc"},
	{"runc said", "{\"default-runtime\": \"runc\"}\n", "runc", "/usr/sbin/runc"},
	{"crun", "{\n    \"default-runtime\": \"crun\",\n    \"runtimes\": {\n        \"crun\": {\n            \"path\": \"/usr/bin/crun\"\n        }\n    }\n}\n", "crun", "/usr/bin/crun"},
	{"crun with arguments", "{\"default-runtime\": \"c\", \"runtimes\": {\"c\": {\"path\": \"crun\", \"runtimeArgs\": [\"--debug\"]}}}", "c", "/usr/bin/crun"},
	{"an entry by hand", "{\"runtimes\": {\"gpu-preflight\": {\"path\": \"/usr/local/bin/gpu-preflight-runtime\"}}}\n", "runc", "/usr/sbin/runc"},
}

// TestDockerThereAndBack: registered twice is registered once, and unregister gives back the same bytes.
func TestDockerThereAndBack(t *testing.T) {
	for _, row := range oddDaemons {
		t.Run(row.name, func(t *testing.T) {
			s := dockerHost(t, row.text, nil)
			register(t, s)
			once := content(t, s, daemonFile)
			if again := register(t, s); len(again.Edits) != 0 || content(t, s, daemonFile) != once {
				t.Errorf("the second time changes %q", again.Edits)
			}
			var c daemonJSON
			if err := json.Unmarshal([]byte(once), &c); err != nil {
				t.Fatal(err)
			}
			shim := "/usr/local/libexec/gpu-preflight/docker-" + row.old + "/gpu-preflight-runtime"
			if c.DefaultRuntime != "gpu-preflight" || c.Runtimes["gpu-preflight"].Path != shim {
				t.Errorf("registered: %s", once)
			}
			if next := content(t, s, filepath.Dir(shim)+"/next"); next != row.next+"\n" {
				t.Errorf("next: %q", next)
			}
			checkStarts(t, s)
			unregister(t, s, false)
			if back := content(t, s, daemonFile); back != row.text {
				t.Errorf("back: %q, want %q", back, row.text)
			}
			if target, err := os.Readlink(filepath.Join(s.Root, shim)); err != nil || target != row.next {
				t.Errorf("the link leads to %q, %v", target, err)
			}
			if left := content(t, s, statePath("docker")); left != "-" {
				t.Errorf("state: %s", left)
			}
			register(t, s)
			if content(t, s, daemonFile) != once {
				t.Errorf("registered anew: %s", content(t, s, daemonFile))
			}
			checkStarts(t, s)
		})
	}
}

// checkStarts holds what dockerd needs to start containers: the file can be read, and the default runtime leads to
// one that is there.
func checkStarts(t *testing.T, s Site) {
	t.Helper()
	text := content(t, s, daemonFile)
	if text == "-" {
		return
	}
	c, err := readDaemonJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	entry, ours := c.Runtimes["gpu-preflight"]
	if c.DefaultRuntime == "gpu-preflight" && !ours {
		t.Errorf("no such runtime: %s", text)
	}
	if _, registered := entry.ours(); !registered {
		return
	}
	if s.program(entry.Path) == "" {
		info, err := os.Readlink(filepath.Join(s.Root, entry.Path))
		if err != nil || s.program(info) == "" {
			t.Errorf("%s is not there", entry.Path)
		}
		return
	}
	next := strings.TrimSpace(content(t, s, filepath.Join(filepath.Dir(entry.Path), "next")))
	if s.program(next) == "" {
		t.Errorf("the next runtime %q is not there", next)
	}
}

// TestDockerRefuses: what cannot be wrapped or understood is not touched.
func TestDockerRefuses(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"no JSON", "{\n  debug: true\n}\n", "/etc/docker/daemon.json: line 2"},
		{"a key twice", "{\"debug\": true,\n \"debug\": true}", `line 2: "debug" comes twice`},
		{"no object", "[]", "no JSON object"},
		{"runtimeType", `{"default-runtime": "kata", "runtimes": {"kata": {"runtimeType": "io.containerd.kata.v2"}}}`, "runtimeType"},
		{"not among the runtimes", `{"default-runtime": "io.containerd.kata.v2"}`, "not among the runtimes"},
		{"no program", `{"default-runtime": "y", "runtimes": {"y": {"path": "/opt/youki"}}}`, "no program /opt/youki"},
		{"its name is a path", `{"default-runtime": "../y", "runtimes": {"../y": {"path": "crun"}}}`, "name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := dockerHost(t, row.text, nil)
			if p, err := docker().Plan(s); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%+v, %v, want %q", p, err, row.want)
			}
		})
	}
}

func TestDockerNvidiaStays(t *testing.T) {
	for _, text := range []string{
		`{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}`,
		`{"default-runtime": "gpu", "runtimes": {"gpu": {"path": "/usr/bin/nvidia-container-runtime.cdi"}}}`,
	} {
		p, err := docker().Plan(dockerHost(t, text, nil))
		if err != nil || len(p.Edits) != 0 || len(p.Shims) != 0 || len(p.Notes) != 1 {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
}

// TestDockerFlags: dockerd does not start with a key that is a flag too, so nothing is written then.
func TestDockerFlags(t *testing.T) {
	for path, text := range map[string]string{
		"/etc/default/docker":                              "# none\nDOCKER_OPTS=\"--dns 1.1.1.1 --default-runtime=crun\"\n",
		"/etc/systemd/system/docker.service.d/nvidia.conf": "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// \\\n  --add-runtime nvidia=/usr/bin/nvidia-container-runtime\n",
	} {
		s := dockerHost(t, "{}", map[string]string{path: text})
		if _, err := docker().Plan(s); err == nil || !strings.Contains(err.Error(), "move it from the flag") {
			t.Errorf("%s: %v", path, err)
		}
	}
	s := dockerHost(t, "{}", map[string]string{
		"/etc/default/docker":                "#DOCKER_OPTS=\"--default-runtime=crun\"\n",
		"/lib/systemd/system/docker.service": "[Service]\nExecStart=/usr/bin/dockerd --config-file /etc/mine.json --data-root=/data\n",
	})
	p, err := docker().Plan(s)
	if err != nil || len(p.Edits) != 2 || p.Edits[1].Path != "/etc/mine.json" || p.Edits[1].Before != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if roots := dataRoots(s); !slices.Equal(roots, []string{"/data", "/var/lib/docker"}) {
		t.Errorf("data roots: %v", roots)
	}
}

func TestDiff(t *testing.T) {
	s := dockerHost(t, "{\n  \"debug\": true\n}\n", nil)
	p, err := docker().Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	want := `--- /etc/docker/daemon.json
+++ /etc/docker/daemon.json
@@ -1,3 +1,5 @@
 {
-  "debug": true
+  "debug": true,
+  "runtimes": {"gpu-preflight": {"path":"/usr/local/libexec/gpu-preflight/docker-runc/gpu-preflight-runtime"}},
+  "default-runtime": "gpu-preflight"
 }
`
	if got := Diff(p.Edits[0]); got != want {
		t.Errorf("%s", got)
	}
}
