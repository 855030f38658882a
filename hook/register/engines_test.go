// Package register_test runs the real container runtimes with the hook and the shim in front of a fake host.
package register_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/hook/record"
	"gpu-preflight/testdata/fixture"
)

// ran is what the container prints when it starts.
const ran = "CONTAINER RAN"

// engine is a runtime that was probed: it can run a container on this machine.
type engine struct {
	name string
	exit int    // of a refusal
	via  string // a program to run it through, empty for none
}

// runtimes probes runc and crun (Debian's packages) with a container without hooks. A machine on which one cannot
// run says so.
func runtimes(t *testing.T) []engine {
	t.Helper()
	return []engine{
		probe(t, engine{name: "runc", exit: 1}),
		probe(t, engine{name: "crun", exit: 255, via: hybrid(t)}),
	}
}

func probe(t *testing.T, e engine) engine {
	t.Helper()
	path, err := exec.LookPath(e.name)
	if err != nil {
		t.Skipf("%s is not installed", e.name)
	}
	if e.via == "" {
		e.via = path
	}
	b := newBundle(t, nil)
	if out, code := b.run(t, e); code != 0 || !strings.Contains(out, ran) {
		t.Skipf("%s cannot run a container here (exit %d): %s", e.name, code, out)
	}
	return e
}

// hybrid returns a program that runs crun with the unified hierarchy hidden where cgroups are in hybrid form,
// which crun refuses; nothing changes for the rest of the machine.
func hybrid(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err != nil {
		return ""
	}
	script := filepath.Join(t.TempDir(), "crun-wrap")
	text := `#!/bin/sh
if [ -z "$CRUN_WRAPPED" ]; then CRUN_WRAPPED=1 exec unshare -m "$0" "$@"; fi
unset CRUN_WRAPPED
umount /sys/fs/cgroup/unified 2>/dev/null
exec crun "$@"
`
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return script
}

// programs are the product's binaries as installed: beside each other, the shim a hard link.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	copyTo(t, fixture.Build(t, "cmd/gpu-preflight-hook"), filepath.Join(dir, "gpu-preflight-hook"))
	copyTo(t, fixture.Build(t, "cmd/gpu-preflight-nvml"), filepath.Join(dir, "gpu-preflight-nvml"))
	if err := os.Link(filepath.Join(dir, "gpu-preflight-hook"), filepath.Join(dir, "gpu-preflight-runtime")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// site is an installed product on a fake host.
type site struct {
	bin, root, config, log string
}

// newSite makes a fake host with one GPU that is resident, and a policy.
func newSite(t *testing.T, driver, conf, policy string) site {
	t.Helper()
	s := site{bin: programs(t), root: fakeHost(t, driver, conf)}
	dir := t.TempDir()
	s.config, s.log = filepath.Join(dir, "config.toml"), filepath.Join(dir, "launches.jsonl")
	text := fmt.Sprintf("%s\n[log]\nfile = %q\njournald = false\n", policy, s.log)
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeHost is a desktop with a GeForce RTX 4090 whose driver is loaded.
func fakeHost(t *testing.T, driver, conf string) string {
	t.Helper()
	const bus = "0000:01:00.0"
	root := fixture.Tree(t, map[string]string{
		"/proc/uptime":               "86400.00 1.00\n",
		"/proc/sys/kernel/osrelease": "5.15.0-91-generic\n",
		"/proc/devices":              "Character devices:\n195 nvidia\n195 nvidiactl\n511 nvidia-uvm\n\nBlock devices:\n  8 sd\n",
		"/proc/cpuinfo":              "processor\t: 0\nflags\t\t: fpu\n",
		"/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + driver +
			"  Thu Apr  3 01:14:19 UTC 2025\n",
		"/proc/driver/nvidia/params": "ModifyDeviceFiles: 1\n",
		"/proc/driver/nvidia/gpus/" + bus + "/information": "Model: \t\t NVIDIA GeForce RTX 4090\nGPU UUID: \t GPU-11111111-2222-3333-4444-555555555555\n" +
			"Video BIOS: \t 95.02.18.80.5f\nBus Location: \t " + bus + "\nDevice Minor: \t 0\nGPU Excluded:\t No\n",
		"/sys/module/nvidia/version":                     driver + "\n",
		"/sys/bus/pci/devices/" + bus + "/vendor":        "0x10de\n",
		"/sys/bus/pci/devices/" + bus + "/device":        "0x2684\n",
		"/sys/bus/pci/devices/" + bus + "/class":         "0x030000\n",
		"/sys/bus/pci/devices/" + bus + "/config":        "\xde\x10\x84\x26",
		"/sys/bus/pci/drivers/nvidia/":                   "",
		"/usr/lib/x86_64-linux-gnu/libcuda.so." + driver: "",
		"/dev/nvidiactl":                                 "c 195 255\n",
		"/dev/nvidia0":                                   "c 195 0\n",
		"/dev/nvidia-uvm":                                "c 511 0\n",
	}, map[string]string{
		"/proc/self/ns/pid":                       "pid:[4026531836]",
		"/sys/bus/pci/devices/" + bus + "/driver": "../../../bus/pci/drivers/nvidia",
	})
	fixture.NVML(t, filepath.Join(root, "usr/lib/x86_64-linux-gnu"), "driver="+driver+"\ngpus=1\ngpu.0.bus="+bus+
		"\ngpu.0.brand=5\ngpu.0.cc=8.9\ngpu.0.name=NVIDIA GeForce RTX 4090\n"+conf)
	return root
}

// The two hosts of most tests: too old for CUDA 13, and new enough.
func oldHost(t *testing.T, policy string) site {
	return newSite(t, "535.183.06", "cuda=12020\n", policy)
}

func newHost(t *testing.T) site {
	return newSite(t, "580.95.05", "cuda=13000\n", "")
}

// hook is the registration as a createRuntime hook.
func (s site) hook() *specs.Hooks {
	return &specs.Hooks{CreateRuntime: []specs.Hook{{
		Path: filepath.Join(s.bin, "gpu-preflight-hook"),
		Args: []string{"gpu-preflight-hook", "--root", s.root, "--config=" + s.config},
		Env:  []string{"PATH=/usr/bin:/bin"},
	}}}
}

// records reads what was recorded since the site was made.
func (s site) records(t *testing.T) []record.Record {
	t.Helper()
	var list []record.Record
	data, err := os.ReadFile(s.log)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var r record.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("record %q: %v", line, err)
		}
		list = append(list, r)
	}
	return list
}

