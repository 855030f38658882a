package register_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpu-preflight/testdata/fixture"
)

// eachDocker runs a test on both lines of docker, with NVIDIA's old hook.
func eachDocker(t *testing.T, daemon string, test func(t *testing.T, d *dockerHost)) {
	t.Helper()
	for name, line := range map[string]func(*testing.T) dockerLine{"20.10": debianDocker, "29": newestDocker} {
		t.Run(name, func(t *testing.T) {
			test(t, newDockerHost(t, line(t), oldHost(t, ""), daemon, "nvidia-container-runtime-hook"))
		})
	}
}

// busybox is the only program of the image.
const busybox = "/bin/busybox"

// long starts a container that stays.
func (d *dockerHost) long(t *testing.T, flags ...string) {
	t.Helper()
	t.Cleanup(func() { d.docker(t, "rm", "-f", "long") })
	args := append([]string{"run", "-d", "--network=none", "--stop-timeout=1", "--gpus=all", "--name=long"}, flags...)
	if out, code := d.docker(t, append(args, "bb:import", busybox, "sleep", "600")...); code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
}

// does wants a docker command to do well.
func (d *dockerHost) does(t *testing.T, args ...string) string {
	t.Helper()
	out, code := d.docker(t, args...)
	if code != 0 {
		t.Errorf("docker %q: exit %d: %s", args, code, out)
	}
	return out
}

// TestEngineDockerUninstalled: containers made while docker was registered outlive us. install.sh --uninstall lists
// them, keeps the runtime that they name, and leaves a link to runc at its place: they start, exec, stop, restart and
// go, whether docker was started anew or not. Once they are gone the file gets its old bytes back.
func TestEngineDockerUninstalled(t *testing.T) {
	eachDocker(t, "{\n\t\"live-restore\": true,\n\t\"data-root\": \"DIR/data\"\n}", func(t *testing.T, d *dockerHost) {
		const shim = "/usr/local/libexec/gpu-preflight/docker-runc/gpu-preflight-runtime"
		before := readFile(t, d.path("/etc/docker/daemon.json"))
		d.registers(t, "register", "docker")
		d.restart(t)
		d.long(t)
		out, code := d.launch(t, "--gpus=all", "--name=bad")
		if code != 125 || d.inspect(t, "long").HostConfig.Runtime != "gpu-preflight" {
			t.Fatalf("it is not registered: exit %d: %s", code, out)
		}
		judged := len(d.records(t))

		said := d.run(t, "/bin/sh", filepath.Join(fixture.Root(), "install.sh"), "--uninstall")
		contains(t, said, d.inspect(t, "long").ID[:12], d.inspect(t, "bad").ID[:12])
		if next, err := os.Readlink(d.path(shim)); err != nil || next != "/usr/sbin/runc" {
			t.Errorf("at the shim's place: %q, %v", next, err)
		}
		if _, err := os.Stat(d.path("/usr/local/bin/gpu-preflight-hook")); err == nil {
			t.Error("the hook is still installed")
		}
		for _, when := range []string{"before docker is started anew", "after"} {
			t.Log(when)
			contains(t, d.does(t, "exec", "long", busybox, "echo", ran), ran)
			d.does(t, "stop", "long")
			d.does(t, "start", "long")
			d.does(t, "restart", "long")
			contains(t, d.does(t, "start", "--attach", "bad"), ran)
			d.restart(t)
		}
		if name := d.defaultRuntime(t); name != "runc" {
			t.Errorf("the default runtime is %s", name)
		}
		out, code = d.launch(t, "--rm", "--gpus=all")
		started(t, out, code)
		d.does(t, "rm", "-f", "long")
		d.does(t, "rm", "-f", "bad")
		if list := d.records(t); len(list) != judged {
			t.Errorf("judged after it was taken out: %+v", list[judged:])
		}
		d.run(t, fixture.Build(t, "cmd/gpu-preflight"), "unregister", "docker")
		if after := readFile(t, d.path("/etc/docker/daemon.json")); after != before {
			t.Errorf("%q, want %q", after, before)
		}
		d.restart(t)
		out, code = d.launch(t, "--rm", "--gpus=all")
		started(t, out, code)
	})
}

// TestEngineDockerReload: a reload is enough to register. A container that runs through all of it is executed in and
// removed, without and with the link of the shim leading to runc, before and after docker knows of it.
func TestEngineDockerReload(t *testing.T) {
	eachDocker(t, `{"live-restore": true, "data-root": "DIR/data"}`+"\n", func(t *testing.T, d *dockerHost) {
		d.registers(t, "register", "docker")
		d.reload(t)
		if name := d.defaultRuntime(t); name != "gpu-preflight" {
			t.Fatalf("after a reload the default runtime is %s", name)
		}
		if out, code := d.launch(t, "--rm", "--gpus=all"); code != 125 {
			t.Errorf("after a reload: exit %d: %s", code, out)
		}
		d.long(t)
		d.registers(t, "unregister", "--force", "docker")
		for range 2 {
			contains(t, d.does(t, "exec", "long", busybox, "echo", ran), ran)
			out, code := d.launch(t, "--rm", "--gpus=all")
			started(t, out, code)
			d.reload(t) // docker 20.10 keeps our runtime as its default until it is restarted
		}
		d.does(t, "rm", "-f", "long")
	})
}

// reload is SIGHUP, answered when the daemon says so.
func (d *dockerHost) reload(t *testing.T) {
	t.Helper()
	before := strings.Count(readFile(t, d.dir+"/log"), "Reloaded configuration")
	d.run(t, "/bin/kill", "-HUP", strings.TrimSpace(readFile(t, d.dir+"/pid")))
	for range 200 {
		if strings.Count(readFile(t, d.dir+"/log"), "Reloaded configuration") > before {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatalf("no reload: %s", d.log(t))
}
