package checks

import (
	"slices"
	"testing"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// source is a file that the launch mounts, and whether it is there.
func source(path string, there fact.Fact[bool]) change {
	return func(f *Facts) {
		f.Host.Sources = append(slices.Clip(f.Host.Sources), host.Source{Path: path, There: there})
	}
}

func noSources(f *Facts) { f.Host.Sources = nil }

func TestLibcudaInjected(t *testing.T) {
	const dir = "/usr/lib/x86_64-linux-gnu/"
	stale := source(dir+"libcuda.so.570.133.07", known(false))
	testCheck(t, libcudaInjected, []row{
		{"healthy", nil, "pass", "1 file of the driver to mount, and nothing is missing"},
		{"nobody looked: a hook, a facts file", noSources, "skip", "not asked"},
		{"a stale specification", stale, "fail", dir + "libcuda.so.570.133.07|570.86.15|stale|the runtime cannot make that mount|nvidia-ctk cdi generate --output=|nvidia-cdi-refresh"},
		{"libcuda is named before the others", and(source(dir+"libnvidia-ml.so.570.133.07", known(false)), stale), "fail", "mounts " + dir + "libcuda.so.570.133.07 (and 1 more)"},
		{"another library", source(dir+"libnvidia-ml.so.570.133.07", known(false)), "fail", "libnvidia-ml.so.570.133.07"},
		{"a node that a rootless engine mounts", source("/dev/nvidia-modeset", known(false)), "fail", "/dev/nvidia-modeset|nvidia-modprobe"},
		{"one that cannot be looked at", source(dir+"libcuda.so.570.133.07", missing[bool]()), "unknown", "time-out"},
		{"one is gone, of another nobody knows", and(source(dir+"libnvidia-ml.so.570.133.07", missing[bool]()), stale), "fail", "libcuda"},
		{"the driver's version is not known", and(stale, func(f *Facts) { f.Host.Driver.Version = missing[string]() }), "fail", "stale"},
		{"a minute after boot it may still come", and(stale, booted(60)), "fail again", ""},
		{"a driver container may take any time", source("/run/nvidia/driver/usr/lib64/libcuda.so.570.86.15", known(false)), "fail again", "/run/nvidia/driver"},
		{"an observer", and(stale, observer), "warn", ""},
		{"WSL: the driver's folder is new after each update", and(wsl, noSources, source("/usr/lib/wsl/drivers/nv_dispi.inf_amd64_1/libcuda.so.1.1", known(false))), "fail", "nv_dispi"},
	})
}

// TestStaleSpecificationIsOneFinding: where the mounted libcuda is gone, its version is not judged as well.
func TestStaleSpecificationIsOneFinding(t *testing.T) {
	f := healthy()
	mounts("/usr/lib/x86_64-linux-gnu/libcuda.so.570.133.07")(&f)
	source("/usr/lib/x86_64-linux-gnu/libcuda.so.570.133.07", known(false))(&f)
	for _, r := range Run(f, All()) {
		if (r.Status == StatusFail) != (r.ID == "libcuda-injected") {
			t.Errorf("%s: %s (%s)", r.ID, r.Status, r.What)
		}
	}
}
