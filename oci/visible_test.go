package oci

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestVisibleDevices follows internal/config/image/cuda_image_test.go of the toolkit (v1.20) in what it covers.
func TestVisibleDevices(t *testing.T) {
	devNull := func(names ...string) []specs.Mount {
		var mounts []specs.Mount
		for _, name := range names {
			mounts = append(mounts, specs.Mount{Source: "/dev/null", Destination: mountRoot + "/" + name})
		}
		return mounts
	}
	swarm := Toolkit{AcceptEnvvarUnprivileged: true, SwarmResources: []string{"GPU_A", "GPU_B"}}
	strict := Toolkit{AcceptEnvvarUnprivileged: false}
	mounts := Toolkit{AcceptEnvvarUnprivileged: true, AcceptVolumeMounts: true}
	for _, tt := range []struct {
		about       string
		toolkit     Toolkit
		c           Container
		annotations bool
		want        string
	}{
		{"env", DefaultToolkit(), Container{Env: []string{"NVIDIA_VISIBLE_DEVICES= 0 , 1,"}}, false, "0,1"},
		{"unprivileged, not accepted", strict, Container{Env: []string{"NVIDIA_VISIBLE_DEVICES=0"}}, false, ""},
		{
			"privileged is CAP_SYS_ADMIN in the bounding set", strict,
			Container{Env: []string{"NVIDIA_VISIBLE_DEVICES=0"}, Bounding: []string{"CAP_KILL", "CAP_SYS_ADMIN"}},
			false, "0",
		},
		{"legacy image, unprivileged, not accepted", strict, Container{Env: []string{"CUDA_VERSION=8.0"}}, false, ""},
		{
			"swarm resources stand before, and are joined", swarm,
			Container{Env: []string{"NVIDIA_VISIBLE_DEVICES=all", "GPU_B=GPU-2", "GPU_A=GPU-1"}},
			false, "GPU-1,GPU-2",
		},
		{"an empty swarm resource is set", swarm, Container{Env: []string{"NVIDIA_VISIBLE_DEVICES=all", "GPU_A="}}, false, ""},
		{"no swarm resource set", swarm, Container{Env: []string{"NVIDIA_VISIBLE_DEVICES=3"}}, false, "3"},
		{
			"mounts before env", mounts,
			Container{Env: []string{"NVIDIA_VISIBLE_DEVICES=all"}, Mounts: devNull("GPU-1", "GPU-1", "GPU-2")},
			false, "GPU-1,GPU-2",
		},
		{"mounts not accepted", DefaultToolkit(), Container{Mounts: devNull("GPU-1")}, false, ""},
		{
			"mounts as CDI names", mounts,
			Container{Mounts: devNull("cdi/nvidia.com/gpu/0", "cdi/nvidia.com/gpu=1", "cdi/odd", "imex/0")},
			false,
			"nvidia.com/gpu=0,nvidia.com/gpu=1",
		},
		{
			"only /dev/null below that folder", mounts,
			Container{Mounts: []specs.Mount{
				{Source: "/dev/zero", Destination: mountRoot + "/GPU-1"},
				{Source: "/dev/null", Destination: "/elsewhere/GPU-2"},
				{Source: "/dev/null", Destination: mountRoot},
			}},
			false, "",
		},
		{
			"no prefix in force", mounts,
			Container{
				Annotations: map[string]string{"cdi.k8s.io/b": "nvidia.com/gpu=1", "cdi.k8s.io/a": "nvidia.com/gpu=0", "x": "y"},
				Env:         []string{"NVIDIA_VISIBLE_DEVICES=all"},
			},
			true, "all",
		},
		{
			"annotations by the prefixes in force", DefaultToolkit(),
			Container{
				Annotations: map[string]string{"cdi.k8s.io/b": "nvidia.com/gpu=1", "cdi.k8s.io/a": "nvidia.com/gpu=0", operatorPrefix + "c": "n"},
				Env:         []string{"NVIDIA_VISIBLE_DEVICES=all"},
			},
			true, "nvidia.com/gpu=0,nvidia.com/gpu=1",
		},
		{
			"annotations do not count for the hook", DefaultToolkit(),
			Container{Annotations: map[string]string{"cdi.k8s.io/b": "nvidia.com/gpu=1"}, Env: []string{"NVIDIA_VISIBLE_DEVICES=2"}},
			false, "2",
		},
	} {
		t.Run(tt.about, func(t *testing.T) {
			if got := strings.Join(tt.toolkit.VisibleDevices(&tt.c, tt.annotations), ","); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestParseCDIName(t *testing.T) {
	for name, want := range map[string]bool{
		"nvidia.com/gpu=0": true, "nvidia.com/gpu=GPU-1:2": true, "k8s.gpu.nvidia.com/claim=a-gpu-0": true,
		"nvidia.com/gpu": false, "gpu=0": false, "nvidia.com/=0": false, "1a/gpu=0": false, "a/b=": false,
		"a/b=-0": false, "a./b=0": false, "a/b/c=0": false, "all": false, "": false, "/=": false, "é/b=0": false,
	} {
		if got := isCDIName(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

func FuzzVisibleDevices(f *testing.F) {
	f.Add("0,GPU-1,void", "nvidia.com/gpu=0", "cdi/nvidia.com/gpu/0", true)
	f.Add("all,none", "", "/../x", false)
	f.Fuzz(func(t *testing.T, env, annotation, mount string, strict bool) {
		c := &Container{
			Env:         []string{"NVIDIA_VISIBLE_DEVICES=" + env},
			Annotations: map[string]string{"cdi.k8s.io/x": annotation},
			Mounts:      []specs.Mount{{Source: "/dev/null", Destination: mountRoot + "/" + mount}},
		}
		toolkit := DefaultToolkit()
		toolkit.AcceptEnvvarUnprivileged = !strict
		names := toolkit.VisibleDevices(c, false)
		if strict && names != nil {
			t.Errorf("%q without privilege", names)
		}
		if slices.Contains(names, "void") || slices.Contains(names, "") || slices.Contains(names, "none") {
			t.Errorf("%q asks for nothing", names)
		}
		toolkit.AcceptVolumeMounts = true
		toolkit.route(c)
		devices, all := gpuNames(toolkit.VisibleDevices(c, true))
		if all && devices != nil {
			t.Errorf("all and %q", devices)
		}
	})
}
