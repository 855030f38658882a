package register

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elfFor is the head of a program for a machine, little-endian.
func elfFor(number uint16) string {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(head[18:], number)
	return string(head)
}

const amd64, aarch64 = 62, 183

// statusHost is everyHost with programs that can start, and with NVIDIA's handler and hooks.
func statusHost(t *testing.T) Site {
	t.Helper()
	s := everyHost(t)
	for _, program := range []string{
		"usr/bin/dockerd", "usr/sbin/runc", "usr/bin/crun", "usr/bin/podman", "usr/bin/crio", "usr/bin/containerd", "usr/bin/ctr", "bin/sh", "usr/bin/nerdctl",
		"usr/bin/nvidia-container-runtime", "usr/bin/nvidia-container-runtime-hook", "usr/bin/nvidia-cdi-hook",
		"usr/local/bin/gpu-preflight-hook", "usr/local/bin/gpu-preflight-nvml",
	} {
		put(t, filepath.Join(s.Root, program), elfFor(amd64), 0o755)
	}
	put(t, filepath.Join(s.Root, containerdConfig), "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.nvidia]\n"+
		"runtime_type = 'io.containerd.runc.v2'\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.nvidia.options]\n"+
		"BinaryName = '/usr/bin/nvidia-container-runtime'\n", 0o644)
	return s
}

// registerHere registers engines by name.
func registerHere(t *testing.T, s Site, names ...string) {
	t.Helper()
	engines, err := Named(names)
	noError(t, err)
	for _, e := range engines {
		_, err := forth(t, s, e)
		noError(t, err)
	}
}

func row(t *testing.T, st Status, path string) PathStatus {
	t.Helper()
	n := slices.IndexFunc(st.Paths, func(p PathStatus) bool { return p.Path == path })
	if n < 0 {
		t.Fatalf("no row %q", path)
	}
	return st.Paths[n]
}

func engineRow(t *testing.T, st Status, engine string) EngineStatus {
	t.Helper()
	n := slices.IndexFunc(st.Engines, func(e EngineStatus) bool { return e.Engine == engine })
	if n < 0 {
		t.Fatalf("no row %q", engine)
	}
	return st.Engines[n]
}

// openPaths are the launch paths that some registration judges.
var openPaths = []string{
	"docker --gpus, legacy hook", "docker --gpus, CDI", "docker --device, CDI", "docker --runtime=nvidia", "docker --runtime=runc, CDI",
	"RuntimeClass nvidia (containerd)", "default handler (containerd CRI)", "DRA claim (containerd CRI)", "ctr run --gpus, CDI (containerd 2)", "podman 4",
}

// TestStatusPaths: each path is judged by those registrations that stand on it, and passes by without them.
func TestStatusPaths(t *testing.T) {
	cdiPaths := []string{"docker --gpus, CDI", "docker --device, CDI", "docker --runtime=runc, CDI", "default handler (containerd CRI)", "ctr run --gpus, CDI (containerd 2)", "podman 4"}
	for _, c := range []struct {
		engines string
		judged  []string
	}{
		{"", nil},
		{"docker", []string{"docker --gpus, legacy hook", "docker --gpus, CDI", "docker --device, CDI"}},
		{"cdi", cdiPaths},
		{"nvidia-ctk", []string{"docker --runtime=nvidia", "RuntimeClass nvidia (containerd)"}},
		{"containerd", []string{"default handler (containerd CRI)", "DRA claim (containerd CRI)"}},
		{"podman", []string{"podman 4"}},
		{"crio podman", []string{"podman 4"}},
		{"docker cdi nvidia-ctk containerd podman crio", openPaths},
	} {
		s := statusHost(t)
		registerHere(t, s, strings.Fields(c.engines)...)
		st := Look(s)
		if !st.Healthy || st.NVML.Blind {
			t.Errorf("%q: %+v, %+v", c.engines, st.Engines, st.NVML)
		}
		for _, p := range st.Paths {
			want := PassesBy
			switch {
			case slices.Contains(c.judged, p.Path):
				want = Judged
			case slices.Contains([]string{"podman 5", "CRI-O", "nerdctl"}, p.Path):
				want = NotKnown
			}
			if p.State != want || p.Why == "" || (want == Judged) != (len(p.By) > 0) || (want == Judged && len(p.Close) > 0) {
				t.Errorf("%q: %+v, want %s", c.engines, p, want)
			}
			if slices.Contains(openPaths, p.Path) && want == PassesBy && len(p.Close) == 0 {
				t.Errorf("%q: nothing closes %+v", c.engines, p)
			}
			checkCommands(t, p)
			if want == NotKnown && p.Why != "never tried here" {
				t.Errorf("%+v", p)
			}
		}
	}
}

