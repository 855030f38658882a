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

// dockerd is a docker in folders of its own, which are below the root that register is given: NVIDIA's toolkit and its
// driver root lie there too.
type dockerd struct {
	dir     string // the host's root for register too
	program string
	flags   []string
	env     []string
	client  dockerClient
	stop    func()
}

// newDockerd prepares a host with our programs in DIR/local/bin. A program of NVIDIA's toolkit makes docker know --gpus:
// its old hook, which does nothing here, or nvidia-cdi-hook, which docker only looks for.
func newDockerd(t *testing.T, line dockerLine, s site, gpus, daemon string) *dockerd {
	t.Helper()
	dir := t.TempDir()
	d := &dockerd{dir: dir, program: "/usr/sbin/dockerd", client: line.client(t, dir+"/d.sock")}
	runc, path := "/usr/sbin/runc", dir+"/toolkit:"
	if line.programs == nil {
		d.flags = []string{"--storage-driver=vfs"}
	} else {
		d.program, runc = line.programs["/usr/sbin/dockerd"], line.programs["/usr/sbin/runc"]
		path += filepath.Dir(runc) + ":" + filepath.Dir(line.programs["/usr/bin/containerd"]) + ":"
	}
	d.env = append(os.Environ(), "GPU_PREFLIGHT_ROOT="+s.root, "GPU_PREFLIGHT_CONFIG="+s.config, "PATH="+path+"/usr/sbin:/usr/bin:/sbin:/bin")
	for _, folder := range []string{"local", "toolkit", "usr/sbin", filepath.Dir(dir)[1:]} {
		must(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	must(t, os.Symlink("/", filepath.Join(dir, dir))) // below the root, the root's own path is the root
	must(t, os.Rename(s.bin, dir+"/local/bin"))
	must(t, os.WriteFile(dir+"/toolkit/"+gpus, []byte("#!/bin/sh\nexit 0\n"), 0o755))
	copyTo(t, runc, dir+"/usr/sbin/runc")
	write(t, dir+"/daemon.json", strings.ReplaceAll(daemon, "DIR", dir))
	d.start(t)
	busybox, err := os.ReadFile(lookPath(t, "busybox"))
	must(t, err)
	if out, code := d.client.call(t, tarOf(t, "bin/busybox", busybox), "import", "-", "bb:import"); code != 0 {
		t.Fatalf("docker import: exit %d: %s", code, out)
	}
	return d
}

// start starts the daemon and waits until it answers.
func (d *dockerd) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), d.program, append([]string{
		"--config-file", d.dir + "/daemon.json", "--exec-root", d.dir + "/exec", "-H", "unix://" + d.dir + "/d.sock", "--pidfile", d.dir + "/pid",
		"--iptables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--userland-proxy=false",
	}, d.flags...)...)
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
	return d.client.call(t, nil, args...)
}

func (d *dockerd) restart(t *testing.T) {
	t.Helper()
	d.stop()
	d.start(t)
}
