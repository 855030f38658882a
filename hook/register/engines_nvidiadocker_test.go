package register_test

import (
	"os"
	"testing"
)

// askedTooMuch is a requirement that no driver meets, as somebody writes it who wants to see whether anybody judges it.
const askedTooMuch = "NVIDIA_REQUIRE_CUDA=cuda>=99.0"

// askedTooMuchText is what the user reads of it where no hook of NVIDIA's judges requirements.
var askedTooMuchText = []string{
	"gpu-preflight refused this container: the image requires CUDA 99.0 (NVIDIA_REQUIRE_CUDA), but driver 535.183.06 gives 12.2",
	"[cuda-requirement; gpu-preflight logs]",
}

// nvidiaEntry is what nvidia-ctk writes into daemon.json.
const nvidiaEntry = `"runtimes": {"nvidia": {"path": "DIR/usr/bin/nvidia-container-runtime", "args": []}}`

// nvidiaDocker is a docker with the real toolkit as its runtime nvidia.
type nvidiaDocker struct {
	*dockerd
	toolkit
	host site // whose records are counted
}

func newNvidiaDocker(t *testing.T, s site, mode, daemon string) *nvidiaDocker {
	t.Helper()
	return nvidiaDockerOf(t, debianDocker(t), s, mode, "nvidia-container-runtime-hook", daemon)
}

// nvidiaDockerOf is that of a line of docker's, which knows --gpus by a program of the toolkit.
func nvidiaDockerOf(t *testing.T, line dockerLine, s site, mode, gpus, daemon string) *nvidiaDocker {
	t.Helper()
	d := newDockerd(t, line, s, gpus, daemon)
	n := &nvidiaDocker{dockerd: d, toolkit: newToolkit(t, s, d.dir, mode), host: s}
	d.env = append(d.env, n.toolkit.env...)
	d.restart(t)
	return n
}

// walked is the host for walk, with one engine registered on it. Words after the engine go to register alone.
func (n *nvidiaDocker) walked(engine string, words ...string) host {
	configs := []string{"--prefix", n.toolkit.dir + "/local"}
	named := []string{"--config", "docker=" + n.toolkit.dir + "/daemon.json"}
	return host{
		register: func(t *testing.T) {
			n.product(t, append(append(append([]string{"register"}, configs...), named...), append(words, engine)...)...)
			n.restart(t)
		},
		unregister: func(t *testing.T) {
			n.product(t, append(append(append([]string{"unregister"}, configs...), named...), engine)...)
			n.restart(t)
		},
		records: func(t *testing.T) int { return len(n.host.records(t)) },
		status:  append([]string{"--root", n.toolkit.dir, "--engine-config", "docker=" + n.toolkit.dir + "/daemon.json"}, configs...),
	}
}

// bad starts a container that asks for all GPUs and for more than the driver gives.
func (n *nvidiaDocker) bad(flags ...string) func(*testing.T) launched {
	return func(t *testing.T) launched {
		t.Helper()
		args := append([]string{"run", "--rm", "--network=none", "-e", "NVIDIA_VISIBLE_DEVICES=all", "-e", askedTooMuch}, flags...)
		out, code := n.docker(t, append(args, "bb:import", "/bin/busybox", "echo", ran)...)
		return launched{started: code == 0, said: out}
	}
}