// checkCommands: what closes a gap names an engine that there is, and each file that judges is there.
func checkCommands(t *testing.T, p PathStatus) {
	t.Helper()
	for _, command := range p.Close {
		words := strings.Fields(command)
		if _, err := Named(words[len(words)-1:]); err != nil || !slices.Contains(words, "register") {
			t.Errorf("%s: %q: %v", p.Path, command, err)
		}
	}
}

// TestStatusVariants: what single settings do to single paths.
func TestStatusVariants(t *testing.T) {
	const hookless = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\ndefault_runtime_name = 'nvidia'\n" +
		"[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.nvidia.options]\nBinaryName = '/usr/bin/nvidia-container-runtime'\n"
	for _, c := range []struct {
		name, engines, file, text string
		path                      string
		want                      State
		why                       string
	}{
		{"CDI off", "cdi", dockerConfig, `{"features": {"cdi": false}}`, "docker --device, CDI", Absent, "switches CDI off"},
		{"no folder", "cdi", dockerConfig, `{"cdi-spec-dirs": [""]}`, "docker --runtime=runc, CDI", Absent, "switches CDI off"},
		{"a folder by a flag", "cdi", "/etc/default/docker", "DOCKER_OPTS=--cdi-spec-dir=/srv/cdi\n", "docker --device, CDI", PassesBy, "no CDI file"},
		{"CDI off, shim", "docker", dockerConfig, `{"features": {"cdi": false}}`, "docker --gpus, CDI", Judged, "shim"},
		{"other folder", "cdi", dockerConfig, `{"cdi-spec-dirs": ["/srv/cdi"]}`, "docker --device, CDI", PassesBy, "no CDI file"},
		{"nvidia is the default", "nvidia-ctk", dockerConfig, `{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}`, "docker --gpus, legacy hook", Judged, nvidiaConfig},
		{"no nvidia", "nvidia-ctk", dockerConfig, `{}`, "docker --runtime=nvidia", Absent, "no runtime nvidia"},
		{"runtimeType", "", dockerConfig, `{"default-runtime": "kata", "runtimes": {"kata": {"runtimeType": "io.containerd.kata.v2"}}}`, "docker --gpus, CDI", PassesBy, "runtimeType"},
		{"by hand", "", dockerConfig, `{"default-runtime": "x", "runtimes": {"x": {"path": "/usr/local/bin/gpu-preflight-hook/../gpu-preflight-runtime"}}}`, "docker --gpus, CDI", NotStarted, "missing"},
		{"by a name alone", "", dockerConfig, `{"default-runtime": "x", "runtimes": {"x": {"path": "gpu-preflight-runtime"}}}`, "docker --gpus, CDI", NotKnown, "usual folders"},
		{"a second file", "cdi", "/etc/cdi/plugin.json", `{"cdiVersion": "0.5.0", "kind": "k8s.device-plugin.nvidia.com/gpu", "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}]}}]}`, "docker --device, CDI", Judged, "/etc/cdi/nvidia.yaml, /etc/cdi/plugin.json"},
		{"broken file", "", dockerConfig, `{`, "docker --gpus, CDI", NotKnown, dockerConfig},
		{"broken file", "", dockerConfig, `{`, "docker build", NotKnown, dockerConfig},
		{"flag", "", "/etc/default/docker", "DOCKER_OPTS=\"--default-runtime=nvidia\"\n", "docker --gpus, legacy hook", PassesBy, "nvidia-container-runtime starts runc"},
		{"mode cdi", "cdi", nvidiaConfig, "[nvidia-container-runtime]\nmode = \"cdi\"\n", "docker --runtime=nvidia", Judged, "in mode cdi"},
		{"mode cdi without hook", "", nvidiaConfig, "[nvidia-container-runtime]\nmode = \"cdi\"\n", "docker --runtime=nvidia", PassesBy, "starts runc"},
		{"the operator's toolkit", "nvidia-ctk", dockerConfig, `{"runtimes": {"nvidia": {"path": "/usr/local/nvidia/toolkit/nvidia-container-runtime"}}}`, "docker --runtime=nvidia", PassesBy, operatorConfig},
		{"1.7 with nvidia", "nvidia-ctk", containerdConfig, hookless, "DRA claim (containerd CRI)", Judged, nvidiaConfig},
		{"1.7 without CDI", "cdi", containerdConfig, "version = 2\n", "default handler (containerd CRI)", PassesBy, "applies no CDI files"},
		{"1.7 with CDI", "cdi", containerdConfig, "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nenable_cdi = true\n", "default handler (containerd CRI)", Judged, "/etc/cdi/nvidia.yaml"},
		{"1.7", "containerd", containerdConfig, "version = 2\n", "DRA claim (containerd CRI)", Judged, containerdConfig},
		{"no nvidia", "", containerdConfig, "version = 2\n", "RuntimeClass nvidia (containerd)", Absent, "no handler nvidia"},
		{"no CRI", "", containerdConfig, "version = 2\ndisabled_plugins = ['cri']\n", "DRA claim (containerd CRI)", Absent, "CRI plugin off"},
		{"version 1", "", containerdConfig, "[plugins]\n", "DRA claim (containerd CRI)", NotKnown, "version 0"},
		{
			"the same device twice", "cdi", "/etc/cdi/other.yaml", "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices: [{name: \"0\", containerEdits: {deviceNodes: [{path: /dev/nvidia0}]}}]\n",
			"docker --device, CDI", PassesBy, "defines the same device",
		},
		{"a hook that cannot refuse", "", "/etc/cdi/nvidia.yaml", "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices: [{name: \"0\", containerEdits: {deviceNodes: [{path: /dev/nvidia0}]}}]\n" +
			"containerEdits: {hooks: [{hookName: poststop, path: /usr/local/bin/gpu-preflight-hook}]}\n", "docker --device, CDI", PassesBy, "no hook of ours"},
		{"other folders of containerd's", "cdi", containerdConfig, "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\ncdi_spec_dirs = ['/srv/cdi']\n", "default handler (containerd CRI)", PassesBy, "no CDI file"},
		{"a file that CDI does not take", "cdi", "/etc/cdi/odd.yaml", "kind: [\n", "docker --device, CDI", NotKnown, "/etc/cdi/odd.yaml"},
		{"unreadable", "", "/etc/containers/containers.conf", "[", "podman 4", NotKnown, "containers.conf"},
		{"another hook", "", "/usr/share/containers/oci/hooks.d/" + hooksFile, `{"hook": {"path": "/bin/true"}}`, "podman 4", PassesBy, "no hook of ours"},
	} {
		s := statusHost(t)
		put(t, filepath.Join(s.Root, c.file), c.text, 0o644)
		registerHere(t, s, strings.Fields(c.engines)...)
		if p := row(t, Look(s), c.path); p.State != c.want || !strings.Contains(p.Why, c.why) {
			t.Errorf("%s: %+v, want %s, %q", c.name, p, c.want, c.why)
		}
	}
}

