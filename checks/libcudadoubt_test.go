package checks

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/oci"
)

func binds(source, destination string) change {
	return func(f *Facts) {
		f.Launch.Container.Mounts = append(f.Launch.Container.Mounts, specs.Mount{Source: source, Destination: destination})
	}
}

func TestLibcudaDoubt(t *testing.T) {
	const firmware = "/lib/firmware/nvidia/570.86.15/gsp_ga10x.bin"
	testCheck(t, libcudaInjected, []row{
		{"no libcuda by CDI", mounts(""), "warn", "no libcuda|cdi generate|35"},
		{"also where nobody looked for the sources", and(mounts(""), noSources), "warn", "no libcuda"},
		{"a folder of the driver, as GKE mounts it", and(mounts(""), binds("/home/kubernetes/bin/nvidia", "/usr/local/nvidia")), "pass", ""},
		{"a library of another name", and(mounts(""), binds("/usr/lib/wsl/lib/libcuda.so.1.1", "/usr/lib/wsl/lib/libcuda.so.1.1")), "pass", ""},
		{"the driver's programs are no folder", and(mounts(""), binds("/usr/bin/nvidia-smi", "/usr/bin/nvidia-smi"), binds(firmware, firmware)), "warn", ""},
		{"another version by hand", mounts("/opt/driver/libcuda.so.535.54.03"), "warn", "570.86.15|/opt/driver/libcuda.so.535.54.03|803"},
		{"the same version by hand", mounts("/opt/driver/libcuda.so.570.86.15"), "pass", ""},
		{"by hand, module not known", and(mounts("/opt/driver/libcuda.so.535.54.03"), func(f *Facts) { f.Host.Driver.Version = missing[string]() }), "pass", ""},
		{"platform not known", and(mounts(""), func(f *Facts) { f.Host.Platform.DXG = missing[bool]() }), "pass", ""},
		{"device nodes alone: the image may bring its own", and(mounts(""), func(f *Facts) { f.Launch.GPUs.Route = oci.RouteDevices }), "pass", ""},
		{"NVIDIA's hook", and(mounts(""), legacyHook), "pass", ""},
		{"no node given", and(mounts(""), func(f *Facts) { f.Launch.Container.Devices = nil }), "pass", ""},
		{"no container", and(mounts(""), func(f *Facts) { f.Launch.Container = nil }), "pass", ""},
		{"no CUDA asked for", and(mounts(""), capabilities("graphics")), "pass", ""},
		{"WSL", wsl, "pass", ""},
	})
}
