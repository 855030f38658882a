package register_test

import (
	"os"
	"path/filepath"
	"testing"

	"gpu-preflight/hook/register"
)

// noDriver is a host with a GPU whose driver is not loaded.
func noDriver(t *testing.T) site {
	t.Helper()
	s := newSite(t, "580.95.05", "init=9\n", "")
	for _, path := range []string{"proc/driver/nvidia", "sys/module/nvidia", "dev/nvidia0", "dev/nvidiactl", "dev/nvidia-uvm"} {
		must(t, os.RemoveAll(filepath.Join(s.root, path)))
	}
	return s
}

// TestEngineContainerdBrokenHost: on a host whose driver is too old or missing, what mends and watches it starts, by
// either method: pod sandboxes, the driver's own container, the operator's images and namespaces, and what only got
// every device. What asked for a GPU and is exempt is recorded, the rest is not; and an ordinary pod is refused.
func TestEngineContainerdBrokenHost(t *testing.T) {
	const (
		driver    = "nvcr.io/nvidia/driver:580.95.05-ubuntu22.04"
		plugin    = "nvcr.io/nvidia/k8s-device-plugin:v0.17.4"
		exporter  = "nvcr.io/nvidia/k8s/dcgm-exporter:4.4.1-4.5.2-ubuntu22.04"
		discovery = "nvcr.io/nvidia/gpu-feature-discovery:v0.8.2"
	)
	for _, h := range []struct {
		name, method string
		site         func(*testing.T) site
		refused      string // what an ordinary pod is told
	}{
		{"old driver", register.BinaryName, func(t *testing.T) site { t.Helper(); return oldHost(t, "") }, "[cuda-requirement"},
		{"no driver", register.BaseSpec, noDriver, "[driver-loaded"},
	} {
		t.Run(h.name, func(t *testing.T) {
			s := h.site(t)
			c := newContainerd(t, s, debianContainerd, version2)
			for _, name := range []string{driver, plugin, exporter, discovery} {
				must(t, os.WriteFile(c.dir+"/image.tar", imageNamed(t, name), 0o644))
				if out, err := c.ctr(t, "images", "import", c.dir+"/image.tar"); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			c.hooked = h.method == register.BaseSpec
			c.product(t, "register", "--method", h.method, "containerd")
			c.restart(t, s)
			p := c.bad(t)
			if p.Failed != "StartContainer" {
				t.Fatalf("an ordinary pod: %+v, records: %+v", p, s.records(t))
			}
			contains(t, p.Error, "gpu-preflight refused this container: ", h.refused)
			for _, row := range []struct {
				name, image string
				flags       []string
				gpu         bool
				verdict     string // of the record; empty: there is none
				program     string
			}{
				{name: "a sandbox and a pod without a GPU", image: criImage},
				{name: "the driver's container", image: driver, flags: []string{"-privileged"}, gpu: true},
				{name: "privileged, it only got every device", image: criImage, flags: []string{"-privileged"}, gpu: true},
				{name: "the device plugin", image: plugin, gpu: true, verdict: "exempt"},
				{name: "dcgm-exporter", image: exporter, gpu: true, verdict: "exempt"},
				{name: "gpu-feature-discovery", image: discovery, gpu: true, verdict: "warn", program: "/bin/gpu-feature-discovery"},
				{name: "kube-system", image: criImage, flags: []string{"-namespace", "kube-system"}, gpu: true, verdict: "exempt"},
				{name: "gpu-operator", image: criImage, flags: []string{"-namespace", "gpu-operator"}, gpu: true, verdict: "exempt"},
			} {
				n := len(s.records(t))
				flags := append([]string{"-image", row.image}, row.flags...)
				if row.gpu {
					flags = append(append(flags, cuda(t)...), c.gpu()...)
				}
				words := []string{"/bin/busybox", "echo", ran}
				if row.program != "" {
					words = []string{row.program}
				}
				must(t, os.RemoveAll(c.dir+"/logs/container.log"))
				if p := c.cri(t, append(flags, words...)...); !p.ran() {
					t.Errorf("%s: it did not start: %+v", row.name, p)
				}
				list := s.records(t)[n:]
				switch {
				case row.verdict == "" && len(list) > 0:
					t.Errorf("%s: recorded: %+v", row.name, list)
				case row.verdict != "" && (len(list) != 1 || list[0].Verdict != row.verdict || list[0].Container.Image != row.image):
					t.Errorf("%s: records: %+v", row.name, list)
				}
			}
		})
	}
}