// TestStatusPrefix: where the programs are is known from the registrations.
func TestStatusPrefix(t *testing.T) {
	s := statusHost(t)
	s.Prefix = "/opt/gp"
	put(t, filepath.Join(s.Root, "/opt/gp/bin/gpu-preflight-hook"), elfFor(amd64), 0o755)
	registerHere(t, s, "docker")
	for _, prefix := range []string{"", "/usr/local"} {
		s.Prefix = prefix
		st := Look(s)
		if e := engineRow(t, st, "docker"); e.State != Registered || !st.Healthy || len(e.What) > 0 {
			t.Errorf("%q: %+v", prefix, e)
		}
		if !st.NVML.Blind && prefix == "" {
			t.Error("the helper of another prefix is found")
		}
	}
	s.Prefix = ""
	noError(t, os.Remove(filepath.Join(s.Root, "/opt/gp/libexec/gpu-preflight/docker-runc/gpu-preflight-runtime")))
	if e := engineRow(t, Look(s), "docker"); e.State != Broken || e.Mend != "gpu-preflight register --prefix /opt/gp docker" {
		t.Errorf("%+v", e)
	}
}

// TestStatusOverruled: a file that containerd reads after our drop-in takes the shim out of force.
func TestStatusOverruled(t *testing.T) {
	s := statusHost(t)
	put(t, filepath.Join(s.Root, containerdConfig), "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n", 0o644)
	registerHere(t, s, "containerd")
	if p := row(t, Look(s), "DRA claim (containerd CRI)"); p.State != Judged || !slices.Contains(p.Files, "/etc/containerd/conf.d/zz-gpu-preflight.toml") {
		t.Errorf("%+v", p)
	}
	put(t, filepath.Join(s.Root, "/etc/containerd/conf.d/zzz.toml"),
		"version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\nBinaryName = '/usr/bin/crun'\n", 0o644)
	st := Look(s)
	if p := row(t, st, "DRA claim (containerd CRI)"); p.State != PassesBy {
		t.Errorf("%+v", p)
	}
	if e := engineRow(t, st, "containerd"); e.State != Drifted || !strings.Contains(strings.Join(e.What, ""), "zzz.toml") {
		t.Errorf("%+v", e)
	}
}

