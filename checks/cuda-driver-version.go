package checks

import "gpu-preflight/checks/cuda"

// The CUDA that the image was built with, against what the driver gives: native, with limits (minor-version
// compatibility, 222), or not at all (35). CUDA_VERSION alone is a word of the base image, not a proof of need,
// so it warns; only NVIDIA's own hook takes it as cuda>=X on images without NVIDIA_REQUIRE_CUDA.
// https://docs.nvidia.com/deploy/cuda-compatibility/
var cudaDriverVersion = Check{
	ID:     "cuda-driver-version",
	Title:  "the driver runs the CUDA that the image brings",
	Layer:  Image,
	Why:    insufficient,
	CUDA:   []int{35, 222},
	Links:  []string{"https://docs.nvidia.com/deploy/cuda-compatibility/"},
	After:  []string{"driver-loaded", "cuda-requirement"},
	Launch: true,
	Run: func(f Facts) Result {
		declared := f.Launch.Needs.Declared
		switch {
		case declared.CUDAVersion == "":
			return skip("the image does not tell its CUDA version")
		case !f.wantsCompute():
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		case declared.Legacy && declared.LegacyRequirement != nil && f.declaredMode():
			r := f.judgeRequirement(*declared.LegacyRequirement)
			r.Need = true
			return r.from(f.hostCUDA().Source)
		}
		need, err := cuda.ParseVersion(declared.CUDAVersion)
		if err != nil {
			return unknown("CUDA_VERSION: %v", err)
		}
		r := f.byAnswer(need, "the image brings CUDA "+need.String()+" (CUDA_VERSION)")
		r.Need = true
		if r.Status == StatusFail {
			r.Status = StatusWarn
		}
		return r
	},
}
