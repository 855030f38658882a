package checks

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/oci"
)

// libcudaDoubt warns of a launch that gets no libcuda with its GPUs, or one that somebody mounts by hand. A CDI
// specification that was generated where libcuda was missing gives the nodes and not the library; a library from no
// driver root does not follow the driver's updates. A mount from a driver root is driver-library-version's.
// torch then says "Found no NVIDIA driver on your system".
func (f Facts) libcudaDoubt() (Result, bool) {
	mount, container := f.Launch.GPUs.Libcuda, f.Launch.Container
	switch {
	case f.foreign() != "" || container == nil || !f.wantsCompute() || mount != "" && f.knownRoot(mount):
		return Result{}, false
	case mount != "":
		return f.byHand(mount)
	case f.Launch.GPUs.NVIDIAHook || f.Launch.GPUs.Route != oci.RouteCDI || f.mountsDriver():
		return Result{}, false // the libraries come another way
	case !slices.ContainsFunc(container.Devices, func(d specs.LinuxDevice) bool { return isGPUNode(path.Base(d.Path)) }):
		return Result{}, false
	case !f.linux():
		return Result{}, false
	}
	return warn("the GPUs are given by CDI, but no libcuda with them").
		because(`CUDA finds no driver library: error 35, "CUDA driver version is insufficient for CUDA runtime version"`, 35).
		fix("install the driver's libcuda on the host (Ubuntu: libnvidia-compute), then generate the CDI specification again (nvidia-ctk cdi generate)").
		from("mounts"), true
}

// byHand compares a libcuda from no driver root with the loaded module.
func (f Facts) byHand(mount string) (Result, bool) {
	module := f.Host.Driver.Version
	library, ok := libraryVersion(mount)
	if _, err := cuda.ParseDriver(module.Value); err != nil || !ok || !module.Known() || library == module.Value {
		return Result{}, false
	}
	return warn("the loaded kernel module is %s, but %s is mounted, which is from no driver root", module.Value, mount).
		because(`a program that loads it would fail with error 803, "system has unsupported display driver / cuda driver combination"`, 803).
		fix("give the GPU by its CDI name (nvidia.com/gpu=all) in place of mounting libraries by hand").
		from("mounts", module.Source), true
}

// mountsDriver tells whether libcuda may come by another name, or in a folder: GKE and others mount the driver's.
func (f Facts) mountsDriver() bool {
	return slices.ContainsFunc(f.Launch.Container.Mounts, func(m specs.Mount) bool {
		folders := []string{"nvidia", "lib", "lib64", "current"}
		return strings.HasPrefix(path.Base(m.Destination), "libcuda.so") ||
			slices.Contains(folders, path.Base(m.Source)) || slices.Contains(folders, path.Base(m.Destination))
	})
}