// TestStatusEmptyHost: without engines nothing is judged and nothing passes by.
func TestStatusEmptyHost(t *testing.T) {
	st := Look(Site{Root: t.TempDir()})
	for _, p := range st.Paths {
		if p.State != Absent || p.Why == "" {
			t.Errorf("%+v", p)
		}
	}
	if !st.Healthy || !st.NVML.Blind {
		t.Errorf("healthy %v, %+v", st.Healthy, st.NVML)
	}
}

// TestStatusDrift: a file that no longer holds our entry is drift, one that was changed around it is none.
func TestStatusDrift(t *testing.T) {
	nvidia := `{"runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}`
	for _, c := range []struct {
		engine, file, text string
		want               Registration
		what, path         string
		state              State
	}{
		{"docker", dockerConfig, nvidia + "}", Drifted, "rewritten without our entry", "docker --gpus, CDI", PassesBy},
		{"docker", dockerConfig, nvidia + `, "default-runtime": "nvidia"}`, Drifted, "no longer in force", "docker --gpus, CDI", PassesBy},
		{"docker", dockerConfig, "{", Drifted, dockerConfig, "docker --gpus, CDI", NotKnown},
		{"docker", dockerConfig, "", Drifted, "gone", "docker --gpus, CDI", PassesBy},
		{"docker", statePath("docker"), "{", Drifted, statePath("docker"), "docker --gpus, CDI", Judged},
		{"nvidia-ctk", nvidiaConfig, "[nvidia-container-runtime]\nruntimes = [\"runc\"]\n", Drifted, "rewritten", "docker --runtime=nvidia", PassesBy},
		{"cdi", "/etc/cdi/nvidia.yaml", "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices: [{name: all, containerEdits: {deviceNodes: [{path: /dev/nvidia0}]}}]\n", Drifted, "rewritten", "docker --device, CDI", PassesBy},
		{"containerd", containerdConfig, "version = 2\n", Drifted, "rewritten", "DRA claim (containerd CRI)", PassesBy},
		{"podman", "/usr/share/containers/oci/hooks.d/" + hooksFile, "", Drifted, "gone", "podman 4", PassesBy},
	} {
		s := statusHost(t)
		registerHere(t, s, c.engine)
		if c.text == "" {
			noError(t, os.Remove(filepath.Join(s.Root, c.file)))
		} else {
			put(t, filepath.Join(s.Root, c.file), c.text, 0o644)
		}
		st := Look(s)
		e := engineRow(t, st, c.engine)
		if st.Healthy || e.State != c.want || !strings.Contains(strings.Join(e.What, "; "), c.what) || e.Mend == "" {
			t.Errorf("%s: %+v, want %s, %q", c.engine, e, c.want, c.what)
		}
		if p := row(t, st, c.path); p.State != c.state {
			t.Errorf("%s: %+v, want %s", c.engine, p, c.state)
		}
	}
}

// TestStatusNoDrift: a change around our entry, a state that was lost, and an entry that stays for containers.
func TestStatusNoDrift(t *testing.T) {
	s := statusHost(t)
	registerHere(t, s, "docker")
	put(t, filepath.Join(s.Root, dockerConfig), strings.Replace(content(t, s, dockerConfig), "{", "{\n \"debug\": true,", 1), 0o644)
	if e := engineRow(t, Look(s), "docker"); e.State != Registered || !strings.Contains(strings.Join(e.What, ""), "changed since") {
		t.Errorf("%+v", e)
	}
	noError(t, os.Remove(filepath.Join(s.Root, statePath("docker"))))
	if e := engineRow(t, Look(s), "docker"); e.State != Registered || !strings.Contains(strings.Join(e.What, ""), "is missing") {
		t.Errorf("%+v", e)
	}

	s = statusHost(t)
	registerHere(t, s, "docker")
	program := filepath.Join(s.Root, "/usr/local/bin/gpu-preflight-hook") // an update replaces it by rename
	put(t, program+".new", elfFor(amd64), 0o755)
	noError(t, os.Rename(program+".new", program))
	if e := engineRow(t, Look(s), "docker"); e.State != Registered || !strings.Contains(strings.Join(e.What, ""), "another build") {
		t.Errorf("%+v", e)
	}

	s = statusHost(t)
	registerHere(t, s, "docker")
	put(t, filepath.Join(s.Root, "/var/lib/docker/containers/4f1c/hostconfig.json"), `{"Runtime": "gpu-preflight"}`, 0o644)
	noError(t, back(t, s, docker()))
	st := Look(s)
	if e := engineRow(t, st, "docker"); !st.Healthy || e.State != Unregistered || !strings.Contains(strings.Join(e.What, ""), "stays for containers") {
		t.Errorf("%+v", e)
	}
	if p := row(t, st, "docker --gpus, CDI"); p.State != PassesBy {
		t.Errorf("%+v", p)
	}
}
