package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const driver = "580.95.05"

// scene is everything that the programs are run on, below one folder.
type scene struct{ dir, bin, noop string }

func (s scene) path(name string) string { return filepath.Join(s.dir, name) }

// build writes three bundles, a host of eight GPUs with the fake library, the policy and a registered shim.
func (s scene) build(ctx context.Context, nvml string) error {
	files := hostFiles(8)
	files["config.toml"] = fmt.Sprintf("[log]\nfile = %q\njournald = false\n[host]\nroot = %q\n", s.path("log"), s.path("host"))
	for name, gpus := range map[string]int{"none": 0, "one": 1, "eight": 8, "newer": 8} {
		var env []string
		if name == "newer" { // than the driver: the image is looked into
			env = []string{"NVIDIA_REQUIRE_CUDA=cuda>=13.1"}
		}
		if err := s.bundle(files, name, containerConfig(gpus, env...)); err != nil {
			return err
		}
	}
	files["shim/next"] = s.noop + "\n"
	if err := s.write(files); err != nil {
		return err
	}
	if err := s.links(); err != nil {
		return err
	}
	return s.library(ctx, nvml)
}

// bundle adds a bundle, and the state that its hook is given.
func (s scene) bundle(files map[string]string, name string, container map[string]any) error {
	config, err := json.Marshal(container)
	if err != nil {
		return err
	}
	state, err := json.Marshal(map[string]any{"ociVersion": "1.0.2", "id": "bench-" + name, "status": "creating", "pid": os.Getpid(), "bundle": s.path(name)})
	if err != nil {
		return err
	}
	files[name+"/config.json"], files[name+"/state.json"] = string(config), string(state)
	files[name+"/rootfs/etc/hostname"] = "bench\n"
	return nil
}

func (s scene) write(files map[string]string) error {
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// hostLinks makes the links of a host with a driver.
func (s scene) hostLinks(host, driver string) error {
	for name, target := range map[string]string{
		host + "/proc/self/ns/pid":                           "pid:[4026531836]",
		host + "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": "libnvidia-ml.so." + driver,
	} {
		if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, s.path(name)); err != nil {
			return err
		}
	}
	return nil
}

func (s scene) links() error {
	if err := s.hostLinks("host", driver); err != nil {
		return err
	}
	// A registration has a hard link; across file systems a copy does for the benchmark.
	for _, name := range []string{"gpu-preflight-hook", "gpu-preflight-nvml"} {
		if err := os.Symlink(filepath.Join(s.bin, name), s.path("shim/"+name)); err != nil {
			return err
		}
	}
	return copyFile(s.path("shim/gpu-preflight-runtime"), filepath.Join(s.bin, "gpu-preflight-hook"))
}

// library builds the fake NVML.
func (s scene) library(ctx context.Context, source string) error {
	file := s.path("host/usr/lib/x86_64-linux-gnu/libnvidia-ml.so." + driver)
	out, err := exec.CommandContext(ctx, "cc", "-O1", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", "-o", file, source).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w: %s", source, err, out)
	}
	var conf strings.Builder
	conf.WriteString("driver=" + driver + "\ncuda=13000\ngpus=8\n")
	for i := range 8 {
		fmt.Fprintf(&conf, "gpu.%d.bus=%s\ngpu.%d.uuid=%s\ngpu.%d.minor=%d\n", i, bus(i), i, uuid(i), i, i)
	}
	return os.WriteFile(file+".conf", []byte(conf.String()), 0o644)
}

// programs are the rows, the yardstick first.
func (s scene) programs() []program {
	hook := []string{filepath.Join(s.bin, "gpu-preflight-hook"), "--root", s.path("host"), "--config", s.path("config.toml")}
	registered := []string{"GOMAXPROCS=1"} // as the hook entry in docs/engines.md has it: a second thread costs more than it helps
	shim := []string{s.path("shim/gpu-preflight-runtime"), "--root", s.path("state"), "create", "--bundle", s.path("none"), "bench"}
	list := []program{
		{name: "noop", args: []string{s.noop}, stdin: s.path("none/state.json")},
		{name: "hook, no GPU asked", args: hook, env: registered, stdin: s.path("none/state.json")},
		{
			name: "shim create, no GPU asked", args: shim, stdin: "/dev/null",
			env: []string{"GPU_PREFLIGHT_CONFIG=" + s.path("config.toml"), "GPU_PREFLIGHT_ROOT=" + s.path("host")},
		},
		{name: "hook, 1 GPU of 8 asked", args: hook, env: registered, stdin: s.path("one/state.json"), wants: `"allow"`},
		{name: "hook, 8 GPUs of 8 asked", args: hook, env: registered, stdin: s.path("eight/state.json"), wants: `"allow"`},
		{name: "hook, 8 GPUs, a newer image", args: hook, env: registered, stdin: s.path("newer/state.json"), wants: `"warn"`},
	}
	for i := range list {
		list[i].log = s.path("log")
	}
	return list
}

