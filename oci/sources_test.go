package oci

import (
	"fmt"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestDriverSources: only what the runtime must find on the host, and what belongs to NVIDIA's driver.
func TestDriverSources(t *testing.T) {
	const libcuda = "/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.14"
	bind := []string{"ro", "nosuid", "nodev", "bind"}
	for _, row := range []struct {
		about string
		mount specs.Mount
		want  string
	}{
		{"a library of a CDI specification", specs.Mount{Source: libcuda, Options: bind}, libcuda},
		{"by its type", specs.Mount{Source: libcuda, Type: "bind"}, libcuda},
		{"by rbind", specs.Mount{Source: libcuda, Options: []string{"rbind", "rprivate"}}, libcuda},
		{"not clean", specs.Mount{Source: "/usr/lib//x86_64-linux-gnu/./libcuda.so.550.54.14", Type: "bind"}, libcuda},
		{"another library", specs.Mount{Source: "/lib64/libnvidia-ml.so.550.54.14", Type: "bind"}, "/lib64/libnvidia-ml.so.550.54.14"},
		{"a node (rootless)", specs.Mount{Source: "/dev/nvidia-uvm", Type: "bind"}, "/dev/nvidia-uvm"},
		{"WSL", specs.Mount{Source: "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_1/libcuda.so.1.1", Type: "bind"}, "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_1/libcuda.so.1.1"},
		{"the compatibility library of an image", specs.Mount{Source: "/opt/compat/libcuda.so.575.51", Type: "bind"}, ""},
		{"a socket, which comes with its daemon", specs.Mount{Source: "/run/nvidia-persistenced/socket", Options: bind}, ""},
		{"a user's file", specs.Mount{Source: "/home/me/model.so.1", Type: "bind"}, ""},
		{"a user's folder", specs.Mount{Source: "/data/nvidia", Type: "bind"}, ""},
		{"relative to the bundle", specs.Mount{Source: "libcuda.so.550.54.14", Type: "bind"}, ""},
		{"no bind mount", specs.Mount{Source: "/dev/nvidia0", Type: "tmpfs"}, ""},
		{"the link itself", specs.Mount{Source: libcuda, Type: "bind", Options: []string{"src-nofollow"}}, ""},
		{"a copy of the link", specs.Mount{Source: libcuda, Type: "bind", Options: []string{"copy-symlink"}}, ""},
	} {
		want := []string{row.want}
		if row.want == "" {
			want = nil
		}
		if got := (&Container{Mounts: []specs.Mount{row.mount, row.mount}}).DriverSources(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", row.about, got, want)
		}
	}
	var many Container
	for i := range 10000 {
		many.Mounts = append(many.Mounts, specs.Mount{Source: fmt.Sprintf("/dev/nvidia%d", i), Type: "bind"})
	}
	if got := many.DriverSources(); len(got) != maxSources {
		t.Errorf("%d sources", len(got))
	}
	if got := (&Container{Devices: []specs.LinuxDevice{{Path: "/dev/nvidia0", Type: "c", Major: 195}}}).DriverSources(); got != nil {
		t.Errorf("a node that is made by its numbers: %q", got)
	}
}