// TestEngineNvidiaDocker: docker with NVIDIA's runtime in its just-in-time CDI mode, in which nothing else judges
// NVIDIA_REQUIRE_CUDA.
func TestEngineNvidiaDocker(t *testing.T) {
	t.Run("named", func(t *testing.T) {
		n := newNvidiaDocker(t, oldHost(t, ""), "auto", "{\"data-root\": \"DIR/data\", "+nvidiaEntry+"}")
		walk(t, n.walked("nvidia-ctk"), []way{
			{row: "docker --runtime=nvidia", bad: n.bad("--runtime=nvidia"), says: askedTooMuchText},
			{row: "docker --gpus, legacy hook", bad: n.bad("--gpus=all")},
			{row: "docker --runtime=runc, legacy hook", bad: n.bad("--runtime=runc", "--gpus=all")},
		})
	})
	t.Run("default", func(t *testing.T) {
		n := newNvidiaDocker(t, oldHost(t, ""), "auto", "{\"data-root\": \"DIR/data\", \"default-runtime\": \"nvidia\", "+nvidiaEntry+"}")
		walk(t, n.walked("nvidia-ctk"), []way{
			{row: "docker --runtime=nvidia", bad: n.bad("--runtime=nvidia"), says: askedTooMuchText},
			{row: "docker --gpus, legacy hook", bad: n.bad("--gpus=all"), says: askedTooMuchText},
			{row: "docker --runtime=runc, legacy hook", bad: n.bad("--runtime=runc", "--gpus=all")},
		})
	})
	const byDefault = "{\"data-root\": \"DIR/data\", \"cdi-spec-dirs\": [\"DIR/cdi\"], \"default-runtime\": \"nvidia\", " + nvidiaEntry + "}"
	t.Run("29", func(t *testing.T) {
		n := nvidiaDockerOf(t, newestDocker(t), oldHost(t, ""), "auto", "nvidia-container-runtime-hook", byDefault)
		walk(t, n.walked("nvidia-ctk"), []way{
			{row: "docker --runtime=nvidia", bad: n.bad("--runtime=nvidia"), says: askedTooMuchText},
			{row: "docker --gpus, legacy hook", bad: n.bad("--gpus=all"), says: askedTooMuchText},
		})
	})
	t.Run("29 CDI", func(t *testing.T) {
		s := oldHost(t, "")
		n := nvidiaDockerOf(t, newestDocker(t), s, "auto", "nvidia-cdi-hook", byDefault)
		n.generate(t, s)
		walk(t, n.walked("nvidia-ctk"), []way{
			{row: "docker --runtime=nvidia", bad: n.bad("--runtime=nvidia"), says: askedTooMuchText},
			{row: "docker --gpus, CDI", bad: n.bad("--gpus=all"), says: askedTooMuchText},
			{row: "docker --device, CDI", bad: n.bad("--device=nvidia.com/gpu=all"), says: askedTooMuchText},
		})
	})
}

// TestEngineNvidiaDockerAbove: the shim in front of NVIDIA's runtime judges the same launches, and says what is wrong
// with the driver where that runtime itself cannot even ask it for the GPUs.
func TestEngineNvidiaDockerAbove(t *testing.T) {
	for name, daemon := range map[string]string{
		"named":   "{\"data-root\": \"DIR/data\", " + nvidiaEntry + "}",
		"default": "{\"data-root\": \"DIR/data\", \"default-runtime\": \"nvidia\", " + nvidiaEntry + "}",
	} {
		t.Run(name, func(t *testing.T) {
			s := oldHost(t, "")
			n := newNvidiaDocker(t, s, "auto", daemon)
			before := n.dockerd.config(t)
			h := n.walked("docker", "--above-nvidia")
			ways := []way{
				{row: "docker --runtime=nvidia", bad: n.bad("--runtime=nvidia"), says: askedTooMuchText, more: func(t *testing.T, _ launched) { n.explains(t) }},
				{row: "docker --gpus, legacy hook", bad: n.bad("--gpus=all"), says: askedTooMuchText},
				{row: "docker --runtime=runc, legacy hook", bad: n.bad("--runtime=runc", "--gpus=all")},
			}
			if name == "named" { // the default runtime's shim judges what comes to runc with NVIDIA's old hook
				ways[1].says = []string{"gpu-preflight refused this container: the image requires \"cuda>=99.0\" (NVIDIA_REQUIRE_CUDA)"}
			}
			walk(t, h, ways)
			if after := n.dockerd.config(t); after != before {
				t.Errorf("%q, want %q", after, before)
			}
		})
	}
}

