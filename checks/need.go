package checks

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
	"gpu-preflight/oci/image"
)

// answer is what becomes of software that was built for a CUDA version on this host.
// https://docs.nvidia.com/deploy/cuda-compatibility/
type answer int

const (
	undecided answer = iota // a fact is missing, or the tables are silent
	native                  // the driver brings that CUDA or a newer one
	limited                 // minor-version compatibility: same major, no newer PTX (222), no newer features
	forward                 // only through the forward-compatibility libraries of the image
	cannot                  // error 35: a higher major, and no forward compatibility that could help
)

// verdict is an answer with the words for it.
type verdict struct {
	answer answer
	have   cuda.Version // what the driver gives; zero when unknown
	why    string
	source string
}

// answerFor says what becomes of software built for CUDA need.
func (f Facts) answerFor(need cuda.Version) verdict {
	have := f.hostCUDA()
	if !have.Known() {
		return verdict{why: have.Why()}
	}
	v := verdict{have: have.Value, source: have.Source}
	_, minor := cuda.MinDriverForMajor(need.Major)
	switch {
	case !have.Value.Less(need):
		v.answer = native
	case have.Value.Major == need.Major && minor:
		v.answer = limited
		if lifted, why := f.forwardTo(need); lifted == forward {
			v.answer, v.why = forward, why
		}
	default:
		v.answer, v.why = f.forwardTo(need)
	}
	return v
}

// hostCUDA is the CUDA version of the host's own driver: NVML's word, and on a host without NVML the table's for
// a Linux driver branch. Version numbers of WSL and Tegra never index that table.
func (f Facts) hostCUDA() fact.Fact[cuda.Version] {
	said := f.Host.NVML.CUDA
	if said.Known() {
		v, err := cuda.ParseVersion(said.Value)
		if err != nil {
			return fact.Missing[cuda.Version](said.Source, err.Error())
		}
		return fact.Of(v, said.Source)
	}
	if init := f.Host.NVML.Init; init.Known() && init.Value == host.NVMLSuccess {
		return fact.Missing[cuda.Version](said.Source, "NVML does not tell it")
	}
	branch, ok := f.branch()
	if !ok {
		return fact.Missing[cuda.Version]("", "the CUDA version of the host's driver is not known")
	}
	row, ok := cuda.MaxCUDA(branch)
	if !ok {
		return fact.Missing[cuda.Version]("", "no table tells which CUDA the driver "+f.driverName()+" brings")
	}
	return fact.Of(row.Version, strings.Join(row.Titles(), "; "))
}

// OlderMajor tells whether a driver (535.183.06) is known to bring no CUDA of the newest major version.
func OlderMajor(driver string) bool {
	d, err := cuda.ParseDriver(driver)
	row, ok := cuda.MaxCUDA(d.Branch())
	return err == nil && ok && row.Version.Major < cuda.NewestCUDA().Major
}

// NewerThan tells whether a driver is known to be of a newer branch than the one that came with a CUDA version, whose
// compatibility library is then older than the driver.
func NewerThan(driver, cudaVersion string) bool {
	d, err := cuda.ParseDriver(driver)
	v, wrong := cuda.ParseVersion(cudaVersion)
	branch, ok := cuda.BranchFor(v)
	return err == nil && wrong == nil && ok && branch < d.Branch()
}

// branch is the driver branch of a Linux host.
func (f Facts) branch() (int, bool) {
	if !f.linux() {
		return 0, false
	}
	d, err := cuda.ParseDriver(f.driverName())
	return d.Branch(), err == nil
}

// forwardTo judges a need that the driver does not serve by itself. It says cannot only where forward
// compatibility is out of the question: the GPUs are of a class without it, the image has no compatibility
// library, or none that could be there reaches so far. The rest is a doubt.
// https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html
func (f Facts) forwardTo(need cuda.Version) (answer, string) {
	class := f.forwardClass()
	if class == cuda.Unsupported {
		return cannot, "GeForce and TITAN GPUs have no forward compatibility"
	}
	compat := f.Launch.Needs.Compat
	if tegra := f.Host.Platform.Tegra; !compat.Read || tegra.Known() && tegra.Value { // Jetson's may come from the host
		// The next major after the table's may be there by now, the one after it is not.
		if need.Major > cuda.NewestCUDA().Major+1 {
			return cannot, "no driver is known that reaches CUDA " + need.String() + ", not even through forward compatibility"
		}
		return undecided, "whether the image carries forward-compatibility libraries is not known"
	}
	if len(compat.Libraries) == 0 {
		return cannot, "the image carries no forward-compatibility libraries"
	}
	if !slices.ContainsFunc(compat.Libraries, func(l image.CompatLibrary) bool { return mayReach(l, need) }) {
		return cannot, "the image's forward-compatibility libraries do not reach CUDA " + need.String()
	}
	return f.forwardAtLaunch(need, class)
}

