package register_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gpu-preflight/testdata/fixture"
)

// dockerLine is one line of docker's versions: where its programs lie, and who speaks to it.
type dockerLine struct {
	name     string
	programs map[string]string // a program's usual place: what lies there instead of this machine's own
	client   func(t *testing.T, socket string) dockerClient
}

// debianDocker is Debian's docker, 20.10.
func debianDocker(t *testing.T) dockerLine {
	t.Helper()
	for _, path := range []string{"/usr/sbin/dockerd", "/usr/bin/docker", "/usr/bin/containerd", "/usr/sbin/runc"} {
		if _, err := os.Stat(path); err != nil {
			t.Skip("docker.io is not installed")
		}
	}
	return dockerLine{name: "20.10", client: func(_ *testing.T, socket string) dockerClient {
		return dockerCLI{program: "/usr/bin/docker", socket: socket}
	}}
}

// newestDocker is the line of docker 29, which Debian 12 lacks, with the containerd and the runc that it wants. It does
// not run with runc 1.1.
func newestDocker(t *testing.T) dockerLine {
	t.Helper()
	docker := pinned{name: "moby", version: "v2.0.0-beta.24", packages: []string{"github.com/moby/moby/v2/cmd/dockerd"}}.build(t)
	runc := pinned{
		name: "runc", version: "v1.5.2", packages: []string{"github.com/opencontainers/runc"},
		flags: []string{"-tags", "seccomp"}, env: []string{"CGO_ENABLED=1"},
	}.build(t)
	containerd := buildContainerd(t)
	return dockerLine{name: "29", client: newestClient, programs: map[string]string{
		"/usr/sbin/dockerd": docker + "/dockerd", "/usr/sbin/runc": runc + "/runc",
		"/usr/bin/containerd": containerd + "/containerd", "/usr/bin/containerd-shim-runc-v2": containerd + "/containerd-shim-runc-v2",
	}}
}

// dockerHost is this machine in a mount namespace of its own: docker, its files, NVIDIA's programs, ours and our state
// lie where they lie on any host, and nothing of it is seen outside.
type dockerHost struct {
	site
	dir    string // docker's own folders
	keeper int    // the process that keeps the namespace
	client dockerClient
	stop   func()
}

// keepsMounts makes the namespace's folders writable copies of the machine's, and hides from crun the hierarchy that
// it refuses beside the old ones.
const keepsMounts = `set -e
for place in etc usr var/lib var/log; do
	mkdir -p "$0/up/$place" "$0/under/$place"
	mount -t overlay overlay -o "lowerdir=/$place,upperdir=$0/up/$place,workdir=$0/under/$place" "/$place"
done
umount /sys/fs/cgroup/unified 2>/dev/null || true
echo ready
exec sleep infinity`

// newDockerHost starts a docker with our programs beside it, unregistered. toolkit names the programs of NVIDIA's
// toolkit that docker finds: they do nothing, and docker looks only whether they are there.
func newDockerHost(t *testing.T, line dockerLine, s site, daemon string, toolkit ...string) *dockerHost {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker") //nolint:usetesting // sockets want a short path
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	d := &dockerHost{site: s, dir: dir, client: line.client(t, dir+"/d.sock"), stop: func() {}}
	d.enter(t)
	t.Cleanup(func() { d.stop() })
	d.run(t, "cp", "--remove-destination", fixture.Build(t, "cmd/gpu-preflight"), s.bin+"/gpu-preflight-hook", s.bin+"/gpu-preflight-nvml", "/usr/local/bin")
	for place, program := range line.programs {
		d.run(t, "ln", "-sfn", program, place)
	}
	for _, name := range toolkit {
		d.run(t, "ln", "-sfn", "/bin/true", "/usr/bin/"+name)
	}
	d.put(t, "/etc/docker/daemon.json", strings.ReplaceAll(daemon, "DIR", dir))
	d.put(t, "/etc/cdi/nvidia.yaml", gpuSpec)
	d.look(t, s)
	d.start(t)
	program, err := os.ReadFile(lookPath(t, "busybox"))
	must(t, err)
	if out, code := d.client.call(t, tarOf(t, "bin/busybox", program), "import", "-", "bb:import"); code != 0 {
		t.Fatalf("docker import: exit %d: %s", code, out)
	}
	return d
}

