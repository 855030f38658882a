package register

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// oddFile is a configuration file of one engine as somebody may have it.
type oddFile struct{ engine, name, path, text string }

const gpuCDI = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\n"

var oddFiles = []oddFile{
	{"docker", "plain", dockerConfig, "{\n  \"debug\": true,\n  \"runtimes\": {\n    \"nvidia\": {\n      \"path\": \"nvidia-container-runtime\"\n    }\n  }\n}\n"},
	{"docker", "crun is the default", dockerConfig, "{\n  \"default-runtime\": \"crun\",\n  \"runtimes\": {\"crun\": {\"path\": \"/usr/bin/crun\"}},\n  \"x-unknown\": [1.50, null]\n}\n"},
	{"docker", "a key twice", dockerConfig, "{\n  \"debug\": true,\n  \"debug\": false\n}\n"},
	{"docker", "the default runtime twice", dockerConfig, "{\n  \"default-runtime\": \"runc\",\n  \"default-runtime\": \"crun\",\n  \"runtimes\": {\"crun\": {\"path\": \"/usr/bin/crun\"}}\n}\n"},
	{"docker", "runtimes twice", dockerConfig, "{\n  \"runtimes\": {},\n  \"runtimes\": {\"crun\": {\"path\": \"/usr/bin/crun\"}}\n}\n"},
	{"nvidia-ctk", "plain", nvidiaConfig, "#accept = false\n\n[nvidia-container-runtime]\n  log-level = \"info\" # mine\n  runtimes = [\"runc\", \"crun\"]\n\n[unknown]\nkey = 1_000\n"},
	{"nvidia-ctk", "a dotted key", nvidiaConfig, "nvidia-container-runtime.runtimes = [ 'crun' ,\n  \"runc\", # last\n]\n"},
	{"nvidia-ctk", "an inline table", nvidiaConfig, "nvidia-container-runtime = { runtimes = [\"runc\"], log-level = \"info\" }\n"},
	{"nvidia-ctk", "no list", nvidiaConfig, "disable-require = false\n"},
	{"nvidia-ctk", "a key twice", nvidiaConfig, "disable-require = false\ndisable-require = true\n"},
	{"containerd", "version 2", containerdConfig, "version = 2\n# mine\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"p\"\n  [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n    default_runtime_name = \"runc\"\n    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n      runtime_type = \"io.containerd.runc.v2\"\n"},
	{"containerd", "version 3", containerdConfig, "version = 3\n# mine\n[plugins.'io.containerd.cri.v1.images']\n  snapshotter = \"overlayfs\"\n"},
	{"containerd", "crun by a dotted key", containerdConfig, "version = 2\nplugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.crun = { runtime_type = \"io.containerd.runc.v2\", options = { BinaryName = \"/usr/bin/crun\" } }\nplugins.\"io.containerd.grpc.v1.cri\".containerd.default_runtime_name = \"crun\"\n"},
	{"containerd", "inline tables", containerdConfig, "version = 2\n[plugins]\n\"io.containerd.grpc.v1.cri\" = { containerd = { default_runtime_name = \"runc\" } }\n"},
	{"podman", "plain", containersConf, "# mine\n[containers]\nannotations = [\"a=b\"] # more\n\n[engine]\nruntime = \"crun\"\nunknown = 1\n"},
	{"podman", "dotted keys", containersConf, "engine.runtime = \"crun\"\nengine.runtime_supports_json = [\n\t\"crun\",\n\t\"runc\",\n]\n"},
	{"podman", "inline tables", containersConf, "containers = { annotations = [] }\nengine = { runtime = \"crun\" }\n"},
	{"podman", "other people's hooks", "/usr/share/containers/oci/hooks.d/oci-nvidia-hook.json", "{\"version\": \"1.0.0\", \"hook\": {\"path\": \"/usr/bin/nvidia-container-toolkit\"}}\n"},
	{"crio", "plain", crioConf, "[crio.runtime]\nhooks_dir = [\n\t\"/usr/share/containers/oci/hooks.d\",\n]\n"},
	{"cdi", "block", "/etc/cdi/nvidia.yaml", gpuCDI},
	{"cdi", "with edits for all and other people's hooks", "/etc/cdi/nvidia.yaml", gpuCDI + "containerEdits:\n  hooks:\n  - hookName: createContainer # theirs\n    path: /usr/bin/nvidia-cdi-hook\n    args: [nvidia-cdi-hook, update-ldcache]\n"},
	{"cdi", "flow", "/var/run/cdi/nvidia.yaml", "{cdiVersion: 0.5.0, kind: nvidia.com/gpu, devices: [{name: all, containerEdits: {deviceNodes: [{path: /dev/nvidia0}]}}], containerEdits: {env: [A=b]}}\n"},
	{"cdi", "JSON", "/etc/cdi/nvidia.json", "{\n  \"cdiVersion\": \"0.5.0\",\n  \"kind\": \"nvidia.com/gpu\",\n  \"devices\": [{\"name\": \"0\", \"containerEdits\": {\"deviceNodes\": [{\"path\": \"/dev/nvidia0\"}]}}],\n  \"containerEdits\": {}\n}\n"},
}

// isJSON tells the files in which comments are none.
func (o oddFile) isJSON() bool { return strings.HasPrefix(strings.TrimSpace(o.text), "{") }

