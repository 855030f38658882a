package register_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gpu-preflight/hook/register"
	"gpu-preflight/testdata/fixture"
)

// dockerd is Debian's docker, started by the test, in folders of its own and without a network.
type dockerd struct {
	dir  string // the host's root for register too
	env  []string
	stop func()
}

// dockerPrograms are looked for in the folders of Debian's packages: a newer docker beside them has another test.
func dockerPrograms(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/usr/sbin/dockerd", "/usr/bin/docker", "/usr/bin/containerd", "/usr/sbin/runc"} {
		if _, err := os.Stat(path); err != nil {
			t.Skip("docker.io is not installed")
		}
	}
}

// newDockerd prepares a host with our programs in DIR/local/bin. The hook of NVIDIA's toolkit, without which this
// docker knows no --gpus, is one that does nothing.
func newDockerd(t *testing.T, s site, daemon string) *dockerd {
	t.Helper()
	dockerPrograms(t)
	dir := t.TempDir()
	d := &dockerd{dir: dir, env: append(os.Environ(), "GPU_PREFLIGHT_ROOT="+s.root, "GPU_PREFLIGHT_CONFIG="+s.config,
		"PATH="+dir+"/toolkit:/usr/sbin:/usr/bin:/sbin:/bin")}
	for _, folder := range []string{"local", "toolkit", "rootfs/bin", "usr/sbin", filepath.Dir(dir)[1:]} {
		must(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	must(t, os.Symlink("/", filepath.Join(dir, dir))) // below the root, the root's own path is the root
	must(t, os.Rename(s.bin, dir+"/local/bin"))
	must(t, os.WriteFile(dir+"/toolkit/nvidia-container-runtime-hook", []byte("#!/bin/sh\nexit 0\n"), 0o755))
	copyTo(t, "/usr/sbin/runc", dir+"/usr/sbin/runc")
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox-static is not installed")
	}
	copyTo(t, busybox, dir+"/rootfs/bin/busybox")
	write(t, dir+"/daemon.json", strings.ReplaceAll(daemon, "DIR", dir))
	d.start(t)
	d.must(t, "sh", "-c", "tar -C "+dir+"/rootfs -c . | docker -H unix://"+dir+"/d.sock import - bb:import")
	return d
}

// site is the host for register.
func (d *dockerd) site() register.Site {
	return register.Site{Root: d.dir, Prefix: d.dir + "/local", Configs: map[string]string{"docker": d.dir + "/daemon.json"}}
}

// start starts the daemon and waits until it answers.
func (d *dockerd) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/usr/sbin/dockerd", "--config-file", d.dir+"/daemon.json", "--exec-root", d.dir+"/exec",
		"-H", "unix://"+d.dir+"/d.sock", "--pidfile", d.dir+"/pid", "--iptables=false", "--ip-forward=false", "--ip-masq=false",
		"--bridge=none", "--storage-driver=vfs")
	cmd.Env, cmd.Stdout, cmd.Stderr = d.env, log, log
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	d.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		mounts, _ := filepath.Glob(d.dir + "/exec/netns/*")
		for _, mount := range append(mounts, d.dir+"/data") {
			_ = syscall.Unmount(mount, syscall.MNT_DETACH)
		}
		_ = log.Close()
		d.stop = func() {}
	}
	t.Cleanup(func() { d.stop() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if out, code := d.docker(t, "version"); code == 0 {
			return
		} else if ctx.Err() != nil {
			t.Fatalf("dockerd does not answer: %s\n%s", out, d.log(t))
		}
		select {
		case <-ended:
			t.Skipf("dockerd cannot run here: %s", d.log(t))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *dockerd) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(d.dir + "/log")
	must(t, err)
	return string(text)
}

func (d *dockerd) config(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(d.dir + "/daemon.json")
	must(t, err)
	return string(text)
}

func (d *dockerd) docker(t *testing.T, args ...string) (string, int) {
	t.Helper()
	return d.run(t, "/usr/bin/docker", append([]string{"-H", "unix://" + d.dir + "/d.sock"}, args...)...)
}

func (d *dockerd) run(t *testing.T, program string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Env = d.env
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (d *dockerd) must(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, code := d.run(t, program, args...)
	if code != 0 {
		t.Fatalf("%s %q: exit %d: %s", program, args, code, out)
	}
	return out
}

// launch starts the image of the tests with all GPUs.
func (d *dockerd) launch(t *testing.T, more ...string) (string, int) {
	t.Helper()
	args := append([]string{"run", "--network=none", "--env-file", filepath.Join(fixture.Root(), "testdata/images/cuda-13.0.0-base.env")}, more...)
	return d.docker(t, append(args, "bb:import", "/bin/busybox", "echo", ran)...)
}

func (d *dockerd) defaultRuntime(t *testing.T) string {
	t.Helper()
	out, code := d.docker(t, "info", "--format", "{{.DefaultRuntime}}")
	if code != 0 {
		t.Fatal(out)
	}
	return strings.TrimSpace(out)
}

func (d *dockerd) register(t *testing.T) {
	t.Helper()
	engines, err := register.Named([]string{"docker"})
	must(t, err)
	p, err := engines[0].Plan(d.site())
	must(t, err)
	must(t, register.Apply(t.Context(), d.site(), engines[0], p))
}

func (d *dockerd) unregister(t *testing.T, force bool) register.Removal {
	t.Helper()
	engines, err := register.Named([]string{"docker"})
	must(t, err)
	r, err := register.Remove(d.site(), engines[0], force)
	must(t, err)
	must(t, register.Undo(d.site(), r))
	return r
}

// dockerText is what docker's user reads: a launch for NVIDIA's old hook, which compares the requirement itself.
var dockerText = []string{
	"gpu-preflight refused this container: the image requires \"cuda>=13.0\" (NVIDIA_REQUIRE_CUDA)", "driver 535.183.06",
	"Fix: install driver branch 580 or later", "[cuda-requirement; gpu-preflight logs]: unknown",
}

// TestEngineDocker20Registered: the bad launch starts, is refused once docker is registered, and starts again when it
// is taken out; a container made meanwhile starts, execs, stops and goes afterwards.
func TestEngineDocker20Registered(t *testing.T) {
	s := oldHost(t, "")
	d := newDockerd(t, s, "{\n\t\"data-root\": \"DIR/data\"\n}")
	before := d.config(t)
	out, code := d.launch(t, "--rm", "--gpus=all")
	started(t, out, code)

	d.register(t)
	d.restart(t)
	if name := d.defaultRuntime(t); name != "gpu-preflight" {
		t.Fatalf("the default runtime is %s", name)
	}
	out, code = d.launch(t, "--gpus=all", "--name=bad")
	if code != 125 || strings.Contains(out, ran) {
		t.Fatalf("exit %d: %s", code, out)
	}
	contains(t, out, dockerText...)
	inspected, _ := d.docker(t, "inspect", "--format", "{{.State.Error}}", "bad")
	contains(t, inspected, dockerText...)
	if list := s.records(t); len(list) != 1 || list[0].Verdict != "refuse" || list[0].Program != "runtime" {
		t.Errorf("records: %+v", list)
	}
	out, code = d.docker(t, "run", "--network=none", "--name=plain", "bb:import", "/bin/busybox", "echo", ran)
	started(t, out, code)
	if list := s.records(t); len(list) != 1 {
		t.Errorf("a container without a GPU was recorded: %+v", list)
	}

	must(t, os.RemoveAll(d.dir+"/local/libexec"))
	if out, code = d.docker(t, "start", "--attach", "plain"); code == 0 {
		t.Errorf("without the shim it started: %s", out)
	}
	d.stop()
	d.must(t, "/bin/sh", "-c", d.site().SelfTest(register.Shim{Name: "docker-runc", Next: "/usr/sbin/runc"}))
	d.start(t)
	out, code = d.docker(t, "start", "--attach", "plain")
	started(t, out, code)
	d.register(t)
	if out, code = d.launch(t, "--rm", "--gpus=all"); code != 125 {
		t.Errorf("registered anew: exit %d: %s", code, out)
	}

	if r := d.unregister(t, false); len(r.Users) != 2 {
		t.Errorf("containers that name the runtime: %v", r.Users)
	}
	d.restart(t)
	if name := d.defaultRuntime(t); name != "runc" {
		t.Errorf("the default runtime is %s", name)
	}
	out, code = d.docker(t, "start", "--attach", "plain")
	started(t, out, code)
	out, code = d.docker(t, "start", "--attach", "bad")
	started(t, out, code)
	out, code = d.launch(t, "--rm", "--gpus=all")
	started(t, out, code)
	d.docker(t, "rm", "-f", "plain", "bad")
	d.unregister(t, false)
	if after := d.config(t); after != before {
		t.Errorf("%q, want %q", after, before)
	}
	d.restart(t)
	out, code = d.launch(t, "--rm", "--gpus=all")
	started(t, out, code)
}

func (d *dockerd) restart(t *testing.T) {
	t.Helper()
	d.stop()
	d.start(t)
}

// TestEngineDocker20StaysUp: a container that runs through all of it is executed in and stopped, without and with the
// link of the shim leading to runc; a reload is enough to register.
func TestEngineDocker20StaysUp(t *testing.T) {
	s := newHost(t)
	d := newDockerd(t, s, "{\"live-restore\": true, \"data-root\": \"DIR/data\"}\n")
	d.register(t)
	d.reload(t)
	if name := d.defaultRuntime(t); name != "gpu-preflight" {
		t.Fatalf("after a reload the default runtime is %s", name)
	}
	t.Cleanup(func() { d.run(t, "/usr/bin/docker", "-H", "unix://"+d.dir+"/d.sock", "rm", "-f", "long") })
	out, code := d.docker(t, "run", "-d", "--network=none", "--gpus=all", "--name=long", "bb:import", "/bin/busybox", "sleep", "600")
	if code != 0 {
		t.Fatal(out)
	}
	if list := s.records(t); len(list) != 1 || list[0].Verdict == "refuse" {
		t.Errorf("records: %+v", list)
	}
	write(t, d.dir+"/rootfs/Dockerfile", "FROM bb:import\nRUN [\"/bin/busybox\", \"true\"]\n")
	if out, code = d.docker(t, "build", "--network=none", d.dir+"/rootfs"); code != 0 || !strings.Contains(out, "Successfully built") {
		t.Errorf("docker build: exit %d: %s", code, out)
	}
	d.unregister(t, true)
	for range 2 {
		out, code = d.docker(t, "exec", "long", "/bin/busybox", "echo", ran)
		started(t, out, code)
		out, code = d.launch(t, "--rm")
		started(t, out, code)
		d.reload(t) // this docker keeps our runtime as its default until it is restarted
	}
	out, code = d.docker(t, "rm", "-f", "long")
	if code != 0 {
		t.Error(out)
	}
}

// reload is SIGHUP, answered when the daemon says so.
func (d *dockerd) reload(t *testing.T) {
	t.Helper()
	before := strings.Count(d.log(t), "Reloaded configuration")
	pid, err := os.ReadFile(d.dir + "/pid")
	must(t, err)
	d.must(t, "/bin/kill", "-HUP", strings.TrimSpace(string(pid)))
	for range 100 {
		if strings.Count(d.log(t), "Reloaded configuration") > before {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatalf("no reload: %s", d.log(t))
}
