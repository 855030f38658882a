package register_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
`
	pods3 = `  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "` + criImage + `"
  [plugins.'io.containerd.cri.v1.runtime']
    restrict_oom_score_adj = true
    enable_unprivileged_ports = false
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
// kubelet finds it, and starts again when it is taken out. What has no GPU, an exempt namespace, the handler without
// us, a pod that lowers the mode for itself and a launch on a host that serves it start all the while.
func TestEngineContainerd(t *testing.T) {
	for _, row := range []struct {
		name, config string // the name is part of a path that overlayfs is given: no commas
		newest       bool
	}{
		{"1.6", version2, false},
		{"1.6 with a handler", version2 + handlerIn("io.containerd.grpc.v1.cri"), false},
		{"2.4 with the configuration of 1.6", version2, true},
		{"2.4 version 3 with a handler", version3 + handlerIn("io.containerd.cri.v1.runtime"), true},
		{"2.4 version 4", version4, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			old, good := oldHost(t, "overrides = true"), newHost(t)
			folder := debianContainerd
			if row.newest {
				folder = buildContainerd(t)
			}
			c := newContainerd(t, old, folder, row.config)
			before := readFile(t, c.dir+"/config.toml")
			c.bad(t).starts(t)

			contains(t, c.product(t, "register"), "systemctl restart containerd")
			contains(t, c.product(t, "register"), "is registered")
			c.restart(t, old)
			c.refuses(t, old)
			c.letsPass(t, old)
			c.restart(t, good)
			c.bad(t).starts(t)
			if list := good.records(t); len(list) != 1 || list[0].Verdict != "allow" || list[0].Problem != "" {
				t.Errorf("records of the good host: %+v", list)
			}

			c.product(t, "unregister")
			if after := readFile(t, c.dir+"/config.toml"); after != before {
				t.Errorf("%q, want %q", after, before)
			}
			if left, _ := filepath.Glob(c.dir + "/conf.d/*"); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			c.restart(t, old)
			n := len(old.records(t))
			c.bad(t).starts(t)
			if list := old.records(t); len(list) != n {
				t.Errorf("judged without a registration: %+v", list[n:])
			}
		})
	}
}

// TestEngineContainerdSelfTest: without its shim no pod starts; what the unit does before containerd starts lets every
// launch pass, and registering anew judges again. containerd need not be restarted.
func TestEngineContainerdSelfTest(t *testing.T) {
	s := oldHost(t, "")
	c := newContainerd(t, s, debianContainerd, version2)
	c.product(t, "register")
	c.restart(t, s)
	c.refuses(t, s)
	must(t, os.RemoveAll(c.dir+"/local/libexec"))
	if p := c.launch(t, nil); p.Failed != "RunPodSandbox" {
		t.Errorf("without the shim: %+v", p)
	}
	test := register.Site{Prefix: c.dir + "/local"}.SelfTest(register.Shim{Name: "containerd-runc", Next: "/usr/sbin/runc"})
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", test).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.launch(t, nil).starts(t)
	c.bad(t).starts(t)
	c.product(t, "register")
	must(t, os.Remove(s.log))
	c.refuses(t, s)
}

// refuses wants the reason in what the kubelet is answered, and in what it asks for later.
func (c *containerdHost) refuses(t *testing.T, s site) {
	t.Helper()
	p := c.bad(t)
	if p.Failed != "StartContainer" || p.State != "CONTAINER_EXITED" || p.Reason != "StartError" || p.Exit != 128 || p.Output != "" {
		t.Fatalf("want a StartError: %+v", p)
	}
	contains(t, p.Error, refusedText...)
	contains(t, p.Message, refusedText...)
	list := s.records(t)
	if len(list) != 1 {
		t.Fatalf("records: %+v", list)
	}
	r := list[0]
	if r.Verdict != "refuse" || r.Program != "runtime" || r.Container.Engine != "containerd" || r.Container.Namespace != "default" || r.Container.Image != criImage {
		t.Errorf("record: %+v", r)
	}
	contains(t, r.Message, refusedText...)
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
