package checks

import (
	"gpu-preflight/checks/cuda"
	"gpu-preflight/oci/image"
)

// An image may bring a libcuda of its own: NVIDIA's compatibility libraries, made for older drivers on data-centre GPUs,
// or the stub for linking. What puts it before the driver's decides: LD_LIBRARY_PATH, a file of /etc/ld.so.conf.d
// (gpustack/gpustack#4678: 803 through CDI and not through NVIDIA's legacy hook), the toolkit's own hook or its legacy
// mode, which look at no GPU's class (804).
//
// It fails only where the program that is started loads what the environment says, so that nothing hides it, and the
// library is known not to run: older than the loaded driver's branch; on GeForce or TITAN of a newer CUDA major than
// the driver's. Of a newer library of the same major one report says that it ran on a GeForce, so that this warns.
// https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html
var cudaForwardCompat = Check{
	ID:    "cuda-forward-compat",
	Title: "the libcuda that programs load fits the driver and the GPUs",
	Layer: Image,
	Why: mismatched + ", where that libcuda is older than the loaded driver; with 804 on GeForce and TITAN where it is newer; " +
		"with 34 where it is the stub for linking",
	CUDA: []int{803, 804, 34},
	Links: []string{
		"https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html",
		"https://github.com/gpustack/gpustack/issues/4678",
	},
	After:  []string{"driver-loaded"},
	Launch: true,
	Run: func(f Facts) Result {
		compat := f.Launch.Needs.Compat
		switch {
		case !f.wantsCompute():
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		case f.foreign() != "":
			return skip("%s", f.foreign())
		case compat.Why == image.NotLooked:
			return skip("not asked: %s", image.NotLooked)
		case !f.linux():
			return unknown("the platform of this host is not known")
		}
		r := f.judgeFirst()
		r.Need, r.Proven = true, true
		return r
	},
}

const (
	mismatched  = `CUDA would fail with error 803, "system has unsupported display driver / cuda driver combination"`
	unsupported = `CUDA would fail with error 804, "forward compatibility was attempted on non supported HW"`
	stubLoaded  = `CUDA would fail with error 34, "CUDA driver is a stub library"`
)

func (f Facts) judgeFirst() Result {
	first := f.firstLibcuda()
	carried := len(f.Launch.Needs.Compat.Libraries) > 0
	switch {
	case first.why != "":
		return unknown("which libcuda programs load is not known: %s", first.why)
	case first.library == nil && carried:
		return pass("programs load the driver's own libcuda: %s", first.by)
	case first.library == nil:
		return pass("the image brings no libcuda of its own that programs would load")
	case first.stub:
		return first.troubled(true, "%s comes before the driver's libcuda by %s, and is a stub for linking only", first.library.Path, first.by).
			because(stubLoaded, 34)
	case first.tested:
		return pass("the image's entrypoint uses %s only where it works", first.library.Path)
	}
	return f.judgeLibrary(first)
}

// troubled fails where the trouble is certain and nothing that is started can hide it.
func (l firstLibcuda) troubled(certain bool, format string, args ...any) Result {
	r := warn(format, args...)
	if certain && l.sure {
		r.Status = StatusFail
	}
	return r.fix(l.undo...)
}

// judgeLibrary judges a compatibility library that comes first.
func (f Facts) judgeLibrary(first firstLibcuda) Result {
	library, err := cuda.ParseDriver(first.library.Version)
	driver, wrong := cuda.ParseDriver(f.Host.Driver.Version.Value)
	switch {
	case err != nil || wrong != nil:
		return unknown("%s comes first by %s; its version, or the loaded driver's, is not known", first.library.Path, first.by)
	case library.Compare(driver) == 0:
		return pass("%s comes first by %s, and is of the loaded driver's version", first.library.Path, first.by)
	case library.Compare(driver) < 0:
		older := library.Branch() < driver.Branch() && (first.library.Note == nil || !first.library.Note.Serves(driver.Branch()))
		return first.troubled(older, "%s comes before the driver's libcuda by %s, but is older than the loaded driver %s", first.library.Path, first.by, driver).
			because(mismatched, 803).from(f.Host.Driver.Version.Source)
	}
	switch class := f.forwardClass(); {
	case class == cuda.Unsupported:
		return f.onGeForce(first, driver)
	case class == cuda.Supported && serves(*first.library, driver):
		return pass("programs run by forward compatibility: %s comes first by %s, and serves driver %s", first.library.Path, first.by, driver).
			from(f.Host.Driver.Version.Source)
	case class == cuda.Supported:
		return first.troubled(false, "%s comes before the driver's libcuda by %s, and is not known to serve driver %s", first.library.Path, first.by, driver).
			because(mismatched, 803).from(f.Host.Driver.Version.Source)
	}
	return first.troubled(false, "%s comes before the driver's libcuda by %s, and these GPUs are not known to support forward compatibility", first.library.Path, first.by).
		because(unsupported, 804)
}

// onGeForce is a newer library before the driver's own where forward compatibility is not supported. Where it brings
// another CUDA major, what the image starts would fail with 35 without it: the driver is the better fix.
func (f Facts) onGeForce(first firstLibcuda, driver cuda.Driver) Result {
	brings, have := bringsCUDA(*first.library), f.hostCUDA()
	certain := have.Known() && brings.Major > have.Value.Major
	r := first.troubled(certain, "%s comes before the driver's libcuda by %s, but GeForce and TITAN GPUs have no forward compatibility (driver %s)", first.library.Path, first.by, driver).
		because(unsupported, 804).fix(f.newerDriver(brings)...).from(f.Host.Driver.Version.Source)
	if certain {
		r.Fix = append(f.newerDriver(brings), first.undo...)
	}
	return r
}

// bringsCUDA is the CUDA of a compatibility library: its own word, else that of the driver it came with; zero when unknown.
func bringsCUDA(library image.CompatLibrary) cuda.Version {
	if library.Note != nil {
		if v, err := cuda.ParseVersion(library.Note.CUDA); err == nil {
			return v
		}
	}
	d, err := cuda.ParseDriver(library.Version)
	if row, ok := cuda.MaxCUDA(d.Branch()); err == nil && ok {
		return row.Version
	}
	return cuda.Version{}
}

// serves tells whether a compatibility library is known to run on a driver: by its own word, else by NVIDIA's matrix. Of
// its own branch it has to be newer.
func serves(library image.CompatLibrary, driver cuda.Driver) bool {
	d, err := cuda.ParseDriver(library.Version)
	if err != nil || d.Compare(driver) < 0 {
		return false
	}
	if library.Note != nil {
		return library.Note.Serves(driver.Branch())
	}
	return cuda.ForwardCompat(bringsCUDA(library), driver.Branch()) == cuda.CompatYes
}
