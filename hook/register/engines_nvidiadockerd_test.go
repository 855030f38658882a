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
)

// dockerd is Debian's docker in folders of its own, which are below the root that register is given: NVIDIA's toolkit and
// its driver root lie there too.
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

func (d *dockerd) restart(t *testing.T) {
	t.Helper()
	d.stop()
	d.start(t)
}
