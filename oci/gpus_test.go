package oci

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func char(path string, major, minor int64) specs.LinuxDevice {
	return specs.LinuxDevice{Path: path, Type: "c", Major: major, Minor: minor}
}

func env(words ...string) Container { return Container{Env: words} }

func (c Container) with(change func(*Container)) Container {
	change(&c)
	return c
}

func (c Container) devices(devices ...specs.LinuxDevice) Container {
	c.Devices = append(c.Devices, devices...)
	return c
}

func (c Container) mount(source, destination string) Container {
	c.Mounts = append(c.Mounts, specs.Mount{Source: source, Destination: destination})
	return c
}

func (c Container) nvidiaHook() Container {
	c.Hooks.Prestart = append(c.Hooks.Prestart, specs.Hook{Path: "/usr/bin/nvidia-container-runtime-hook"})
	return c
}

func (c Container) cdiHook() Container {
	c.Hooks.CreateContainer = append(c.Hooks.CreateContainer, specs.Hook{Path: "/usr/bin/nvidia-cdi-hook"})
	return c
}

// privileged has the rule of config/oci-docker-devices-normal-vs-privileged.json and every node of the host.
func (c Container) privileged() Container {
	c.DeviceRules = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	return c.devices(char("/dev/kmsg", 1, 11), char("/dev/nvidia0", 195, 0), char("/dev/nvidia1", 195, 1),
		char("/dev/nvidiactl", 195, 255), char("/dev/odd", 240, 0), char("/dev/nvidia-caps/nvidia-cap1", 241, 1))
}

// rootlessPrivileged is podman run --privileged without root: every node of the host is a mount, and no rule is left.
func (c Container) rootlessPrivileged() Container {
	for _, node := range []string{"/dev/full", "/dev/null", "/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/zero"} {
		c = c.mount(node, node)
	}
	return c
}

// summary words what decides: gpu or no, why not judged, route, names.
func summary(r GPURequest) string {
	words := []string{"no"}
	if r.GPU {
		words = []string{"gpu"}
	}
	if r.NotJudged != "" {
		words = append(words, "unjudged")
	}
	if r.Route != RouteNone {
		words = append(words, string(r.Route))
	}
	if r.All {
		words = append(words, "all")
	}
	words = append(words, r.Devices...)
	for _, minor := range r.Minors {
		words = append(words, "minor:"+strconv.Itoa(minor))
	}
	for _, minor := range r.MIGCaps {
		words = append(words, "cap:"+strconv.Itoa(minor))
	}
	if r.DXG {
		words = append(words, "dxg")
	}
	if r.NVIDIAHook {
		words = append(words, "hook")
	}
	return strings.Join(words, " ")
}

