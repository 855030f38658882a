package checks

import (
	"slices"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/host"
)

// The user-space libraries must be of the very version of the loaded module; after an unattended upgrade they
// are not until the next reboot: NVML code 18, CUDA 803. What decides is the libcuda that this launch mounts,
// else NVML's own answer from the driver root that this launch uses. Files alone prove nothing (several
// versions lie side by side on healthy hosts), so they warn.
// https://docs.nvidia.com/deploy/cuda-compatibility/ and NVIDIA/nvidia-container-toolkit#394
var driverLibraryVersion = Check{
	ID:    "driver-library-version",
	Title: "the driver's libraries and its loaded kernel module have one version",
	Layer: Libraries,
	Why:   `CUDA would fail with error 803, "system has unsupported display driver / cuda driver combination" (NVML: Driver/library version mismatch)`,
	CUDA:  []int{803},
	Links: []string{"https://github.com/NVIDIA/nvidia-container-toolkit/issues/394"},
	After: []string{"driver-loaded", "libcuda-injected"},
	Linux: true,
	Run: func(f Facts) Result {
		if mount := f.Launch.GPUs.Libcuda; mount != "" && f.knownRoot(mount) {
			if r, decided := judgeMount(f, mount); decided {
				return r
			}
		}
		return judgeNVML(f)
	},
}

// judgeMount compares the libcuda that is mounted into the container with the loaded module.
func judgeMount(f Facts, mount string) (Result, bool) {
	module := f.Host.Driver.Version
	library, ok := libraryVersion(mount)
	if _, err := cuda.ParseDriver(module.Value); err != nil || !ok || !module.Known() {
		return Result{}, false
	}
	if library == module.Value {
		return pass("libcuda and the kernel module are %s", module.Value).from(mount, module.Source), true
	}
	return f.mismatch(module.Value, "this launch mounts libcuda "+library).
		fix("generate the CDI specification again if it is older than the driver (nvidia-ctk cdi generate)").
		from(mount, module.Source), true
}

func judgeNVML(f Facts) Result {
	module, init := f.Host.Driver.Version, f.Host.NVML.Init
	files := f.libcudas()
	switch {
	case init.Known() && init.Value == host.NVMLLibRMMismatch:
		return nvmlMismatch(f)
	case !module.Known():
		return unknown("%s", module.Why())
	case module.Value == "":
		return unknown("no module is loaded to compare with")
	case len(files) == 0 && init.Known() && init.Value == host.NVMLSuccess:
		return pass("NVML accepts the kernel module %s", module.Value).from(init.Source)
	case !f.Host.Libraries.Known():
		return unknown("%s", f.Host.Libraries.Why())
	case len(files) == 0:
		return unknown("no libcuda was found in a known driver root")
	case !slices.Contains(files, module.Value):
		return warn("the loaded kernel module is %s, but the libcuda files found are %s", module.Value, list(files)).
			fix("reboot this host, or reload the nvidia modules").from(f.Host.Libraries.Source, module.Source)
	}
	return pass("a libcuda of the module's version %s is there", module.Value).from(f.Host.Libraries.Source, module.Source)
}

// nvmlMismatch judges NVML's code 18. It counts only from the driver root that the launch uses: left-over
// libraries of another root say nothing about it.
func nvmlMismatch(f Facts) Result {
	nvml := f.Host.NVML
	if f.mayUseOthers() {
		return unknown("the libraries below %s do not match the loaded module; whether this launch uses them is not known: %s",
			nvml.Root, firstUnknown(f.Host.Libraries, f.Host.Driver.Version))
	}
	if root := f.driverRoot(); root != "" && nvml.Root != "" && root != nvml.Root {
		return warn("the libraries below %s do not match the loaded module %s; this launch uses those below %s",
			nvml.Root, f.driverName(), root).
			fix(f.reload()).from(nvml.Init.Source)
	} else if other := f.matchingRoot(); root == "" && other != "" {
		return warn("the libraries below %s do not match the loaded module %s, those below %s do; which this launch uses is not known",
			nvml.Root, f.driverName(), other).
			fix(f.reload()).from(nvml.Init.Source, f.Host.Libraries.Source)
	}
	library := "of another version"
	others := slices.DeleteFunc(f.libcudas(), func(v string) bool { return v == f.driverName() })
	if v, ok := libraryVersion(nvml.Library.Value); ok && v != f.driverName() {
		library = v
	} else if len(others) > 0 {
		library = list(others)
	}
	return f.mismatch(f.driverName(), "its libraries are "+library).from(nvml.Init.Source, f.Host.Driver.Version.Source)
}

// mayUseOthers tells whether this launch may use other libraries than those that NVML found wanting, where an unread
// fact does not let that be told: a libcuda that it mounts, or one of another driver root.
func (f Facts) mayUseOthers() bool {
	module, libraries := f.Host.Driver.Version, f.Host.Libraries
	switch {
	case f.driverRoot() != "":
		return !module.Known() && f.Launch.GPUs.Libcuda != ""
	case !libraries.Known():
		return true
	}
	return !module.Known() && slices.ContainsFunc(libraries.Value, func(l host.Library) bool { return l.Root != f.Host.NVML.Root })
}

// reload is what brings module and libraries to one version. Where libraries of the module's version are there too, it
// is not the module that stayed behind.
func (f Facts) reload() string {
	loaded := f.loaded()
	if slices.Contains(f.libcudas(), loaded) {
		loaded = ""
	}
	return f.mend.Match(loaded, f.Host.Kernel.Value)
}

func (f Facts) mismatch(module, libraries string) Result {
	return fail("the loaded kernel module is %s, but %s", module, libraries).
		fix(f.reload())
}

// libcudas are the versions of the libcuda files in the driver root that this launch uses, else in all roots.
func (f Facts) libcudas() []string {
	var versions []string
	root := firstKnown(f.driverRoot(), f.Host.NVML.Root)
	for _, l := range f.Host.Libraries.Value {
		if l.Name == "libcuda" && (root == "" || l.Root == root) && !slices.Contains(versions, l.Version) {
			versions = append(versions, l.Version)
		}
	}
	return versions
}

// knownRoot tells whether a mounted library comes from a driver root; a file of the user's own does not count.
func (f Facts) knownRoot(file string) bool {
	_, known := host.DriverRootOf(file)
	return known
}

// driverRoot is the driver root that this launch uses: the toolkit's, or that of the mounted libcuda; else empty.
func (f Facts) driverRoot() string {
	root, _ := host.DriverRootOf(f.Launch.GPUs.Libcuda)
	return firstKnown(f.Launch.GPUs.DriverRoot, root)
}

// matchingRoot is a driver root, other than the one NVML was asked in, with a libcuda of the loaded module's version.
func (f Facts) matchingRoot() string {
	for _, l := range f.Host.Libraries.Value {
		if l.Name == "libcuda" && l.Root != f.Host.NVML.Root && l.Version == f.Host.Driver.Version.Value {
			return l.Root
		}
	}
	return ""
}
