package register_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/hook/register"
)

// TestEngineContainerdBroken: where the shim cannot run no pod starts, and status names the command that mends it. What
// the unit does before containerd starts lets every launch pass; the command judges again.
func TestEngineContainerdBroken(t *testing.T) {
	old := oldHost(t, "")
	c := newContainerd(t, old, debianContainerd, version2)
	c.product(t, "register", "containerd")
	shim := register.Shim{Name: "containerd-runc", Next: "/usr/sbin/runc"}
	path := register.Site{Prefix: c.dir + "/local"}.ShimPath(shim.Name)
	for _, fault := range []struct {
		name, says string
		put        func()
	}{
		{"gone", "is missing", func() {}},
		{"not executable", "is not executable", func() { copyTo(t, c.dir+"/real/gpu-preflight-hook", path); must(t, os.Chmod(path, 0o644)) }},
		{"of another machine", "another architecture", func() { copyTo(t, foreignProgram(t), path) }},
	} {
		c.restart(t, old)
		if p := c.bad(t); p.Failed != "StartContainer" {
			t.Fatalf("%s: before: %+v", fault.name, p)
		}
		must(t, os.Remove(path))
		fault.put()
		if p := c.launch(t, nil); p.Failed != "RunPodSandbox" {
			t.Errorf("%s: without the shim: %+v", fault.name, p)
		}
		mend := c.broken(t, fault.says)
		test := register.Site{Prefix: c.dir + "/local"}.SelfTest(shim)
		if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", test).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", fault.name, err, out)
		}
		c.restart(t, old)
		c.launch(t, nil).starts(t)
		c.bad(t).starts(t)
		if again := c.broken(t, "is a link to /usr/sbin/runc"); again != mend {
			t.Errorf("%s: %q mends it, and after the test %q", fault.name, mend, again)
		}
		c.run(t, mend)
		if p := c.bad(t); p.Failed != "StartContainer" || p.Reason != "StartError" { // containerd need not be restarted
			t.Errorf("%s: mended: %+v", fault.name, p)
		}
		if st := c.status(t); !st.Healthy {
			t.Errorf("%s: mended: %+v", fault.name, st.Engines)
		}
	}
}

// TestEngineContainerdBrokenSpec: with the hook in the specification a program that is gone lets every launch pass, and
// a specification that is gone keeps CRI from loading; status tells of both, and of the second the command that mends it.
func TestEngineContainerdBrokenSpec(t *testing.T) {
	old := oldHost(t, "")
	c := newContainerd(t, old, debianContainerd, version2)
	c.hooked = true
	c.product(t, "register", "--method", register.BaseSpec, "containerd")
	c.restart(t, old)
	if p := c.bad(t); p.Reason != "StartError" {
		t.Fatalf("before: %+v", p)
	}
	program := c.dir + "/local/bin/gpu-preflight-hook"
	must(t, os.Rename(program, program+".away"))
	c.bad(t).starts(t)
	if st := c.status(t); st.Healthy {
		t.Errorf("without the program status says %+v", st.Engines)
	}
	must(t, os.Rename(program+".away", program))

	must(t, os.Remove(c.dir+"/gpu-preflight-base-spec.json"))
	st := c.status(t)
	n := slices.IndexFunc(st.Paths, func(p register.PathStatus) bool { return p.Path == "default handler (containerd CRI)" })
	if row := st.Paths[n]; st.Healthy || row.State != register.NotStarted || len(row.Close) != 1 {
		t.Fatalf("without the specification status says %+v", row)
	}
	c.restart(t, old)
	if p := c.launch(t, nil); p.Failed != "RunPodSandbox" {
		t.Errorf("without the specification: %+v", p)
	}
	c.run(t, st.Paths[n].Close[0])
	c.restart(t, old)
	c.launch(t, nil).starts(t)
	if p := c.bad(t); p.Reason != "StartError" {
		t.Errorf("mended: %+v", p)
	}
}

// broken wants status to say so of containerd, and returns the command that mends it.
func (c *containerdHost) broken(t *testing.T, says string) string {
	t.Helper()
	st := c.status(t)
	n := slices.IndexFunc(st.Engines, func(e register.EngineStatus) bool { return e.Engine == "containerd" })
	if e := st.Engines[n]; st.Healthy || e.State != register.Broken || !strings.HasPrefix(e.Mend, "gpu-preflight register ") {
		t.Fatalf("status says %+v", e)
	}
	contains(t, strings.Join(st.Engines[n].What, "; "), says)
	return st.Engines[n].Mend
}

// TestEngineContainerdKept: a container that was made while registered lives across unregister and a restart of
// containerd: what is run in it runs, and it stops and goes.
func TestEngineContainerdKept(t *testing.T) {
	for _, row := range []struct {
		name, config, method string
		newest               bool
	}{
		{"1.6", version2, register.BinaryName, false},
		{"2.4", version4, register.BinaryName, true},
		{"2.4 base-spec", version4, register.BaseSpec, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			good, folder := newHost(t), debianContainerd
			if row.newest {
				folder = buildContainerd(t)
			}
			c := newContainerd(t, good, folder, row.config)
			c.hooked = row.method == register.BaseSpec
			c.product(t, "register", "--method", row.method, "containerd")
			c.restart(t, good)
			p := c.keep(t, append(cuda(t), c.gpu()...)...)
			if list := good.records(t); len(list) != 1 || list[0].Verdict != "allow" {
				t.Errorf("records: %+v", list)
			}
			c.product(t, "unregister", "containerd")
			c.halt()
			c.start(t, good)
			if in := c.cri(t, "-exec", p.Container, "/bin/busybox", "echo", ran); in.Failed != "" || in.Exit != 0 || in.Output != ran+"\n" {
				t.Errorf("run in it: %+v", in)
			}
			if end := c.cri(t, "-remove", p.Pod); end.State != "CONTAINER_EXITED" || end.Failed != "" {
				t.Errorf("stopped: %+v", end)
			}
			if left, err := c.ctr(t, "containers", "list", "-q"); err != nil || strings.TrimSpace(left) != "" {
				t.Errorf("%v: left: %s", err, left)
			}
			c.launch(t, nil).starts(t)
		})
	}
}

// TestEngineContainerdCutOff: with any number of the writes done, on the way there and back, containerd starts and
// starts a pod.
func TestEngineContainerdCutOff(t *testing.T) {
	for _, row := range []struct {
		name, config, method string
		newest               bool
	}{
		{"1.6 base-spec", version2, register.BaseSpec, false},
		{"2.4", version4, register.BinaryName, true},
		{"2.4 base-spec", version4, register.BaseSpec, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			good, folder := newHost(t), debianContainerd
			if row.newest {
				folder = buildContainerd(t)
			}
			c := newContainerd(t, good, folder, row.config)
			before := c.files(t)
			c.product(t, "register", "--method", row.method, "containerd")
			after := c.files(t)
			c.product(t, "unregister", "containerd")
			order := []string{c.dir + "/gpu-preflight-base-spec.json", c.dir + "/conf.d/zz-gpu-preflight.toml", c.dir + "/config.toml"}
			order = slices.DeleteFunc(order, func(path string) bool { return before[path] == after[path] })
			if len(order) < 2 {
				t.Fatalf("written: %q", order)
			}
			for _, path := range order[:len(order)-1] { // backwards the same states are met
				must(t, os.MkdirAll(filepath.Dir(path), 0o755))
				must(t, os.WriteFile(path, []byte(after[path]), 0o600))
				c.restart(t, good)
				c.launch(t, nil).starts(t)
			}
		})
	}
}