// mayReach tells whether a compatibility library may bring a CUDA version; one that does not tell what it brings may.
func mayReach(library image.CompatLibrary, need cuda.Version) bool {
	brings := bringsCUDA(library)
	return brings.IsZero() || !brings.Less(need)
}

// forwardAtLaunch judges by the library that this launch will use. One that lies in the image and comes after the driver's
// own helps nobody.
func (f Facts) forwardAtLaunch(need cuda.Version, class cuda.Support) (answer, string) {
	first := f.firstLibcuda()
	_, linux := f.branch()
	driver, _ := cuda.ParseDriver(f.driverName())
	switch {
	case first.why != "":
		return undecided, "it depends on the forward-compatibility libraries of the image: " + first.why
	case first.library == nil && first.sure:
		return cannot, "the image's forward-compatibility libraries are not used at this launch: " + first.by
	case first.library == nil || first.stub:
		return undecided, "nothing of this launch puts the image's forward-compatibility libraries first: " + first.by
	case bringsCUDA(*first.library).Less(need):
		return undecided, "of the image's libraries " + first.library.Path + " comes first, which does not reach CUDA " + need.String()
	case class == cuda.Supported && linux && serves(*first.library, driver):
		return forward, "through the forward-compatibility libraries of the image (" + first.library.Path + ", by " + first.by + ")"
	}
	return undecided, "it depends on the forward-compatibility libraries of the image"
}

// useThem says how an image's libraries would come to be used, where one of them would serve.
func (f Facts) useThem(need cuda.Version) []string {
	first := f.firstLibcuda()
	driver, _ := cuda.ParseDriver(f.driverName())
	if first.why != "" || first.library != nil || f.forwardClass() != cuda.Supported {
		return nil
	}
	for _, l := range f.Launch.Needs.Compat.Libraries {
		if mayReach(l, need) && serves(l, driver) {
			return []string{"have its compatibility libraries used: start it with LD_LIBRARY_PATH=" + path.Dir(l.Path)}
		}
	}
	return nil
}

// forwardClass says whether the GPUs asked for run compatibility libraries: unsupported only when it is known
// of every one of them, supported likewise.
func (f Facts) forwardClass() cuda.Support {
	asked := f.asked()
	gpus := asked.GPUs
	if len(gpus) == 0 || asked.All && asked.Part || len(asked.Unresolved) > 0 {
		return cuda.SupportUnknown
	}
	class := gpus[0].forwardClass()
	for _, g := range gpus[1:] {
		if g.forwardClass() != class {
			return cuda.SupportUnknown
		}
	}
	return class
}

// forwardClass judges one GPU by NVML's brand, else by its model name, which the driver tells without
// initialising the GPU.
func (g gpu) forwardClass() cuda.Support {
	if g.Brand.Known() {
		return cuda.ForwardCompatBrand(g.Brand.Value)
	}
	for word := range strings.FieldsSeq(g.model) {
		if word == "GeForce" || word == "TITAN" {
			return cuda.ForwardCompatBrand(word)
		}
	}
	return cuda.SupportUnknown
}

// shortOf is the sentence for a need that cannot be served.
func (f Facts) shortOf(what string, v verdict) string {
	return what + ", but driver " + f.driverName() + " gives " + v.have.String()
}

// newerDriver says which driver would serve a need, and what tells the way to it: a system that is one image gets it
// with another image.
func (f Facts) newerDriver(need cuda.Version) []string {
	branch, ok := cuda.RecommendedBranch(need)
	if !ok {
		branch, ok = cuda.BranchFor(need)
	}
	if !ok {
		return nil
	}
	if words := f.mend.Image(); words != "" {
		return []string{fmt.Sprintf("bring driver branch %d or later to this host: %s", branch, words)}
	}
	return []string{fmt.Sprintf("install driver branch %d or later on this host (gpu-preflight plan --cuda %s)", branch, need)}
}
