package register_test

import (
	"testing"
)

// askedTooMuch is a requirement that no driver meets, as somebody writes it who wants to see whether anybody judges it.
const askedTooMuch = "NVIDIA_REQUIRE_CUDA=cuda>=99.0"

// askedTooMuchText is what the user reads of it where no hook of NVIDIA's judges requirements.
var askedTooMuchText = []string{
	"gpu-preflight refused this container: the image requires CUDA 99.0 (NVIDIA_REQUIRE_CUDA), but driver 535.183.06 gives 12.2",
	"[cuda-requirement; gpu-preflight logs]",
}

// nvidiaDocker is docker 20.10 with the real toolkit as its runtime nvidia.
type nvidiaDocker struct {
	*dockerd
	toolkit
	host site // whose records are counted
}

func newNvidiaDocker(t *testing.T, s site, mode, daemon string) *nvidiaDocker {
	t.Helper()
	d := newDockerd(t, s, daemon)
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
	const nvidia = "\"runtimes\": {\"nvidia\": {\"path\": \"DIR/usr/bin/nvidia-container-runtime\", \"args\": []}}"
	t.Run("named", func(t *testing.T) {
		n := newNvidiaDocker(t, oldHost(t, ""), "auto", "{\"data-root\": \"DIR/data\", "+nvidia+"}")
		walk(t, n.walked("nvidia-ctk"), []way{
			{row: "docker --runtime=nvidia", bad: n.bad("--runtime=nvidia"), says: askedTooMuchText},
			{row: "docker --gpus, legacy hook", bad: n.bad("--gpus=all")},
			{row: "docker --runtime=runc, legacy hook", bad: n.bad("--runtime=runc", "--gpus=all")},
		})
	})
	t.Run("default", func(t *testing.T) {
		n := newNvidiaDocker(t, oldHost(t, ""), "auto", "{\"data-root\": \"DIR/data\", \"default-runtime\": \"nvidia\", "+nvidia+"}")
		walk(t, n.walked("nvidia-ctk"), []way{
			{row: "docker --runtime=nvidia", bad: n.bad("--runtime=nvidia"), says: askedTooMuchText},
			{row: "docker --gpus, legacy hook", bad: n.bad("--gpus=all"), says: askedTooMuchText},
			{row: "docker --runtime=runc, legacy hook", bad: n.bad("--runtime=runc", "--gpus=all")},
		})
	})
}