// explains breaks NVML as a driver does whose libraries were updated under the loaded module, and mends it again.
func (n *nvidiaDocker) explains(t *testing.T) {
	t.Helper()
	conf := n.host.root + "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.183.06.conf"
	was := readFile(t, conf)
	launch := func(flags ...string) launched {
		args := append([]string{"run", "--rm", "--network=none", "--runtime=nvidia"}, flags...)
		out, code := n.docker(t, append(args, "bb:import", "/bin/busybox", "echo", ran)...)
		return launched{started: code == 0, said: out}
	}
	if l := launch("-e", "NVIDIA_VISIBLE_DEVICES=all", "-e", "NVIDIA_REQUIRE_CUDA=cuda>=12.0"); !l.started {
		t.Errorf("a good launch: %s", l.said)
	}
	list := n.host.records(t)
	if last := list[len(list)-1]; last.Verdict != "allow" || last.Problem != "" {
		t.Errorf("its record: %+v", last)
	}
	n.loads(t, "535.161.07")
	defer n.loads(t, "535.183.06")
	write(t, conf, was+"init=18\n")
	defer write(t, conf, was)
	if l := launch("-e", "NVIDIA_VISIBLE_DEVICES=all"); l.started {
		t.Errorf("with a broken driver: %s", l.said)
	} else {
		contains(t, l.said, "gpu-preflight refused this container: the loaded kernel module is 535.161.07, but its libraries are 535.183.06",
			"Driver/library version mismatch", "[driver-library-version; gpu-preflight logs]")
	}
	n.standsAside(t, func() {
		l := launch("-e", "NVIDIA_VISIBLE_DEVICES=all")
		contains(t, l.said, "could not apply required modification to OCI specification", "failed to initialize NVML: Driver/library version mismatch")
	})
	if l := launch(); !l.started {
		t.Errorf("without a GPU: %s", l.said)
	}
}

// loads makes another version that of the loaded module.
func (n *nvidiaDocker) loads(t *testing.T, version string) {
	t.Helper()
	write(t, n.host.root+"/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  "+version+"  Thu Apr  3 01:14:19 UTC 2025\n")
	write(t, n.host.root+"/sys/module/nvidia/version", version+"\n")
}

// standsAside does something with the policy switched off.
func (n *nvidiaDocker) standsAside(t *testing.T, do func()) {
	t.Helper()
	was := readFile(t, n.host.config)
	write(t, n.host.config, "mode = \"off\"\n"+was)
	do()
	write(t, n.host.config, was)
}

// TestEngineNvidiaDockerCDI: NVIDIA's runtime comes past the hook in the CDI file in its cdi mode alone, which the name
// of the program may force, and so may the name for another mode.
func TestEngineNvidiaDockerCDI(t *testing.T) {
	for _, row := range []struct {
		name, program, mode string // the name is part of the path of a socket: no long one
		says                []string
	}{
		{"cdi", "nvidia-container-runtime", "cdi", askedTooMuchText},
		{"as cdi", "nvidia-container-runtime.cdi", "auto", askedTooMuchText},
		{"as legacy", "nvidia-container-runtime.legacy", "auto", nil},
		{"auto", "nvidia-container-runtime", "auto", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := oldHost(t, "")
			n := newNvidiaDocker(t, s, row.mode, "{\"data-root\": \"DIR/data\", \"runtimes\": {\"nvidia\": {\"path\": \"DIR/usr/bin/"+row.program+"\"}}}")
			n.generate(t, s)
			hook := n.toolkit.dir + "/local/bin/gpu-preflight-hook"
			must(t, os.Rename(hook, hook+".real"))
			must(t, os.WriteFile(hook, []byte("#!/bin/sh\nexec "+hook+".real --root "+s.root+" --config "+s.config+"\n"), 0o755))
			h := n.walked("cdi")
			cdi := "cdi=" + n.toolkit.dir + "/cdi"
			h.register = func(t *testing.T) {
				n.product(t, "register", "--prefix", n.toolkit.dir+"/local", "--config", cdi, "cdi")
			}
			h.unregister = func(t *testing.T) {
				n.product(t, "unregister", "--prefix", n.toolkit.dir+"/local", "--config", cdi, "cdi")
			}
			h.status = append(h.status, "--engine-config", cdi)
			walk(t, h, []way{{row: "docker --runtime=nvidia", bad: n.bad("--runtime=nvidia"), says: row.says}})
		})
	}
}
