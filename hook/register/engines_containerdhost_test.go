package register_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gpu-preflight/hook/register"
	"gpu-preflight/testdata/fixture"
)

// containerdHost is a containerd that the test starts in folders of its own, and asks as a kubelet asks it.
type containerdHost struct {
	dir    string
	folder string // of containerd and its shim
	ctrOf  string // the folder of ctr
	client string
	nodes  map[string]string // in a container: on this machine
	halt   func()            // ends containerd, not its containers
	hooked bool              // our hook is started without an environment of ours: a script tells it the fake host
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
	makeCDIFolder(t)
	dir := t.TempDir()
	c := &containerdHost{dir: dir, folder: folder, client: filepath.Join(dir, "cri"), ctrOf: debianContainerd, halt: func() {}}
	if folder != debianContainerd {
		c.ctrOf = buildCtr(t)
	}
	for _, folder := range []string{"local", "dev", "varlib", "cdi", "logs"} {
		must(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	own, err := exec.CommandContext(t.Context(), c.ctrOf+"/ctr", "oci", "spec").Output()
	must(t, err)
	must(t, os.WriteFile(dir+"/own.json", own, 0o644))
	must(t, os.Rename(s.bin, dir+"/local/bin"))
	must(t, os.CopyFS(dir+"/real", os.DirFS(dir+"/local/bin")))
	must(t, os.WriteFile(dir+"/cdi/nvidia.yaml", []byte(gpuSpec), 0o644))
	must(t, os.WriteFile(dir+"/cdi/claim.yaml", []byte(strings.NewReplacer("kind: nvidia.com/gpu", "kind: k8s.gpu.nvidia.com/claim").Replace(gpuSpec)), 0o644))
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
	if c.hooked {
		c.tell(t, s)
	}
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
	c.halt = func() {
		c.halt = func() {}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		_ = log.Close()
	}
	t.Cleanup(func() { c.stop(t) })
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
	c.stop(t)
	c.start(t, s)
}

// stop ends containerd, which must have left nothing.
func (c *containerdHost) stop(t *testing.T) {
	t.Helper()
	c.sweep(t)
	c.halt()
}

// tell puts a script in the place of our hook, which starts it for the policy and the host that a site names.
func (c *containerdHost) tell(t *testing.T, s site) {
	t.Helper()
	path := c.dir + "/local/bin/gpu-preflight-hook"
	must(t, os.Remove(path)) // the shim is the same file
	must(t, os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\nexec %s/real/gpu-preflight-hook --root %s --config %s\n", c.dir, s.root, s.config), 0o755))
}

// buildCtr builds the ctr that belongs to buildContainerd's, and returns its folder.
func buildCtr(t *testing.T) string {
	t.Helper()
	return pinned{name: "ctr", version: "v2.4.2", packages: []string{"github.com/containerd/containerd/v2/cmd/ctr"}}.build(t)
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
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), c.ctrOf+"/ctr", append([]string{"-a", c.dir + "/c.sock", "-n", "k8s.io"}, args...)...)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		out = append(out, exit.Stderr...)
	}
	return string(out), err // without the warnings of a call that succeeds
}

// within is a command that lets gpu-preflight and ctr have folders of their own for state and CDI files, and find the
// programs of this containerd where its package puts them.
func (c *containerdHost) within() []string {
	script := `mount --bind "$0/varlib" /var/lib; mount --bind "$0/cdi" ` + cdiFolder + "; "
	for _, program := range []string{c.folder + "/containerd", c.ctrOf + "/ctr"} {
		script += "mount --bind " + program + " /usr/bin/" + filepath.Base(program) + "; "
	}
	return []string{"unshare", "-m", "sh", "-ec", script + `exec "$@"`, c.dir}
}

// status is what gpu-preflight says of this host.
func (c *containerdHost) status(t *testing.T) register.Status {
	t.Helper()
	return host{in: c.within(), status: []string{"--engine-config", "containerd=" + c.dir + "/config.toml"}}.look(t)
}

// run runs a command that status names.
func (c *containerdHost) run(t *testing.T, command string) {
	t.Helper()
	words := append(c.within(), "/bin/sh", "-c", "PATH="+filepath.Dir(fixture.Build(t, "cmd/gpu-preflight"))+":$PATH; "+command)
	if out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// product runs gpu-preflight on this host.
func (c *containerdHost) product(t *testing.T, command string, args ...string) string {
	t.Helper()
	words := slices.Concat(c.within(), []string{
		fixture.Build(t, "cmd/gpu-preflight"), command,
		"--prefix", c.dir + "/local", "--config", "containerd=" + c.dir + "/config.toml", "--config", "cdi=" + cdiFolder,
	}, args)
	out, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("gpu-preflight %s: %v: %s", command, err, out)
	}
	return string(out)
}

// host lets the ways of this containerd be walked with registrations.
func (c *containerdHost) host(s site, registrations ...string) host {
	return host{
		register: func(t *testing.T) {
			t.Helper()
			contains(t, c.product(t, "register", registrations...), "change")
			if again := c.product(t, "register", registrations[len(registrations)-1:]...); strings.Contains(again, "change ") || strings.Contains(again, "make ") {
				t.Errorf("registered twice it says %s", again)
			}
			c.restart(t, s)
		},
		unregister: func(t *testing.T) {
			t.Helper()
			c.product(t, "unregister", registrations[len(registrations)-1])
			c.restart(t, s)
		},
		records: func(t *testing.T) int { t.Helper(); return len(s.records(t)) },
		in:      c.within(),
		status:  []string{"--engine-config", "containerd=" + c.dir + "/config.toml"},
	}
}