// ways are other ways to write a file.
func (o oddFile) ways() map[string]string {
	pad := strings.Repeat("# "+strings.Repeat("x", 97)+"\n", 20_000)
	if o.isJSON() {
		pad = strings.Repeat("\n", 2_000_000)
	}
	ways := map[string]string{
		"as it is":        o.text,
		"CRLF":            strings.ReplaceAll(o.text, "\n", "\r\n"),
		"no last newline": strings.TrimRight(o.text, "\n"),
		"blank lines":     "\n\n" + o.text + "\n \n\n",
		"a mark of order": "\ufeff" + o.text,
		"huge":            pad + o.text + pad,
	}
	if o.engine != "cdi" || o.isJSON() {
		ways["tabs"] = strings.ReplaceAll(o.text, "  ", "\t")
	}
	if !o.isJSON() {
		ways["comments"] = "# first\n" + o.text + "# last, without an end"
	}
	return ways
}

// lie puts a file on a host: as it is, readable only, or behind a link.
func lie(t *testing.T, s Site, path, text, how string) {
	t.Helper()
	here := filepath.Join(s.Root, path)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	mode := fs.FileMode(0o640)
	if how == "read-only" {
		mode = 0o400
	}
	_ = os.Remove(here)
	if how == "behind links" {
		put(t, filepath.Join(s.Root, "srv/real"), text, mode)
		must(os.MkdirAll(filepath.Dir(here), 0o755))
		must(os.Symlink("/srv/link", here))
		must(os.Symlink("real", filepath.Join(s.Root, "srv/link")))
		return
	}
	put(t, here, text, mode)
}

// shape is every file of a host with its mode, owner and link.
func shape(t *testing.T, s Site) map[string]string {
	t.Helper()
	files := snapshot(t, s)
	for path, text := range files {
		info, err := os.Lstat(filepath.Join(s.Root, path))
		if err != nil {
			t.Fatal(err)
		}
		files[path] = info.Mode().String() + "\n" + text
	}
	err := filepath.WalkDir(s.Root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type()&fs.ModeSymlink != 0 && !strings.Contains(path, "/libexec/gpu-preflight/") {
			target, failed := os.Readlink(path)
			files[strings.TrimPrefix(path, s.Root)], err = "-> "+target, failed
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// notEdited are the files that are refused and the words that say why, by "engine: way", "engine, name" or both. All
// others are edited, or another file is written beside them.
var notEdited = map[string]string{
	// No TOML and no JSON begins with a mark of order; YAML may.
	"docker: a mark of order":                "invalid character",
	"nvidia-ctk: a mark of order":            "invalid character",
	"containerd: a mark of order":            "invalid character",
	"podman, plain: a mark of order":         "invalid character",
	"podman, dotted keys: a mark of order":   "invalid character",
	"podman, inline tables: a mark of order": "invalid character",
	"crio: a mark of order":                  "invalid character",
	// Which of the two counts is the reader's business.
	"docker, a key twice":               "comes twice",
	"docker, the default runtime twice": "comes twice",
	"docker, runtimes twice":            "comes twice",
	"nvidia-ctk, a key twice":           "already defined",
	// A table in braces cannot be gone on with outside of them.
	"containerd, inline tables": "would break the file",
}

// TestThereAndBack: whatever a file of an engine looks like and wherever it lies, registering twice is registering
// once, and taking it out gives every file of the host the bytes, the mode and the links that it had. What is refused
// is refused before anything is written.
func TestThereAndBack(t *testing.T) {
	seen := map[string]bool{}
	for _, odd := range oddFiles {
		engines, err := Named([]string{odd.engine})
		if err != nil {
			t.Fatal(err)
		}
		ways := odd.ways()
		for _, way := range slices.Sorted(maps.Keys(ways)) {
			places := []string{"plain", "read-only", "behind links"}
			if way != "as it is" {
				places = places[:1]
			}
			for _, how := range places {
				name := fmt.Sprintf("%s, %s: %s", odd.engine, odd.name, way)
				refusal := ""
				for _, key := range []string{odd.engine + ", " + odd.name, odd.engine + ": " + way, name} {
					if notEdited[key] != "" {
						refusal, seen[key] = notEdited[key], true
					}
				}
				t.Run(name+", "+how, func(t *testing.T) {
					t.Parallel()
					s := everyHost(t)
					if odd.engine == "cdi" {
						_ = os.Remove(filepath.Join(s.Root, "etc/cdi/nvidia.yaml"))
					}
					lie(t, s, odd.path, ways[way], how)
					thereAndBack(t, s, engines[0], refusal)
				})
			}
		}
	}
	for key := range notEdited {
		if !seen[key] {
			t.Errorf("%s: no such file", key)
		}
	}
}

func thereAndBack(t *testing.T, s Site, e Engine, refusal string) {
	t.Helper()
	before := shape(t, s)
	p, err := e.Plan(s)
	if err != nil {
		if refusal == "" || !strings.Contains(err.Error(), refusal) {
			t.Fatalf("%v, want %q", err, refusal)
		}
		same(t, "refused", shape(t, s), before)
		return
	}
	if refusal != "" {
		t.Errorf("not refused, want %q", refusal)
	}
	if err = Apply(t.Context(), s, e, p); err != nil {
		t.Fatal(err)
	}
	if again, failed := e.Plan(s); failed != nil || len(again.Edits) != 0 || len(p.Edits) == 0 {
		t.Errorf("first %d edits, then %d, %v", len(p.Edits), len(again.Edits), failed)
	}
	shimsStand(t, s)
	if err = back(t, s, e); err != nil {
		t.Fatal(err)
	}
	same(t, "taken out", shape(t, s), before)
}