// enter makes the namespace.
func (d *dockerHost) enter(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), lookPath(t, "unshare"), "--mount", "/bin/sh", "-c", keepsMounts, d.dir)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if !bufio.NewScanner(out).Scan() {
		t.Skipf("a mount namespace with overlays cannot be had here: %s", errors.String())
	}
	d.keeper = cmd.Process.Pid
}

// path is a file of the host as the test sees it. To be read only: an absolute link there would lead to the machine's
// own files.
func (d *dockerHost) path(path string) string { return fmt.Sprintf("/proc/%d/root%s", d.keeper, path) }

// within is a command that runs on the host.
func (d *dockerHost) within(command ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(d.keeper), "--mount", "--"}, command...)
}

// command prepares a command on the host, with the environment of a systemd service.
func (d *dockerHost) command(t *testing.T, words ...string) *exec.Cmd {
	t.Helper()
	words = d.within(words...)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	return cmd
}

// run runs a command on the host, which has to do well.
func (d *dockerHost) run(t *testing.T, words ...string) string {
	t.Helper()
	out, err := d.command(t, words...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", words, err, out)
	}
	return string(out)
}

// look lets our programs see a fake host, and record where it says.
func (d *dockerHost) look(t *testing.T, s site) {
	t.Helper()
	d.put(t, "/etc/gpu-preflight/config.toml", readFile(t, s.config)+fmt.Sprintf("[host]\nroot = %q\n", s.root))
}

// put writes a file of the host.
func (d *dockerHost) put(t *testing.T, path, text string) {
	t.Helper()
	write(t, d.dir+"/put", text)
	d.run(t, "install", "-D", "--mode=0644", d.dir+"/put", path)
}

// start starts the daemon and waits until it answers.
func (d *dockerHost) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	cmd := d.command(t, "dockerd", "--exec-root", d.dir+"/exec", "-H", "unix://"+d.dir+"/d.sock", "--pidfile", d.dir+"/pid",
		"--iptables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--userland-proxy=false")
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	d.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		_ = log.Close()
		d.stop = func() {}
	}
	deadline := time.After(2 * time.Minute)
	for {
		out, code := d.docker(t, "version")
		if code == 0 {
			return
		}
		select {
		case <-ended:
			t.Skipf("dockerd cannot run here: %s", d.log(t))
		case <-deadline:
			t.Fatalf("dockerd does not answer: %s\n%s", out, d.log(t))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d *dockerHost) restart(t *testing.T) {
	t.Helper()
	d.stop()
	d.start(t)
}

// log is the end of what the daemon has said.
func (d *dockerHost) log(t *testing.T) string {
	t.Helper()
	text := readFile(t, d.dir+"/log")
	return text[max(0, len(text)-4000):]
}

// docker is what docker's user does.
func (d *dockerHost) docker(t *testing.T, args ...string) (string, int) {
	t.Helper()
	return d.client.call(t, nil, args...)
}

// launch starts the image of the tests, nvidia/cuda:13.0.0.
func (d *dockerHost) launch(t *testing.T, flags ...string) (string, int) {
	t.Helper()
	args := append([]string{"run", "--network=none", "--env-file=" + cudaEnv()}, flags...)
	return d.docker(t, append(args, "bb:import", "/bin/busybox", "echo", ran)...)
}

// cudaEnv is the file of an image's environment.
func cudaEnv() string { return filepath.Join(fixture.Root(), "testdata/images/cuda-13.0.0-base.env") }

// dockerContainer is what matters of docker inspect.
type dockerContainer struct {
	State struct {
		Status, Error string
		ExitCode      int
	}
	HostConfig struct{ Runtime string }
	ID         string
}

func (d *dockerHost) inspect(t *testing.T, name string) dockerContainer {
	t.Helper()
	var list []dockerContainer
	out, code := d.docker(t, "inspect", name)
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || len(list) != 1 {
		t.Fatalf("docker inspect %s: exit %d, %v: %s", name, code, err, out)
	}
	return list[0]
}

func (d *dockerHost) defaultRuntime(t *testing.T) string {
	t.Helper()
	var info struct{ DefaultRuntime string }
	out, code := d.docker(t, "info", "--format={{json .}}")
	if err := json.Unmarshal([]byte(out), &info); err != nil || code != 0 {
		t.Fatalf("docker info: exit %d, %v: %s", code, err, out)
	}
	return info.DefaultRuntime
}
