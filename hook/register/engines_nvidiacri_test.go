package register_test

import (
	"strings"
	"testing"
)

// runtimeClass is what nvidia-ctk writes for a RuntimeClass nvidia, in the section PLUGIN. containerd 1.6
// forgets its own handler where another one is written.
const runtimeClass = `
    [plugins."PLUGIN".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
    [plugins."PLUGIN".containerd.runtimes.nvidia]
      runtime_type = "io.containerd.runc.v2"
      [plugins."PLUGIN".containerd.runtimes.nvidia.options]
        BinaryName = "DIR/usr/bin/nvidia-container-runtime"
`

// TestEngineNvidiaCRI: pods of a RuntimeClass nvidia with the real toolkit in its just-in-time CDI mode. The handler of
// other pods is not covered by that, and a pod without a GPU, whose sandbox passes the shim too, starts.
func TestEngineNvidiaCRI(t *testing.T) {
	for _, row := range []struct {
		name, config, plugin string
		newest               bool
	}{
		{"1.6", version2, "io.containerd.grpc.v1.cri", false},
		{"2.4", version3, "io.containerd.cri.v1.runtime", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, good := oldHost(t, ""), newHost(t)
			folder := debianContainerd
			if row.newest {
				folder = buildContainerd(t)
			}
			c := newContainerd(t, s, folder, row.config+strings.ReplaceAll(runtimeClass, "PLUGIN", row.plugin))
			k := newToolkit(t, s, c.dir, "auto")
			for _, word := range k.env {
				name, value, _ := strings.Cut(word, "=")
				t.Setenv(name, value) // containerd gets it when it starts
			}
			c.restart(t, s)
			pod := func(flags ...string) launched {
				p := c.launch(t, append(flags, "-env", "NVIDIA_VISIBLE_DEVICES=all", "-env", askedTooMuch))
				return launched{started: p.Failed == "" && strings.Contains(p.Output, ran), said: p.Error + p.Message}
			}
			h := host{
				register: func(t *testing.T) {
					k.product(t, "register", "--prefix", c.dir+"/local", "nvidia-ctk")
					c.launch(t, []string{"-handler", "nvidia"}).starts(t)
				},
				unregister: func(t *testing.T) {
					k.move(t, s, good)
					c.restart(t, good)
					c.bad(t, "-handler", "nvidia").starts(t)
					if list := good.records(t); len(list) != 1 || list[0].Verdict != "allow" || list[0].Problem != "" {
						t.Errorf("records of the good host: %+v", list)
					}
					c.restart(t, s)
					k.product(t, "unregister", "--prefix", c.dir+"/local", "nvidia-ctk")
				},
				records: func(t *testing.T) int { return len(s.records(t)) },
				status:  []string{"--root", c.dir, "--engine-config", "containerd=" + c.dir + "/config.toml"},
			}
			walk(t, h, []way{
				{
					row: "RuntimeClass nvidia (containerd)", bad: func(*testing.T) launched { return pod("-handler", "nvidia") }, says: askedTooMuchText,
					more: func(t *testing.T, _ launched) {
						p := c.bad(t, "-handler", "nvidia")
						if p.Failed != "StartContainer" || p.Reason != "StartError" || p.Exit != 128 || p.Output != "" {
							t.Errorf("want a StartError: %+v", p)
						}
						contains(t, p.Message, refusedText...)
					},
				},
				{row: "default handler (containerd CRI)", bad: func(t *testing.T) launched {
					p := c.bad(t)
					return launched{started: p.Failed == "" && strings.Contains(p.Output, ran), said: p.Error + p.Message}
				}},
			})
		})
	}
}
