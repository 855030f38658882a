package checks

import (
	"strings"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/oci/image"
)

// The CUDA toolkit of the image compiles for a range of GPU architectures. A GPU newer than the toolkit runs
// its PTX, if it brings any; one older than it can still run what needs no new kernels: both warn (209). A GPU
// that NVML lists is driven by the driver, whatever a table says.
// https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/ (deprecated architectures)
var gpuComputeCapability = Check{
	ID:     "gpu-compute-capability",
	Title:  "the image's CUDA knows the GPUs' architecture",
	Layer:  Image,
	Why:    `kernels may be missing: error 209, "no kernel image is available for execution on the device"`,
	CUDA:   []int{209},
	Links:  []string{"https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/"},
	After:  []string{"driver-loaded", "gpu-present"},
	Launch: true,
	Run: func(f Facts) Result {
		need, exact, ok := f.imageCUDA()
		switch {
		case !f.wantsCompute():
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		case len(f.builds()) > 0: // what the software itself tells is closer to the truth than what its base image was built with
			return skip("gpu-code-available looks at the software itself")
		case !ok:
			return skip("the image does not tell its CUDA version")
		}
		gpus := f.asked().GPUs
		if len(gpus) == 0 {
			return unknown("no GPU is known")
		}
		var late, early, silent, left []string
		for _, g := range gpus {
			row, known := cuda.Arch(g.Capability.Value)
			name := g.String() + " (" + g.Capability.Value + ")"
			switch {
			case !g.Capability.Known() && g.NotAsked != "":
				left = append(left, g.NotAsked)
			case !g.Capability.Known() || !known:
				silent = append(silent, g.String())
			case exact && need.Less(row.FirstCUDA):
				late = append(late, name)
			case !row.Ongoing && row.LastCUDA.Less(need):
				early = append(early, name)
			}
		}
		switch {
		case len(early) > 0:
			return warn("the image's CUDA %s no longer compiles for GPU %s", need, strings.Join(early, ", ")).
				fix("use an image whose CUDA still compiles for this GPU")
		case len(late) > 0:
			return warn("GPU %s is newer than the image's CUDA %s, which can serve it only by PTX", strings.Join(late, ", "), need).
				fix("use an image with a newer CUDA")
		case len(silent) > 0:
			return unknown("the compute capability of GPU %s is not known", strings.Join(silent, ", "))
		case len(left) > 0:
			return skip("not asked: %s", left[0])
		}
		return pass("CUDA %s compiles for every GPU asked for", need)
	},
}

// imageCUDA is the CUDA that the image was built with, by its own word. NVIDIA_REQUIRE_CUDA tells only the least
// it may be (exact is false): cuda>=9.0 stands in images of CUDA 13.
func (f Facts) imageCUDA() (version cuda.Version, exact, ok bool) {
	declared := f.Launch.Needs.Declared
	if v, err := cuda.ParseVersion(declared.CUDAVersion); err == nil {
		return v, true, true
	}
	v, ok := requiredCUDA(declared)
	return v, false, ok
}

func requiredCUDA(declared image.Declared) (cuda.Version, bool) {
	for _, r := range declared.Requirements {
		if v, ok := loneCUDA(r); ok && r.Name == "NVIDIA_REQUIRE_CUDA" {
			return v, true
		}
	}
	return cuda.Version{}, false
}

// ImageCUDA is the CUDA that a host needs for an image: what its files tell, or else its CUDA_VERSION, unless what
// NVIDIA_REQUIRE_CUDA asks for alone is higher. ok is false where nothing tells it.
func ImageCUDA(needs image.Requirements) (version cuda.Version, ok bool) {
	built := needs.CUDAVersion
	if sign, found := (Facts{Launch: Launch{Needs: needs}}).decisiveSign(); found {
		built = sign.Version
	}
	version, ok = requiredCUDA(needs.Declared)
	if v, err := cuda.ParseVersion(built); err == nil && (!ok || version.Less(v)) {
		return v, true
	}
	return version, ok
}
