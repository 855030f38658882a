package register_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/hook/register"
)

// The configurations of a containerd beside the machine's own, which may not lower its oom_score_adj. Those of 1.6 and
// 2.x read the same folders by other names.
const (
	folders = `root = "DIR/root" # its own folders
state = "DIR/state"
`
	sockets = `
[grpc]
  address = "DIR/c.sock"
[ttrpc]
  address = "DIR/t.sock"

[plugins]
  [plugins."io.containerd.internal.v1.opt"]
    path = "DIR/opt"
`
	pods2 = `  [plugins."io.containerd.grpc.v1.cri"]
    restrict_oom_score_adj = true
    enable_unprivileged_ports = false
    sandbox_image = "` + criImage + `"
    cdi_spec_dirs = ["DIR/cdi"]
`
	pods3 = `  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "` + criImage + `"
  [plugins.'io.containerd.cri.v1.runtime']
    restrict_oom_score_adj = true
    enable_unprivileged_ports = false
    cdi_spec_dirs = ["DIR/cdi"]
`
	version2 = "version = 2\n" + folders + sockets + pods2
	version3 = "version = 3\n" + folders + sockets + pods3
	version4 = "version = 4\n" + folders + `
[plugins]
  [plugins.'io.containerd.server.v1.grpc']
    address = "DIR/c.sock"
  [plugins.'io.containerd.server.v1.ttrpc']
    address = "DIR/t.sock"
  [plugins.'io.containerd.internal.v1.opt']
    path = "DIR/opt"
` + pods3
	// handler is a handler of the user's own, in the section PLUGIN.
	handler = `
    [plugins."PLUGIN".containerd]
      default_runtime_name = "mine"
      [plugins."PLUGIN".containerd.runtimes.mine]
        runtime_type = "io.containerd.runc.v2" # as everywhere
        pod_annotations = ["a.*"]
        [plugins."PLUGIN".containerd.runtimes.mine.options]
          BinaryName = "/usr/sbin/runc"
          SystemdCgroup = false
`
)

// handlerIn is the user's handler in a section.
func handlerIn(plugin string) string { return strings.ReplaceAll(handler, "PLUGIN", plugin) }

// TestEngineContainerd: a pod's bad launch starts, is refused once containerd is registered, with the reason where the
// kubelet finds it, and starts again when it is taken out, byte by byte. What has no GPU, an exempt namespace, the
// handler without us, a pod that lowers the mode for itself and a launch on a host that serves it start all the while.
func TestEngineContainerd(t *testing.T) {
	const cri2, cri3 = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"
	own := strings.Replace(handlerIn(cri3), "        pod_annotations", "        base_runtime_spec = 'DIR/own.json' # theirs\n        pod_annotations", 1)
	for _, row := range []struct {
		name, config string // the name is part of a path that overlayfs is given: no commas
		newest       bool
		method       string
	}{
		{"1.6", version2, false, register.BinaryName},
		{"1.6 with a handler", version2 + handlerIn(cri2), false, register.BinaryName},
		{"1.6 base-spec", version2, false, register.BaseSpec},
		{"2.4 with the configuration of 1.6", version2, true, register.BinaryName},
		{"2.4 version 3 with a handler", version3 + handlerIn(cri3), true, register.BinaryName},
		{"2.4 version 4", version4, true, register.BinaryName},
		{"2.4 with the configuration of 1.6 base-spec", version2, true, register.BaseSpec},
		{"2.4 version 3 with a specification base-spec", version3 + own, true, register.BaseSpec},
		{"2.4 version 4 base-spec", version4, true, register.BaseSpec},
	} {
		t.Run(row.name, func(t *testing.T) {
			old, folder := oldHost(t, "overrides = true"), debianContainerd
			if row.newest {
				folder = buildContainerd(t)
			}
			c := newContainerd(t, old, folder, row.config)
			c.hooked = row.method == register.BaseSpec
			before := c.files(t)
			ways := []way{c.way("default handler (containerd CRI)", old, c.bad)}
			if row.newest {
				ways = append(ways, c.way("DRA claim (containerd CRI)", old, c.claim))
			}
			ways[0].more = func(t *testing.T, _ launched) {
				t.Helper()
				c.looksClosely(t, old)
				c.letsPass(t, old)
				good := newHost(t)
				c.restart(t, good)
				c.bad(t).starts(t)
				if list := good.records(t); len(list) != 1 || list[0].Verdict != "allow" || list[0].Problem != "" {
					t.Errorf("records of the good host: %+v", list)
				}
				if c.hooked {
					c.sameAsUnwrapped(t)
				}
				c.restart(t, old)
			}
			walk(t, c.host(old, "--method", row.method, "containerd"), ways)
			if after := c.files(t); !maps.Equal(after, before) {
				t.Errorf("%q, want %q", after, before)
			}
		})
	}
}

// TestEngineContainerdCDI: with the CDI files registered alone, a GPU from them is judged, by the field and by the
// annotation, and a claim's passes by.
func TestEngineContainerdCDI(t *testing.T) {
	old := oldHost(t, "")
	c := newContainerd(t, old, buildContainerd(t), version4)
	c.hooked = true
	byField := func(t *testing.T, flags ...string) criPod {
		t.Helper()
		return c.launch(t, slices.Concat(cuda(t), flags, []string{"-cdi-device", "nvidia.com/gpu=all"}))
	}
	ways := []way{c.way("default handler (containerd CRI)", old, byField), c.way("DRA claim (containerd CRI)", old, c.claim)}
	ways[1].says = nil
	ways[0].more = func(t *testing.T, _ launched) {
		t.Helper()
		n := len(old.records(t))
		p := c.launch(t, append(cuda(t), "-container-annotation", "cdi.k8s.io/test=nvidia.com/gpu=all"))
		if p.Failed != "StartContainer" || p.Reason != "StartError" {
			t.Errorf("by the annotation: %+v", p)
		}
		contains(t, p.Message, refusedText...)
		c.launch(t, nil).starts(t)
		if list := old.records(t); len(list) != n+1 || list[n].Verdict != "refuse" {
			t.Errorf("records: %+v", list)
		}
	}
	walk(t, c.host(old, "cdi"), ways)
}