func TestFindGPUsByNodes(t *testing.T) {
	block := specs.LinuxDevice{Path: "/dev/sdx", Type: "b", Major: 195}
	for _, tt := range []struct {
		about string
		c     Container
		want  string
	}{
		{"path alone", Container{}.devices(char("/dev/nvidia3", 0, 0)), "gpu devices minor:3"},
		{"major 195 under another name", Container{}.devices(char("/dev/gpu", 195, 2)), "gpu devices minor:2"},
		{"the number counts, not the name", Container{}.devices(char("/dev/nvidia0", 195, 1)), "gpu devices minor:1"},
		{"twice the same", Container{}.devices(char("/dev/nvidia0", 195, 0), char("/dev/x", 195, 0)), "gpu devices minor:0"},
		{"control nodes", Container{}.devices(char("/dev/nvidiactl", 195, 255), char("/dev/nvidia-uvm", 511, 0)), "gpu devices"},
		{"modeset alone", Container{}.devices(char("/dev/nvidia-modeset", 195, 254)), "no"},
		{"a block device of that major", Container{}.devices(block), "no"},
		{
			"Fabric Manager: switches and control nodes",
			Container{}.devices(char("/dev/nvidiactl", 195, 255), char("/dev/nvidia-nvswitch0", 234, 0)), "no",
		},
		{"IMEX channel of a compute domain", Container{}.devices(char("/dev/nvidia-caps-imex-channels/channel0", 511, 0)), "no"},
		{
			"a MIG instance (cdi/dra-claim-mig-h200.yaml)",
			Container{}.devices(char("/dev/nvidia0", 195, 0), char("/dev/nvidia-caps/nvidia-cap102", 239, 102)),
			"gpu devices minor:0 cap:102",
		},
		{"MIG's own nodes alone", Container{}.devices(char("/dev/nvidia-caps/nvidia-cap2", 239, 2)), "no"},
		{"WSL", Container{}.devices(char("/dev/dxg", 10, 258)), "gpu devices dxg"},
		{"JetPack 5", Container{}.devices(char("/dev/nvhost-gpu", 505, 1), char("/dev/nvmap", 10, 60)), "gpu devices"},
		{"VFIO", Container{}.devices(char("/dev/vfio/vfio", 10, 196)), "no"},
		{"rootless podman binds nodes", Container{}.mount("/dev/nvidia0", "/dev/nvidia0"), "gpu devices minor:0"},
		{"the host's /dev", Container{}.mount("/dev", "/dev"), "no"},
		{"a name that only begins so", Container{}.devices(char("/dev/nvidia0x", 10, 1)), "no"},
		{"no number", Container{}.devices(char("/dev/nvidia99999999999999999999", 10, 1)), "no"},
	} {
		t.Run(tt.about, func(t *testing.T) {
			if got := summary(FindGPUs(&tt.c, Host{})); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestFindGPUsInjectedByCDI(t *testing.T) {
	for _, tt := range []struct {
		about         string
		c             Container
		want, libcuda string
	}{
		{
			"mount alone", Container{}.mount("/usr/lib64/libcuda.so.615.71.09", "/usr/lib64/libcuda.so.615.71.09"),
			"gpu cdi", "/usr/lib64/libcuda.so.615.71.09",
		},
		{
			"driver container", Container{}.mount("/run/nvidia/driver/usr/lib64/libcuda.so.535.183.06", "/usr/lib64/libcuda.so.535.183.06"),
			"gpu cdi", "/run/nvidia/driver/usr/lib64/libcuda.so.535.183.06",
		},
		{
			"Tegra and WSL: 1.1 is no driver version", Container{}.mount("/usr/lib/wsl/x/libcuda.so.1.1", "/usr/lib/wsl/x/libcuda.so.1.1"),
			"gpu cdi", "",
		},
		{"compat", Container{}.mount("/opt/cuda/compat/libcuda.so.580.65.06", "/usr/lib64/libcuda.so.580.65.06"), "no", ""},
		{"compat in the container", Container{}.mount("/x/libcuda.so.580.65.06", "/usr/local/cuda/compat/libcuda.so.580.65.06"), "no", ""},
		{"the SONAME's link", Container{}.mount("/x/libcuda.so.1", "/x/libcuda.so.1"), "no", ""},
		{"another library", Container{}.mount("/x/libcudart.so.12.4", "/x/libcudart.so.12.4"), "no", ""},
		{"void is no proof of no GPU", env("NVIDIA_VISIBLE_DEVICES=void").cdiHook().devices(char("/dev/nvidia1", 195, 1)), "gpu cdi minor:1", ""},
		{
			"hooks.d has NVIDIA's hook too, CDI acts", env("NVIDIA_VISIBLE_DEVICES=void").nvidiaHook().cdiHook().
				devices(char("/dev/nvidia0", 195, 0)), "gpu cdi minor:0", "",
		},
		{"privileged, names in annotations", Container{}.privileged().cdiHook().with(func(c *Container) {
			c.Annotations = map[string]string{"cdi.k8s.io/x": "nvidia.com/gpu=1", operatorPrefix + "x": "k8s.device-plugin.nvidia.com/gpu=GPU-1"}
		}), "gpu cdi 1 GPU-1", ""},
		{"privileged, names in the environment", env("NVIDIA_VISIBLE_DEVICES=0,1").privileged().cdiHook(), "gpu cdi 0 1", ""},
		{"privileged without names", env("NVIDIA_VISIBLE_DEVICES=void").privileged().cdiHook(), "gpu cdi all", ""},
		{"privileged, only every device", Container{}.privileged(), "no unjudged", ""},
		{"privileged, an image's all", env("NVIDIA_VISIBLE_DEVICES=all").privileged(), "no unjudged", ""},
		{"privileged without root, only every device", Container{}.rootlessPrivileged(), "no unjudged", ""},
		{"privileged without root, by CDI", Container{}.rootlessPrivileged().cdiHook(), "gpu cdi all", ""},
		{"some nodes as mounts", Container{}.mount("/dev/null", "/etc/x").mount("/dev/zero", "/dev/zero").mount("/dev/nvidia0", "/dev/nvidia0"), "gpu devices minor:0", ""},
		{"privileged, a plugin's name", env("NVIDIA_VISIBLE_DEVICES=GPU-1").privileged(), "gpu GPU-1", ""},
		{"a rule that names its type", Container{}.devices(char("/dev/nvidia0", 195, 0)).with(func(c *Container) {
			c.DeviceRules = []specs.LinuxDeviceCgroup{{Allow: true, Type: "a"}, {Allow: false}}
		}), "gpu devices minor:0", ""},
	} {
		t.Run(tt.about, func(t *testing.T) {
			r := FindGPUs(&tt.c, Host{})
			if got := summary(r); got != tt.want || r.Libcuda != tt.libcuda {
				t.Errorf("%s, libcuda %q, want %s, %q", got, r.Libcuda, tt.want, tt.libcuda)
			}
		})
	}
}

func TestFindGPUsByHook(t *testing.T) {
	createRuntime := func(name string) func(*Container) {
		return func(c *Container) { c.Hooks.CreateRuntime = []specs.Hook{{Path: "/x/" + name}} }
	}
	cli := func(flags ...string) Container {
		return env("NVIDIA_VISIBLE_DEVICES=all").with(func(c *Container) {
			args := append([]string{"containerd", "oci-hook", "--", "/usr/bin/nvidia-container-cli", "--load-kmods", "configure"}, flags...)
			c.Hooks.CreateRuntime = []specs.Hook{{Path: "/usr/bin/containerd", Args: args}}
		})
	}
	for _, tt := range []struct {
		about string
		c     Container
		want  string
	}{
		{"prestart", env("NVIDIA_VISIBLE_DEVICES=0").nvidiaHook(), "gpu legacy 0 hook"},
		{"createRuntime (podman 5)", env("NVIDIA_VISIBLE_DEVICES=0").with(createRuntime("nvidia-container-toolkit")), "gpu legacy 0 hook"},
		{"another vendor's", env("NVIDIA_VISIBLE_DEVICES=0").with(createRuntime("nvidia-pva-hook")), "no"},
		{"names and nodes", env("NVIDIA_VISIBLE_DEVICES=GPU-1").nvidiaHook().devices(char("/dev/nvidia1", 195, 1)), "gpu legacy GPU-1 minor:1 hook"},
		{"privileged: nodes name nothing", env("NVIDIA_VISIBLE_DEVICES=1").privileged().nvidiaHook(), "gpu legacy 1 hook"},
		{"privileged, no request", env("NVIDIA_VISIBLE_DEVICES=void").privileged().nvidiaHook(), "no unjudged"},
		{"CDI names", env("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0,k8s.gpu.nvidia.com/claim=c").nvidiaHook(), "gpu legacy 0 k8s.gpu.nvidia.com/claim=c hook"},
		{"other kinds", env("NVIDIA_VISIBLE_DEVICES=nvidia.com/pva=0,amd.com/gpu=0").nvidiaHook(), "no"},
		{"ctr --gpus", cli("--device=0,1", "--compute", "--utility", "--pid={{pid}}", "{{rootfs}}"), "gpu legacy 0 1"},
		{"ctr, all", cli("--device=all"), "gpu legacy all"},
		{"oci-hook of something else", Container{}.with(func(c *Container) {
			c.Hooks.Prestart = []specs.Hook{{Path: "/usr/bin/containerd", Args: []string{"containerd", "oci-hook", "--", "ps"}}}
		}), "no"},
	} {
		t.Run(tt.about, func(t *testing.T) {
			if got := summary(FindGPUs(&tt.c, Host{})); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	r := FindGPUs(&Container{Hooks: cli("--device=0", "--compute", "--ngx").Hooks}, Host{})
	if want := []string{"compute", "ngx"}; !reflect.DeepEqual(r.Capabilities, want) {
		t.Errorf("capabilities %q, want %q", r.Capabilities, want)
	}
}

func TestFindGPUsAboveNVIDIARuntime(t *testing.T) {
	cdi := map[string]string{"cdi.k8s.io/x": "nvidia.com/gpu=1"}
	for _, tt := range []struct {
		mode string
		c    Container
		want string
	}{
		{"auto", env("NVIDIA_VISIBLE_DEVICES=all"), "gpu jit-cdi all"},
		{"auto", env("NVIDIA_VISIBLE_DEVICES=all").nvidiaHook(), "gpu jit-cdi all"}, // the runtime takes the hook out
		{"auto", env("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0"), "gpu cdi 0"},
		{"auto", env("NVIDIA_VISIBLE_DEVICES=nvidia.com/gpu=0,1"), "gpu jit-cdi 0 1"},
		{"auto", env("NVIDIA_VISIBLE_DEVICES=all").with(func(c *Container) { c.Annotations = cdi }), "gpu cdi 1"},
		{"jit-cdi", env("NVIDIA_VISIBLE_DEVICES=all").with(func(c *Container) { c.Annotations = cdi }), "gpu jit-cdi all"},
		{"legacy", env("NVIDIA_VISIBLE_DEVICES=0"), "gpu legacy 0"},
		{"csv", env("NVIDIA_VISIBLE_DEVICES=all"), "gpu csv all"},
		{"cdi", env("NVIDIA_VISIBLE_DEVICES=0"), "gpu cdi 0"},
		{"cdi", env("NVIDIA_VISIBLE_DEVICES=management.nvidia.com/gpu=all"), "gpu unjudged cdi management.nvidia.com/gpu=all"},
		{"auto", env("NVIDIA_VISIBLE_DEVICES=void"), "no"},
		{"auto", env(), "no"},
		{"auto", env("CUDA_VERSION=8.0"), "gpu jit-cdi all"},
		{"auto", env("NVIDIA_VISIBLE_DEVICES=void").cdiHook().devices(char("/dev/nvidia0", 195, 0)), "gpu cdi minor:0"}, // docker --gpus, CDI
	} {
		t.Run(fmt.Sprint(tt.mode, tt.c.Env, tt.c.Annotations), func(t *testing.T) {
			h := Host{AboveNVIDIARuntime: true, Toolkit: func() (Toolkit, error) {
				toolkit := DefaultToolkit()
				toolkit.Mode = tt.mode
				return toolkit, nil
			}}
			if got := summary(FindGPUs(&tt.c, h)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// The driver root of the toolkit's configuration is the launch's wherever the toolkit brings the libraries in.
func TestFindGPUsDriverRoot(t *testing.T) {
	for _, tt := range []struct{ mode, root, want string }{
		{"legacy", "", "/"},
		{"legacy", "/run/nvidia/driver/", "/run/nvidia/driver"},
		{"auto", "/run/nvidia/driver", "/run/nvidia/driver"},
		{"cdi", "/run/nvidia/driver", ""},
	} {
		c := env("NVIDIA_VISIBLE_DEVICES=all")
		r := FindGPUs(&c, Host{AboveNVIDIARuntime: true, Toolkit: func() (Toolkit, error) {
			toolkit := DefaultToolkit()
			toolkit.Mode, toolkit.CLIRoot, toolkit.DisableRequire = tt.mode, tt.root, true
			return toolkit, nil
		}})
		if r.DriverRoot != tt.want || !r.DisableRequire {
			t.Errorf("%s, %s: %+v", tt.mode, tt.root, r)
		}
	}
}

// The two files of the host are read only where the configuration alone does not tell.
func TestFindGPUsAsksTheHostSparingly(t *testing.T) {
	for _, tt := range []struct {
		about           string
		c               Container
		majors, toolkit int
		want            string
	}{
		{"nothing of NVIDIA's", env("NVIDIA_VISIBLE_DEVICES=all").devices(char("/dev/fuse", 10, 229), char("/dev/dri/card0", 226, 0)), 0, 0, "no"},
		{"paths that tell", Container{}.devices(char("/dev/nvidia-uvm", 511, 0)), 0, 0, "gpu devices"},
		{"one of a dynamic major", Container{}.devices(char("/dev/a", 511, 0), char("/dev/b", 240, 7)), 1, 0, "gpu devices cap:7"},
		{"another's dynamic major", Container{}.devices(char("/dev/rtc0", 250, 0)), 1, 0, "no"},
		{"privileged", Container{}.privileged(), 0, 0, "no unjudged"},
		{"NVIDIA's hook", env("NVIDIA_VISIBLE_DEVICES=0").nvidiaHook(), 0, 1, "gpu legacy 0 hook"},
		{"CDI", Container{}.cdiHook(), 0, 0, "gpu cdi"},
	} {
		t.Run(tt.about, func(t *testing.T) {
			majors, toolkit := 0, 0
			r := FindGPUs(&tt.c, Host{
				Majors: func() (map[string]int, error) {
					majors++
					return map[string]int{"nvidia-uvm": 511, "nvidia-caps": 240, "rtc": 250}, nil
				},
				Toolkit: func() (Toolkit, error) { toolkit++; return DefaultToolkit(), nil },
			})
			if got := summary(r); got != tt.want || majors != tt.majors || toolkit != tt.toolkit {
				t.Errorf("%s, majors %d, toolkit %d: want %s, %d, %d", got, majors, toolkit, tt.want, tt.majors, tt.toolkit)
			}
		})
	}
}

func TestFindGPUsUnreadableHost(t *testing.T) {
	broken := errors.New("broken")
	h := Host{
		Majors:  func() (map[string]int, error) { return nil, broken },
		Toolkit: func() (Toolkit, error) { return Toolkit{}, broken },
	}
	c := env("NVIDIA_VISIBLE_DEVICES=all").nvidiaHook()
	if r := FindGPUs(&c, h); summary(r) != "gpu legacy all hook" || !strings.Contains(strings.Join(r.Reasons, ";"), "broken") {
		t.Errorf("%+v", r)
	}
	c = Container{}.devices(char("/dev/a", 511, 0))
	if r := FindGPUs(&c, h); r.GPU {
		t.Errorf("a device of unknown major counts: %+v", r)
	}
}

func TestObserver(t *testing.T) {
	program := func(args ...string) Container {
		return env("NVIDIA_DRIVER_CAPABILITIES=compute,utility").with(func(c *Container) { c.Args = args })
	}
	for _, tt := range []struct {
		c    Container
		want bool
	}{
		{env(), false},
		{env("NVIDIA_DRIVER_CAPABILITIES=utility"), true},
		{env("NVIDIA_DRIVER_CAPABILITIES= utility ,"), true},
		{env("NVIDIA_DRIVER_CAPABILITIES=utility,compute"), false},
		{env("NVIDIA_DRIVER_CAPABILITIES=utility", "NVIDIA_DRIVER_CAPABILITIES=all"), false},
		{env("NVIDIA_MIG_MONITOR_DEVICES=all"), true},
		{env("NVIDIA_MIG_CONFIG_DEVICES=all"), true},
		{env("NVIDIA_MIG_CONFIG_DEVICES="), false},
		{env("DRA_ADMIN_ACCESS=true"), true},
		{env("DRA_ADMIN_ACCESS=false"), false},
		{env("CUDA_VISIBLE_DEVICES="), true},
		{env("CUDA_VISIBLE_DEVICES=-1"), true},
		{env("CUDA_VISIBLE_DEVICES=-1,0"), true}, // what stands behind an invalid index does not count
		{env("CUDA_VISIBLE_DEVICES=0,-1"), false},
		{env("CUDA_VISIBLE_DEVICES=0"), false},
		{env("CUDA_VISIBLE_DEVICES=", "CUDA_VISIBLE_DEVICES=0"), false},
		{Container{}.devices(char("/dev/nvidia-caps/nvidia-cap1", 239, 1)), true},
		{env("NVIDIA_VISIBLE_DEVICES=all").privileged().cdiHook(), false}, // has every node, MIG's own among them
		{program("/usr/bin/nvidia-smi", "-L"), true},
		{program("dcgm-exporter"), true},
		{program("python3", "nvidia-smi"), false},
		// Entrypoints that run what follows them: those of nvidia/cuda and NGC images, docker run --init, tini.
		{program("/opt/nvidia/nvidia_entrypoint.sh", "nvidia-smi"), true},
		{program("/opt/nvidia/nvidia_entrypoint.sh", "python3", "nvidia-smi"), false},
		{program("/sbin/docker-init", "--", "/opt/nvidia/nvidia_entrypoint.sh", "nvidia-smi", "-L"), true},
		{program("/usr/bin/tini", "-g", "--", "dcgm-exporter"), true},
		{program("/sbin/docker-init", "--"), false},
		{program("/usr/local/dcgm/dcgm-exporter-entrypoint.sh", "-f", "/etc/dcgm-exporter/default-counters.csv"), true},
		{program("/bin/sh", "-c", "nvidia-smi && python3 train.py"), false},
		{program(), false},
	} {
		c := tt.c.devices(char("/dev/nvidia0", 195, 0))
		if r := FindGPUs(&c, Host{}); (r.Observer != "") != tt.want || !r.GPU {
			t.Errorf("%q %q: %+v", c.Env, c.Args, r)
		}
	}
}
