package register_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"gpu-preflight/hook/register"
)

// theirs is something that nvidia-ctk does to an engine that we register.
type theirs struct {
	name, engine string
	above        bool     // ours stands above, where theirs is there
	file, text   string   // what the engine's administrator wrote, below the host's root
	run          []string // nvidia-ctk's words; DIR is the host's root
	drift        string   // the command by which status mends what it left of a registration; none: it is in force
	dump         func(t *testing.T) string
}

// nvidiaCTKs are what NVIDIA's documentation and packages run.
func nvidiaCTKs() []theirs {
	const (
		docker     = "etc/docker/daemon.json"
		containerd = "etc/containerd/config.toml"
		toolkit    = "etc/nvidia-container-runtime/config.toml"
		plain      = "{\n    \"debug\": true,\n    \"features\": {\"buildkit\": true}\n}\n"
		crun       = "{\"default-runtime\": \"crun\", \"runtimes\": {\"crun\": {\"path\": \"/usr/bin/crun\"}}}"
		cri2       = "version = 2 # 1.7\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"mine:1\"\n" +
			"[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n" +
			"  [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n    SystemdCgroup = true\n"
		cri3  = "version = 3 # 2.0\n[plugins.'io.containerd.cri.v1.runtime']\n  enable_selinux = true\n"
		again = "gpu-preflight register --prefix DIR/local --config containerd=DIR/etc/containerd/config.toml containerd"
		list  = "# mine\n[nvidia-container-runtime]\nruntimes = [\"runc\", \"crun\"]\nmode = \"auto\"\n"
	)
	configure := func(words ...string) []string { return append([]string{"runtime", "configure"}, words...) }
	inDocker := configure("--runtime=docker", "--config=DIR/"+docker)
	inContainerd := configure("--runtime=containerd", "--config=DIR/"+containerd, "--drop-in-config=DIR/etc/containerd/conf.d/99-nvidia.toml")
	inToolkit := []string{"config", "--config-file=DIR/" + toolkit, "--in-place", "--set"}
	newest := func(t *testing.T) string { t.Helper(); return buildContainerd(t) }
	debian := func(*testing.T) string { return debianContainerd }
	return []theirs{
		{name: "docker", engine: "docker", file: docker, text: plain, run: inDocker},
		{name: "docker with CDI", engine: "docker", file: docker, text: plain, run: append(slices.Clone(inDocker), "--cdi.enabled")},
		{
			name: "docker by default", engine: "docker", file: docker, text: crun, run: append(slices.Clone(inDocker), "--nvidia-set-as-default", "--cdi.enabled"),
			drift: "gpu-preflight register --prefix DIR/local --above-nvidia docker", above: true,
		},
		{name: "docker without a file", engine: "docker", run: inDocker},
		{name: "containerd 1.6", engine: "containerd", file: containerd, text: cri2, run: inContainerd, dump: debian},
		{name: "containerd 1.6 by default", engine: "containerd", file: containerd, text: cri2, run: append(slices.Clone(inContainerd), "--nvidia-set-as-default"), dump: debian, drift: again},
		{name: "containerd 2", engine: "containerd", file: containerd, text: cri3, run: inContainerd, dump: newest},
		{name: "containerd 2 by default", engine: "containerd", file: containerd, text: cri3, run: append(slices.Clone(inContainerd), "--nvidia-set-as-default"), dump: newest, drift: again},
		{
			name: "crio", engine: "crio", file: "etc/crio/crio.conf", text: "[crio.runtime]\ndefault_runtime = \"runc\"\n",
			run: configure("--runtime=crio", "--config=DIR/etc/crio/crio.conf", "--drop-in-config=DIR/etc/crio/crio.conf.d/99-nvidia.toml"),
		},
		{name: "the toolkit's mode", engine: "nvidia-ctk", file: toolkit, text: list, run: append(slices.Clone(inToolkit), "nvidia-container-runtime.mode=cdi")},
		{
			name: "the toolkit's runtimes", engine: "nvidia-ctk", file: toolkit, text: list, run: append(slices.Clone(inToolkit), "nvidia-container-runtime.runtimes=crun"),
			drift: "gpu-preflight register --prefix DIR/local nvidia-ctk",
		},
		{
			name: "cdi", engine: "cdi", drift: "gpu-preflight register --prefix DIR/local cdi",
			run: []string{"cdi", "generate", "--output=DIR/etc/cdi/nvidia.yaml", "--driver-root=DRIVER", "--dev-root=DRIVER", "--nvidia-cdi-hook-path=/usr/bin/nvidia-cdi-hook"},
		},
	}
}

