package checks

import (
	"path"
	"strings"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/fact"
)

// bootGrace is how long after boot the driver, its nodes and Fabric Manager may still be coming up, in seconds.
const bootGrace = 600

// foreign names the platforms on which the Linux driver's own files do not exist by design: WSL2 has only
// /dev/dxg, Tegra its own driver, and a host without /proc/driver (gVisor, some nested hosts) shows nothing.
func (f Facts) foreign() string {
	p := f.Host.Platform
	switch {
	case f.Launch.GPUs.DXG || p.DXG.Known() && p.DXG.Value:
		return "WSL2 keeps the driver on the Windows side"
	case p.Tegra.Known() && p.Tegra.Value:
		return "Tegra has a driver of its own"
	case p.ProcDriver.Known() && !p.ProcDriver.Value:
		return "this host has no /proc/driver"
	}
	return ""
}

// linux tells whether the host is known to be none of them.
func (f Facts) linux() bool {
	p := f.Host.Platform
	return f.foreign() == "" && p.DXG.Known() && p.Tegra.Known() && p.ProcDriver.Known()
}

// justBooted tells whether the host may still be coming up. An unknown uptime counts as just booted: it must
// not make a failure final.
func (f Facts) justBooted() bool {
	return !f.Host.Uptime.Known() || f.Host.Uptime.Value < bootGrace
}

// seesProcesses tells whether the absence of a process is a fact here; from inside a container it is not.
func (f Facts) seesProcesses() bool {
	ns := f.Host.Platform.InitialPIDNamespace
	return ns.Known() && ns.Value
}

// wantsCompute tells whether CUDA will be used. NVIDIA_DRIVER_CAPABILITIES without compute says that it will not.
func (f Facts) wantsCompute() bool {
	for _, c := range f.Launch.GPUs.Capabilities {
		if c == "compute" || c == "all" {
			return true
		}
	}
	return len(f.Launch.GPUs.Capabilities) == 0
}

// driverName is the driver's version for a message.
func (f Facts) driverName() string {
	for _, v := range []fact.Fact[string]{f.Host.Driver.Version, f.Host.NVML.Driver} {
		if v.Known() && v.Value != "" {
			return v.Value
		}
	}
	return "of unknown version"
}

// libraryVersion cuts the driver version out of a library's file name: libcuda.so.535.183.06. WSL's and Tegra's
// libcuda.so.1.1 tells none.
func libraryVersion(file string) (string, bool) {
	_, version, _ := strings.Cut(path.Base(file), ".so.")
	_, err := cuda.ParseDriver(version)
	return version, err == nil
}
