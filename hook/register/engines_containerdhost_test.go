package register_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gpu-preflight/testdata/fixture"
)

// containerdHost is a containerd that the test starts in folders of its own, and asks as a kubelet asks it.
type containerdHost struct {
	dir    string // the host's root for register too
	folder string // of containerd and its shim
	client string
	nodes  map[string]string // in a container: on this machine
	stop   func()
}

// debianContainerd is the folder of Debian's containerd, 1.6.
const debianContainerd = "/usr/bin"

// buildContainerd builds a containerd of the line that Debian 12 lacks, and returns its folder. That takes a minute.
func buildContainerd(t *testing.T) string {
	t.Helper()
	const commands = "github.com/containerd/containerd/v2/cmd/"
	return pinned{name: "containerd", version: "v2.4.2", packages: []string{commands + "containerd", commands + "containerd-shim-runc-v2"}}.build(t)
}

// newContainerd prepares a host with our programs in DIR/local/bin, and leaves the test out where containerd cannot run
// a pod.
func newContainerd(t *testing.T, s site, folder, config string) *containerdHost {
	t.Helper()
	for _, path := range []string{folder + "/containerd", folder + "/containerd-shim-runc-v2", "/usr/bin/ctr", "/usr/sbin/runc"} {
		if _, err := os.Stat(path); err != nil {
			t.Skip("containerd and runc are not installed")
		}
	}
	dir := t.TempDir()
	c := &containerdHost{dir: dir, folder: folder, client: filepath.Join(dir, "cri")}
	for _, folder := range []string{"local", "dev", "usr/sbin", filepath.Dir(dir)[1:]} {
		must(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	must(t, os.Symlink("/", filepath.Join(dir, dir))) // below the root, the root's own path is the root
	must(t, os.Rename(s.bin, dir+"/local/bin"))
	copyTo(t, "/usr/sbin/runc", dir+"/usr/sbin/runc")
	c.makeNodes(t)
	c.buildClient(t)
	write(t, dir+"/config.toml", strings.ReplaceAll(config, "DIR", dir))
	must(t, os.WriteFile(dir+"/image.tar", busyboxImage(t), 0o644))
	c.start(t, s)
	if out, err := c.ctr(t, "images", "import", dir+"/image.tar"); err != nil {
		t.Skipf("containerd cannot take an image here: %v: %s\n%s", err, out, c.log(t))
	}
	if p := c.launch(t, nil); !strings.Contains(p.Output, ran) {
		t.Skipf("containerd cannot run a pod here: %+v\n%s", p, c.log(t))
	}
	return c
}

// makeNodes makes the nodes of one GPU, which this machine need not have: nobody opens them.
func (c *containerdHost) makeNodes(t *testing.T) {
	t.Helper()
	c.nodes = map[string]string{}
	for path, number := range map[string][2]uint32{"/dev/nvidiactl": {195, 255}, "/dev/nvidia0": {195, 0}, "/dev/nvidia-uvm": {511, 0}} {
		c.nodes[path] = c.dir + path
		if err := unix.Mknod(c.dir+path, unix.S_IFCHR|0o666, int(unix.Mkdev(number[0], number[1]))); err != nil {
			t.Skipf("nodes cannot be made here: %v", err)
		}
	}
}

// buildClient builds the client of testdata/tools, with the flags of make tools.
func (c *containerdHost) buildClient(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", c.client, "./cri")
	cmd.Dir, cmd.Env = filepath.Join(fixture.Root(), "testdata/tools"), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the client: %v: %s", err, out)
	}
}

// start starts containerd with the policy and the host that a site names, and waits until it answers.
func (c *containerdHost) start(t *testing.T, s site) {
	t.Helper()
	log, err := os.OpenFile(c.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), c.folder+"/containerd", "--config", c.dir+"/config.toml")
	cmd.Env = append(os.Environ(), "PATH="+c.folder+":/usr/sbin:/usr/bin:/sbin:/bin", "GPU_PREFLIGHT_ROOT="+s.root, "GPU_PREFLIGHT_CONFIG="+s.config)
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	c.stop = func() {
		c.stop = func() {}
		c.sweep(t)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		_ = log.Close()
	}
	t.Cleanup(func() { c.stop() })
	deadline := time.After(time.Minute)
	for {
		if _, err := c.ctr(t, "version"); err == nil {
			return
		}
		select {
		case <-ended:
			t.Skipf("containerd cannot run here: %s", c.log(t))
		case <-deadline:
			t.Fatalf("containerd does not answer: %s", c.log(t))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *containerdHost) restart(t *testing.T, s site) {
	t.Helper()
	c.stop()
	c.start(t, s)
}

// sweep ends what a failed launch has left, which outlives containerd.
func (c *containerdHost) sweep(t *testing.T) {
	t.Helper()
	if out, err := c.ctr(t, "tasks", "list", "-q"); err == nil {
		for id := range strings.FieldsSeq(out) {
			t.Errorf("the task %s was left", id)
			_, _ = c.ctr(t, "tasks", "rm", "-f", id)
		}
	}
	lines := strings.Split(readFile(t, "/proc/self/mounts"), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], c.dir+"/") {
			t.Errorf("%s was left mounted", fields[1])
			_ = syscall.Unmount(fields[1], syscall.MNT_DETACH)
		}
	}
}

// log is the end of what containerd has said.
func (c *containerdHost) log(t *testing.T) string {
	t.Helper()
	text := readFile(t, c.dir+"/log")
	return text[max(0, len(text)-4000):]
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

func (c *containerdHost) ctr(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/usr/bin/ctr", append([]string{"-a", c.dir + "/c.sock", "-n", "k8s.io"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// criPod is what became of a pod; testdata/tools/cri prints it.
type criPod struct {
	Failed, Error, State, Reason, Message, Output string
	Exit                                          int
}

// launch starts a pod of one container that says that it ran.
func (c *containerdHost) launch(t *testing.T, flags []string) (p criPod) {
	t.Helper()
	args := append([]string{"-socket", c.dir + "/c.sock", "-image", criImage}, flags...)
	cmd := exec.CommandContext(t.Context(), c.client, append(args, "/bin/busybox", "echo", ran)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, cmd.Stderr, c.log(t))
	}
	must(t, json.Unmarshal(out, &p))
	return p
}

// bad starts a container of nvidia/cuda:13.0.0 with a GPU, as a device plugin gives one that knows no CDI.
func (c *containerdHost) bad(t *testing.T, flags ...string) criPod {
	t.Helper()
	for line := range strings.Lines(readFile(t, filepath.Join(fixture.Root(), "testdata/images/cuda-13.0.0-base.env"))) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "PATH=") {
			flags = append(flags, "-env", strings.TrimSuffix(line, "\n"))
		}
	}
	for inside, outside := range c.nodes {
		flags = append(flags, "-device", inside+"="+outside)
	}
	return c.launch(t, flags)
}

// starts wants a container that ran.
func (p criPod) starts(t *testing.T) {
	t.Helper()
	if p.Failed != "" || p.Exit != 0 || p.Reason != "Completed" || !strings.Contains(p.Output, ran) {
		t.Errorf("it did not start: %+v", p)
	}
}

// product runs gpu-preflight on this host.
func (c *containerdHost) product(t *testing.T, command string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), fixture.Build(t, "cmd/gpu-preflight"), "--root", c.dir, command,
		"--prefix", c.dir+"/local", "--config", "containerd="+c.dir+"/config.toml", "containerd")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("gpu-preflight %s: %v: %s", command, err, out)
	}
	return string(out)
}
