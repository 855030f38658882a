package register_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// criPod is what became of a pod; testdata/tools/cri prints it.
type criPod struct {
	Failed, Error, State, Reason, Message, Output, Pod, Container string
	Exit                                                          int
}

// cri asks containerd as a kubelet does.
func (c *containerdHost) cri(t *testing.T, args ...string) (p criPod) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.client, append([]string{"-socket", c.dir + "/c.sock", "-logs", c.dir + "/logs"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		exit, _ := errors.AsType[*exec.ExitError](err)
		t.Fatalf("%v: %s\n%s", err, exit.Stderr, c.log(t))
	}
	must(t, json.Unmarshal(out, &p))
	return p
}

// launch starts a pod of one container that says that it ran.
func (c *containerdHost) launch(t *testing.T, flags []string) criPod {
	t.Helper()
	must(t, os.RemoveAll(c.dir+"/logs/container.log"))
	return c.cri(t, append(append([]string{"-image", criImage}, flags...), "/bin/busybox", "echo", ran)...)
}

// keep starts a pod that lives on.
func (c *containerdHost) keep(t *testing.T, flags ...string) criPod {
	t.Helper()
	p := c.cri(t, append(append([]string{"-image", criImage, "-keep"}, flags...), "/bin/busybox", "sleep", "600")...)
	if p.Failed != "" || p.Container == "" {
		t.Fatalf("it did not start: %+v", p)
	}
	return p
}

// cuda is the environment of nvidia/cuda:13.0.0.
func cuda(t *testing.T) (flags []string) {
	t.Helper()
	for line := range strings.Lines(readFile(t, filepath.Join(fixture.Root(), "testdata/images/cuda-13.0.0-base.env"))) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "PATH=") {
			flags = append(flags, "-env", strings.TrimSuffix(line, "\n"))
		}
	}
	return flags
}

// gpu is a GPU for such a container, as a device plugin gives one that knows no CDI.
func (c *containerdHost) gpu() (flags []string) {
	for inside, outside := range c.nodes {
		flags = append(flags, "-device", inside+"="+outside)
	}
	return flags
}

// bad starts a container of nvidia/cuda:13.0.0 with a GPU.
func (c *containerdHost) bad(t *testing.T, flags ...string) criPod {
	t.Helper()
	return c.launch(t, slices.Concat(flags, cuda(t), c.gpu()))
}

// ran says whether the container did its work.
func (p criPod) ran() bool {
	return p.Failed == "" && p.Exit == 0 && p.Reason == "Completed" && strings.Contains(p.Output, ran)
}

// starts wants a container that ran.
func (p criPod) starts(t *testing.T) {
	t.Helper()
	if !p.ran() {
		t.Errorf("it did not start: %+v", p)
	}
}
