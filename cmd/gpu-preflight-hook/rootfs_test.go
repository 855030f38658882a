package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gpu-preflight/hook/record"
	"gpu-preflight/testdata/fixture"
)

const (
	site  = "opt/venv/lib/python3.11/site-packages"
	torch = site + "/torch/version.py"
)

// image is a launch whose image is looked into: the driver gives CUDA 12.2, and the interpreter that the container
// starts loads a torch for CUDA 13.0, as long as nobody spoils the image.
type image struct {
	refused
	bin, rootfs string
}

// newImage lays out the host, the bundle and the image.
func newImage(t *testing.T) image {
	t.Helper()
	i := image{refused: newRefused(t)}
	fixture.NVML(t, filepath.Join(i.root, "usr/lib/x86_64-linux-gnu"), "gpus=1\n")
	i.bin, i.rootfs = installed(t), filepath.Join(i.bundle, "rootfs")
	i.policy(t, patient)
	i.write(t, filepath.Join(i.bundle, "config.json"), `{"process":{"args":["python3","/app/train.py"],"env":["PATH=/opt/venv/bin"]},"root":{"path":"rootfs"},
		"linux":{"devices":[{"path":"/dev/nvidia0","type":"c","major":195,"minor":0},{"path":"/dev/nvidiactl","type":"c","major":195,"minor":255},
			{"path":"/dev/nvidia-uvm","type":"c","major":235,"minor":0}]}}`)
	for _, file := range []struct{ name, text string }{
		{"opt/venv/bin/python3", "x"},
		{"opt/venv/pyvenv.cfg", "home = /usr/bin\nversion = 3.11.7\n"},
		{torch, "__version__ = '2.9.1'\ncuda: Optional[str] = '13.0'\n"},
		{site + "/torch-2.9.1.dist-info/METADATA", "Name: torch\n"},
		{"etc/hostname", "image\n"},
	} {
		i.put(t, file.name, file.text)
	}
	return i
}

// installed has the programs in one folder, as an installation does.
func installed(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"gpu-preflight", "gpu-preflight-hook", "gpu-preflight-nvml"} {
		built, program := fixture.Build(t, "cmd/"+name), filepath.Join(bin, name)
		if os.Link(built, program) == nil {
			continue
		}
		data, err := os.ReadFile(built)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// patient is a policy by which nothing is unknown because the machine is slow.
const patient = "timeout = \"1m\"\nnvml_timeout = \"1m\"\n"

func (i image) policy(t *testing.T, text string) {
	t.Helper()
	i.write(t, i.config, text+fmt.Sprintf("[log]\nfile = %q\njournald = false\n", i.log))
}

func (i image) path(name string) string { return filepath.Join(i.rootfs, name) }

// put writes a file of the image.
func (i image) put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(i.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(i.path(name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// launch runs the hook.
func (i image) launch(t *testing.T) (code int, stderr string, recorded record.Record) {
	t.Helper()
	before := len(i.records(t))
	stderr, err := i.run(t, "gpu-preflight-hook", "--root="+i.root, "--config="+i.config)
	exit, failed := errors.AsType[*exec.ExitError](err)
	if failed {
		code = exit.ExitCode()
	}
	if err != nil && code != 1 {
		t.Fatalf("%v: %s", err, stderr)
	}
	records := i.records(t)
	if len(records) != before+1 {
		t.Fatalf("%d records more", len(records)-before)
	}
	return code, stderr, records[before]
}

// run runs a program of ours on the container's state. One that does not end is killed after two minutes, which is an
// error, as is one that takes more memory than a file of a gigabyte lets it.
func (i image) run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(i.bin, program), args...)
	cmd.Env, cmd.Stdin = []string{"PATH=/usr/bin:/bin"}, strings.NewReader(i.state("c1"))
	out, err := cmd.CombinedOutput()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && usage.Maxrss > maxRSS {
		t.Errorf("%s: a process of it had %d KiB of memory", program, usage.Maxrss)
	}
	return string(out), err
}

// maxRSS is more than any process of ours has, in KiB, the test's own memory at its fork included.
const maxRSS = 256 << 10
