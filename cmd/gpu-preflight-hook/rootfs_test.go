package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	hook, rootfs string
}

// newImage lays out the host, the bundle and the image.
func newImage(t *testing.T) image {
	t.Helper()
	i := image{refused: newRefused(t)}
	fixture.NVML(t, filepath.Join(i.root, "usr/lib/x86_64-linux-gnu"), "gpus=1\n")
	bin := t.TempDir()
	for _, name := range []string{"gpu-preflight-hook", "gpu-preflight-nvml"} {
		built := fixture.Build(t, "cmd/"+name)
		if err := os.Link(built, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	i.hook, i.rootfs = filepath.Join(bin, "gpu-preflight-hook"), filepath.Join(i.bundle, "rootfs")
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

// launch runs the hook. A hook that does not end is killed after half a minute, which is an error here.
func (i image) launch(t *testing.T) (code int, stderr string, recorded record.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, i.hook, "--root="+i.root, "--config="+i.config)
	cmd.Env, cmd.Stdin = []string{"PATH=/usr/bin:/bin"}, strings.NewReader(i.state("c1"))
	before := len(i.records(t))
	out, err := cmd.CombinedOutput()
	if code = cmd.ProcessState.ExitCode(); code != 0 && code != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	records := i.records(t)
	if len(records) != before+1 {
		t.Fatalf("%d records more", len(records)-before)
	}
	return code, string(out), records[before]
}