func bus(i int) string  { return fmt.Sprintf("0000:%02x:00.0", 0x10+i) }
func uuid(i int) string { return fmt.Sprintf("GPU-%08d-0000-0000-0000-000000000000", i) }

// hostFiles are the files of a healthy host with GPUs and no switch. A regular file "c 195 0" below --root
// stands for a device node.
func hostFiles(gpus int) map[string]string {
	files := map[string]string{
		"etc/os-release":             "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n",
		"proc/uptime":                "864000.00 1000000.00\n",
		"proc/cpuinfo":               "processor\t: 0\nflags\t\t: fpu vme sse sse2\n",
		"proc/sys/kernel/osrelease":  "6.1.0-18-amd64\n",
		"proc/1/comm":                "systemd\n",
		"proc/devices":               "Character devices:\n  1 mem\n195 nvidia\n195 nvidiactl\n510 nvidia-uvm\n511 nvidia-caps\n\nBlock devices:\n",
		"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + driver + "  Wed Jun 26 06:46:07 UTC 2024\n",
		"proc/driver/nvidia/params":  "NvLinkDisable: 0\n",
		"sys/module/nvidia/version":  driver + "\n",
		"dev/nvidiactl":              "c 195 255\n",
		"dev/nvidia-uvm":             "c 510 0\n",
		"dev/nvidia-uvm-tools":       "c 510 1\n",
		"usr/lib/x86_64-linux-gnu/libcuda.so." + driver: "",
	}
	for i := range gpus {
		files[fmt.Sprintf("dev/nvidia%d", i)] = fmt.Sprintf("c 195 %d\n", i)
		files["proc/driver/nvidia/gpus/"+bus(i)+"/information"] = fmt.Sprintf(
			"Model: \t\t NVIDIA A100-PCIE-40GB\nGPU UUID: \t %s\nVideo BIOS: \t 92.00.25.00.08\nDevice Minor: \t %d\nGPU Excluded:\t No\n", uuid(i), i)
		for name, text := range map[string]string{"vendor": "0x10de", "class": "0x030200", "device": "0x20f1"} {
			files["sys/bus/pci/devices/"+bus(i)+"/"+name] = text + "\n"
		}
	}
	below := make(map[string]string, len(files))
	for name, text := range files {
		below["host/"+name] = text
	}
	return below
}

// containerConfig is a config.json of 40 KB as docker writes it, most of it seccomp, with the first GPUs put in
// as CDI does.
func containerConfig(gpus int, more ...string) map[string]any {
	var calls []any
	for i := range 75 {
		names := make([]string, 0, 12)
		for j := range 12 {
			names = append(names, fmt.Sprintf("system_call_%d_%d_of_the_list", i, j))
		}
		calls = append(calls, map[string]any{"names": names, "action": "SCMP_ACT_ALLOW"})
	}
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "NVIDIA_VISIBLE_DEVICES=void", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"}
	for i := range 40 {
		env = append(env, fmt.Sprintf("SERVICE_%d_PORT=tcp://10.0.0.%d:80", i, i))
	}
	env = append(env, more...)
	mounts := []any{map[string]any{"destination": "/proc", "type": "proc", "source": "proc"}}
	devices := []any{}
	hooks := map[string]any{}
	if gpus > 0 {
		lib := "/usr/lib/x86_64-linux-gnu/libcuda.so." + driver
		mounts = append(mounts, map[string]any{"destination": lib, "source": lib, "type": "bind", "options": []string{"ro", "rbind"}})
		devices = append(devices, device("/dev/nvidiactl", 195, 255), device("/dev/nvidia-uvm", 510, 0), device("/dev/nvidia-uvm-tools", 510, 1))
		hooks["createContainer"] = []any{map[string]any{"path": "/usr/bin/nvidia-cdi-hook", "args": []string{"nvidia-cdi-hook", "update-ldcache"}}}
	}
	for i := range gpus {
		devices = append(devices, device(fmt.Sprintf("/dev/nvidia%d", i), 195, i))
	}
	return map[string]any{
		"ociVersion": "1.0.2",
		"process":    map[string]any{"args": []string{"python3", "train.py"}, "env": env, "cwd": "/", "user": map[string]any{"uid": 0, "gid": 0}},
		"root":       map[string]any{"path": "rootfs"},
		"mounts":     mounts,
		"hooks":      hooks,
		"linux": map[string]any{
			"devices": devices, "seccomp": map[string]any{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": calls},
			"maskedPaths": strings.Fields("/proc/acpi /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /sys/firmware"),
			"resources":   map[string]any{"devices": []any{map[string]any{"allow": false, "access": "rwm"}}},
		},
	}
}

func device(path string, major, minor int) map[string]any {
	return map[string]any{"path": path, "type": "c", "major": major, "minor": minor, "fileMode": 438}
}
