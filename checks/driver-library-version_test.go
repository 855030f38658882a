package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func mounts(libcuda string) change { return func(f *Facts) { f.Launch.GPUs.Libcuda = libcuda } }

func driverRoot(root string) change { return func(f *Facts) { f.Launch.GPUs.DriverRoot = root } }

// libraries are libcuda files of the host: root and version in turn.
func libraries(pairs ...string) change {
	return func(f *Facts) {
		var list []host.Library
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, host.Library{Name: "libcuda", Root: pairs[i], Version: pairs[i+1], Path: pairs[i] + "/libcuda.so." + pairs[i+1]})
		}
		f.Host.Libraries = known(list)
	}
}

// upgraded is a host whose libraries were upgraded under the loaded module 570.86.15.
var upgraded = and(initCode(host.NVMLLibRMMismatch), mounts(""), libraries("/", "570.133.07"), func(f *Facts) {
	f.Host.NVML.Library = known("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.570.133.07")
})

// stayedBehind is a module built by DKMS whose package has the version that is loaded.
func stayedBehind(f *Facts) {
	f.Host.Installed.Module = known(host.ModuleFile{Path: "/lib/modules/6.8.0-52-generic/updates/dkms/nvidia.ko", Origin: host.OriginDKMS})
	f.Host.Installed.Package = known(host.Package{Name: "nvidia-dkms-570", Version: "570.86.15-0ubuntu1", State: "ii"})
}

func TestDriverLibraryVersion(t *testing.T) {
	const mount = "/usr/lib/x86_64-linux-gnu/libcuda.so."
	testCheck(t, driverLibraryVersion, []row{
		// The libcuda that this launch mounts decides.
		{"healthy", nil, "pass", "570.86.15"},
		{"a stale specification", mounts(mount + "570.133.07"), "fail", "570.133.07|570.86.15|803|nvidia-ctk cdi generate"},
		{"it matches, left-over libraries do not", and(libraries("/", "525.85.12"), initCode(host.NVMLLibRMMismatch)), "pass", ""},
		{"a file of the user's own says nothing", mounts("/home/me/libcuda.so.470.57.02"), "pass", "libcuda of the module's version"},
		{"a compatibility library is none of the driver's", mounts("/usr/local/cuda/compat/libcuda.so.580.65.06"), "pass", ""},
		{"a name without a driver version", mounts(mount + "1"), "pass", ""},
		{"WSL's and Tegra's libcuda.so.1.1", mounts(mount + "1.1"), "pass", ""},
		{"an L4T release in the module's file", func(f *Facts) { f.Host.Driver.Version = known("35.3.1") }, "warn", "35.3.1|570.86.15"},
		{"module unread", func(f *Facts) { f.Host.Driver.Version = missing[string]() }, "unknown", "time-out"},
		// NVML's own answer.
		{"NVML's mismatch", upgraded, "fail", "570.86.15|570.133.07|803|reboot"},
		{"NVML's mismatch, and DKMS's package stayed behind", and(upgraded, stayedBehind), "fail", "bring nvidia-dkms-570, which still has 570.86.15, to the libraries' version"},
		{"a stale specification beside libraries that fit", and(mounts(mount+"570.133.07"), stayedBehind), "fail", "reboot this host|nvidia-ctk cdi generate"},
		{"NVML's mismatch, module unread", and(upgraded, func(f *Facts) { f.Host.Driver.Version = missing[string]() }), "fail", "570.133.07"},
		{"NVML's mismatch, module unread, and a libcuda is mounted", and(upgraded, mounts(mount+"570.133.07"), func(f *Facts) { f.Host.Driver.Version = missing[string]() }), "unknown", "time-out"},
		{"NVML's mismatch, module unread, and another root may match", and(upgraded, libraries("/", "570.133.07", "/run/nvidia/driver", "570.86.15"), func(f *Facts) { f.Host.Driver.Version = missing[string]() }), "unknown", "time-out"},
		{"NVML's mismatch, libraries unread: another root may match", and(upgraded, func(f *Facts) { f.Host.Libraries = missing[[]host.Library]() }), "unknown", "time-out"},
		{"NVML's mismatch in the root that the launch uses, libraries unread", and(upgraded, driverRoot("/"), func(f *Facts) { f.Host.Libraries = missing[[]host.Library]() }), "fail", ""},
		{"NVML's mismatch, platform unread", and(upgraded, func(f *Facts) { f.Host.Platform.DXG = missing[bool]() }), "unknown", "570.86.15|not known"},
		{"the launch uses the driver root that NVML was asked in", and(upgraded, driverRoot("/")), "fail", ""},
		{"the launch uses another driver root", and(upgraded, driverRoot("/run/nvidia/driver")), "warn", "/run/nvidia/driver"},
		{"another root has the module's version, and no mount tells which is used", and(upgraded, libraries("/", "570.133.07", "/run/nvidia/driver", "570.86.15")), "warn", "/run/nvidia/driver"},
		{"old files in the same root change nothing", and(upgraded, libraries("/", "570.86.15", "/", "570.133.07")), "fail", ""},
		{"the version of NVML's library is not in its name", and(upgraded, func(f *Facts) { f.Host.NVML.Library = known("/usr/lib/libnvidia-ml.so.1") }), "fail", "570.133.07"},
		{"NVML's mismatch, and every file has the module's version", and(upgraded, libraries("/", "570.86.15"), func(f *Facts) {
			f.Host.NVML.Library = known("/usr/lib/libnvidia-ml.so.570.86.15")
		}), "fail", "but its libraries are of another version"},
		{"an observer", and(upgraded, observer), "warn", ""},
		// Files alone.
		{"no NVML, a file of that version", and(mounts(""), noNVML), "pass", ""},
		{"no NVML, several versions, one fits", and(mounts(""), noNVML, libraries("/", "470.57.02", "/", "570.86.15")), "pass", ""},
		{"no NVML, files of another version only warn", and(mounts(""), noNVML, libraries("/", "570.133.07")), "warn", "570.133.07|570.86.15"},
		{"no NVML, no library found", and(mounts(""), noNVML, libraries()), "unknown", ""},
		{"no NVML, libraries unread", and(mounts(""), noNVML, func(f *Facts) { f.Host.Libraries = missing[[]host.Library]() }), "unknown", "time-out"},
		{"libraries unread, NVML answers", and(mounts(""), func(f *Facts) { f.Host.Libraries = missing[[]host.Library]() }), "pass", ""},
		{"a host that mounts a folder: NVML decides", and(mounts(""), libraries()), "pass", "NVML accepts"},
		{"not loaded", and(noModule, mounts("")), "unknown", ""},
		// Other platforms.
		{"WSL", and(upgraded, wsl), "skip", ""},
		{"Tegra", and(upgraded, tegra), "skip", ""},
		{"no /proc/driver", and(upgraded, noProcDriver), "skip", ""},
	})
}