// bundle is a container with a busybox root file system.
type bundle struct{ dir, id string }

// newBundle writes a bundle for a container that says that it ran. change edits its configuration.
func newBundle(t *testing.T, change func(*specs.Spec)) bundle {
	t.Helper()
	b := bundle{dir: t.TempDir()}
	b.id = "gpu-preflight-test-" + filepath.Base(filepath.Dir(b.dir)) + "-" + filepath.Base(b.dir)
	b.id = strings.Map(func(c rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", c) {
			return c
		}
		return '-'
	}, b.id)
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox-static is not installed")
	}
	for _, d := range []string{"bin", "proc", "dev", "sys", "etc", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(b.dir, "rootfs", d), 0o755))
	}
	copyTo(t, busybox, filepath.Join(b.dir, "rootfs/bin/busybox"))
	cmd := exec.CommandContext(t.Context(), "runc", "spec")
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("runc spec: %v: %s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(b.dir, "config.json"))
	must(t, err)
	var spec specs.Spec
	must(t, json.Unmarshal(data, &spec))
	spec.Process.Terminal = false
	spec.Process.Args = []string{"/bin/busybox", "echo", ran}
	if change != nil {
		change(&spec)
	}
	data, err = json.Marshal(spec)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(b.dir, "config.json"), data, 0o644))
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// withGPU gives a container the environment of nvidia/cuda:13.0.0 and, as CDI does, the GPU's nodes and a hook of
// the toolkit.
func withGPU(t *testing.T, hooks *specs.Hooks) func(*specs.Spec) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fixture.Root(), "testdata/images/cuda-13.0.0-base.env"))
	if err != nil {
		t.Fatal(err)
	}
	toolkit := filepath.Join(t.TempDir(), "nvidia-cdi-hook")
	if err := os.WriteFile(toolkit, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return func(spec *specs.Spec) {
		for line := range strings.Lines(string(data)) {
			if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "PATH=") {
				spec.Process.Env = append(spec.Process.Env, strings.TrimSuffix(line, "\n"))
			}
		}
		spec.Process.Env = append(spec.Process.Env, "NVIDIA_VISIBLE_DEVICES=void")
		for path, number := range map[string][2]int64{"/dev/nvidiactl": {195, 255}, "/dev/nvidia0": {195, 0}, "/dev/nvidia-uvm": {511, 0}} {
			spec.Linux.Devices = append(spec.Linux.Devices, specs.LinuxDevice{Path: path, Type: "c", Major: number[0], Minor: number[1]})
		}
		if hooks == nil {
			return
		}
		with := *hooks
		with.CreateContainer = append(slices.Clone(with.CreateContainer), specs.Hook{Path: toolkit, Args: []string{"nvidia-cdi-hook", "update-ldcache"}})
		spec.Hooks = &with
	}
}

// run starts the container and returns all that was printed, and the runtime's exit code.
func (b bundle) run(t *testing.T, e engine) (string, int) {
	t.Helper()
	return b.runAs(t, e.via, nil)
}

func (b bundle) runAs(t *testing.T, program string, env []string, flags ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(flags, "run", "--bundle", b.dir, b.id)...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s did not end within a minute: %s", program, out)
	}
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