// way is a launch path of this host. Of a refusal the kubelet is told at once and when it asks later.
func (c *containerdHost) way(row string, s site, bad func(*testing.T, ...string) criPod) way {
	return way{row: row, says: refusedText, bad: func(t *testing.T) launched {
		t.Helper()
		p := bad(t)
		if p.Failed != "" {
			if p.Failed != "StartContainer" || p.State != "CONTAINER_EXITED" || p.Reason != "StartError" || p.Exit != 128 || p.Output != "" {
				t.Fatalf("want a StartError: %+v", p)
			}
			contains(t, p.Message, refusedText...)
			if list := s.records(t); list[len(list)-1].Verdict != "refuse" {
				t.Errorf("record: %+v", list[len(list)-1])
			}
		}
		return launched{started: p.ran(), said: p.Error}
	}}
}

// claim starts a container with a GPU as the kubelet passes a claim's device on.
func (c *containerdHost) claim(t *testing.T, flags ...string) criPod {
	t.Helper()
	return c.launch(t, slices.Concat(cuda(t), flags, []string{"-cdi-device", "k8s.gpu.nvidia.com/claim=all"}))
}

// files are the configuration of this host.
func (c *containerdHost) files(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range []string{"/*.toml", "/*.json", "/conf.d/*", "/cdi/*"} {
		paths, err := filepath.Glob(c.dir + pattern)
		must(t, err)
		for _, path := range paths {
			files[path] = readFile(t, path)
		}
	}
	return files
}

// looksClosely wants all that is known of the launch in the record of a refusal.
func (c *containerdHost) looksClosely(t *testing.T, s site) {
	t.Helper()
	list := s.records(t)
	if len(list) != 1 {
		t.Fatalf("records: %+v", list)
	}
	r, program := list[0], "runtime"
	if c.hooked {
		program = "hook"
	}
	if r.Verdict != "refuse" || r.Program != program || r.Container.Engine != "containerd" || r.Container.Namespace != "default" || r.Container.Image != criImage {
		t.Errorf("record: %+v", r)
	}
	contains(t, r.Message, refusedText...)
}

// sameAsUnwrapped compares what a container begins as with what it begins as without us.
func (c *containerdHost) sameAsUnwrapped(t *testing.T) {
	t.Helper()
	for _, flags := range [][]string{nil, c.gpu(), {"-privileged"}} {
		with, hooks := c.begins(t, flags...)
		without, none := c.begins(t, append(flags, "-handler", "gpu-preflight-unwrapped")...)
		if len(hooks) < 1 || !strings.Contains(strings.Join(hooks[0].Args, " "), c.dir+"/local/bin/gpu-preflight-hook") || len(none) != len(hooks)-1 {
			t.Errorf("%q: hooks are %+v and %+v", flags, hooks, none)
		}
		if with != without {
			t.Errorf("%q: it is\n%s\nand without us\n%s", flags, with, without)
		}
	}
}

// ownNames are what differs from one pod to the next.
var ownNames = regexp.MustCompile(`[0-9a-f]{64}|/proc/[0-9]+/|gpu-preflight-test-[0-9]+`)

// begins is the specification of a container that runs, without its createRuntime hooks.
func (c *containerdHost) begins(t *testing.T, flags ...string) (string, []specs.Hook) {
	t.Helper()
	p := c.keep(t, flags...)
	out, err := c.ctr(t, "containers", "info", "--spec", p.Container)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.cri(t, "-remove", p.Pod)
	var spec specs.Spec
	must(t, json.Unmarshal([]byte(out), &spec))
	var hooks []specs.Hook
	if spec.Hooks != nil {
		hooks, spec.Hooks.CreateRuntime = spec.Hooks.CreateRuntime, nil
	}
	if spec.Process == nil || spec.Process.Capabilities == nil || len(spec.Mounts) < 5 || spec.Linux == nil {
		t.Fatalf("no specification: %s", out)
	}
	spec.Hooks = nil
	text, err := json.MarshalIndent(spec, "", " ")
	must(t, err)
	return ownNames.ReplaceAllString(string(text), "X"), hooks
}

// letsPass launches what is not to be refused on a host that serves nothing.
func (c *containerdHost) letsPass(t *testing.T, s site) {
	t.Helper()
	n := len(s.records(t))
	c.launch(t, nil).starts(t)
	c.bad(t, "-handler", "gpu-preflight-unwrapped").starts(t)
	if list := s.records(t); len(list) != n {
		t.Errorf("without a GPU, and by the handler without us, nothing is recorded: %+v", list[n:])
	}
	c.bad(t, "-annotation", "gpu-preflight.mode=warn").starts(t)
	if list := s.records(t); len(list) != n+1 || list[n].Verdict != "warn" || !list[n].WouldRefuse {
		t.Errorf("records of a pod that lowers the mode: %+v", list)
	}
	c.bad(t, "-namespace", "kube-system").starts(t)
	if list := s.records(t); len(list) != n+2 || list[n+1].Verdict != "exempt" || list[n+1].Container.Namespace != "kube-system" {
		t.Errorf("records of an exempt namespace: %+v", list)
	}
}