// TestEngineNvidiaCTK: nvidia-ctk over our registration and ours over its work, in both orders. Nothing of theirs is
// lost and nothing of ours is left; what it rewrites without us status calls a drift, with the command that mends it.
func TestEngineNvidiaCTK(t *testing.T) {
	for _, row := range nvidiaCTKs() {
		t.Run(row.name, func(t *testing.T) {
			alone := newCTKHost(t, row)
			alone.run(t)
			want := alone.files(t)

			after := newCTKHost(t, row)
			after.run(t)
			bytes := after.bytes(t)
			var words []string
			if row.above {
				words = []string{"--above-nvidia"}
			}
			after.register(t, words...)
			after.stands(t)
			after.register(t)
			after.unregister(t)
			if got := after.bytes(t); !maps.Equal(got, bytes) {
				t.Errorf("theirs, then ours, taken out: %q, want %q", got, bytes)
			}

			before := newCTKHost(t, row)
			if row.engine == "cdi" {
				before.run(t) // there is nothing to register in without it
			}
			before.register(t)
			before.stands(t)
			before.run(t)
			before.parses(t)
			st := before.status(t)
			if row.drift == "" {
				before.stands(t)
			} else if want := strings.ReplaceAll(row.drift, "DIR", before.dir); st.State != register.Drifted || st.Mend != want {
				t.Errorf("status says %+v, want a drift and %s", st, want)
			} else {
				before.product(t, strings.Fields(st.Mend)[1:]...)
				before.stands(t)
			}
			before.unregister(t)
			if got := before.files(t); !reflect.DeepEqual(got, want) {
				t.Errorf("ours, then theirs, taken out: %v, want %v", got, want)
			}
		})
	}
}

// ctkHost is a host of its own with the toolkit, for one row.
type ctkHost struct {
	toolkit
	row theirs
	run func(t *testing.T)
}

func newCTKHost(t *testing.T, row theirs) ctkHost {
	t.Helper()
	s := oldHost(t, "")
	dir := rootOfItsOwn(t, s)
	h := ctkHost{toolkit: newToolkit(t, s, dir, "auto"), row: row}
	must(t, os.RemoveAll(dir+"/etc/nvidia-container-runtime"))
	for _, name := range []string{"dockerd", "containerd", "crio", "crun"} {
		must(t, os.WriteFile(filepath.Join(dir, "usr/bin", name), []byte("#!/bin/sh\n"), 0o755))
	}
	if row.file != "" {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, row.file)), 0o755))
		write(t, filepath.Join(dir, row.file), row.text)
	}
	h.run = func(t *testing.T) {
		t.Helper()
		var words []string
		for _, word := range row.run {
			words = append(words, strings.ReplaceAll(strings.ReplaceAll(word, "DIR", dir), "DRIVER", s.root))
		}
		must(t, os.MkdirAll(dir+"/etc/cdi", 0o755))
		h.ctk(t, words...)
	}
	return h
}

// flags name the host for register and status.
func (h ctkHost) flags(config string) []string {
	flags := []string{"--prefix", h.dir + "/local"}
	if h.row.engine == "containerd" {
		flags = append(flags, config, "containerd="+h.dir+"/"+h.row.file)
	}
	return flags
}

func (h ctkHost) register(t *testing.T, words ...string) {
	t.Helper()
	h.product(t, slices.Concat([]string{"register"}, h.flags("--config"), words, []string{h.row.engine})...)
	h.parses(t)
}

func (h ctkHost) unregister(t *testing.T) {
	t.Helper()
	h.product(t, append(append([]string{"unregister"}, h.flags("--config")...), h.row.engine)...)
	h.parses(t)
	for path, text := range h.bytes(t) {
		if strings.Contains(strings.ReplaceAll(text, h.dir, ""), "gpu-preflight") {
			t.Errorf("left in %s: %s", path, text)
		}
	}
}

// status is the engine's row.
func (h ctkHost) status(t *testing.T) register.EngineStatus {
	t.Helper()
	out, _ := h.try(t, append([]string{"status", "--format", "json"}, h.flags("--engine-config")...)...)
	var st register.Status
	must(t, json.Unmarshal([]byte(out), &st))
	n := slices.IndexFunc(st.Engines, func(e register.EngineStatus) bool { return e.Engine == h.row.engine })
	return st.Engines[n]
}

// stands wants the registration in force.
func (h ctkHost) stands(t *testing.T) {
	t.Helper()
	if st := h.status(t); st.State != register.Registered || st.Mend != "" {
		t.Errorf("status says %+v", st)
	}
}

// bytes are the files of the host's configuration.
func (h ctkHost) bytes(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, folder := range []string{"etc", "usr/share", "run", "var/run"} {
		err := filepath.WalkDir(filepath.Join(h.dir, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil //nolint:nilerr // a folder that is not there has no files
			}
			found[strings.TrimPrefix(path, h.dir)] = readFile(t, path)
			return nil
		})
		must(t, err)
	}
	return found
}

// files are what these mean, without the host's own folder: nvidia-ctk lays out anew what it changes.
func (h ctkHost) files(t *testing.T) map[string]any {
	t.Helper()
	meant := map[string]any{}
	for path, text := range h.bytes(t) {
		text = strings.ReplaceAll(text, h.dir, "DIR")
		var tree map[string]any
		switch filepath.Ext(path) {
		case ".json":
			must(t, json.Unmarshal([]byte(text), &tree))
		case ".toml", ".conf":
			must(t, toml.Unmarshal([]byte(text), &tree))
		default:
			meant[path] = len(text) // the folders of the driver differ, and are of one length
			continue
		}
		meant[path] = tree
	}
	return meant
}

// parses asks the engine itself, where it has a command for that.
func (h ctkHost) parses(t *testing.T) {
	t.Helper()
	if h.row.dump == nil {
		return
	}
	out, err := exec.CommandContext(t.Context(), h.row.dump(t)+"/containerd", "--config", filepath.Join(h.dir, h.row.file), "config", "dump").CombinedOutput()
	if err != nil {
		t.Errorf("containerd config dump: %v: %s", err, out)
	}
}
