package checks

import (
	"strconv"
	"strings"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/fact"
	"gpu-preflight/oci/image"
)

// A framework's kernels are compiled for a list of GPU architectures. Machine code runs on its own major version, from its
// minor version on; PTX runs on every newer GPU. What torch and tensorflow tell of themselves counts, else the CUDA they
// were built with, which compiles for no GPU that came after it, else TORCH_CUDA_ARCH_LIST, by which an image's author
// compiles. Frameworks side by side are alternatives. It never fails: what runs may need no kernels of theirs.
// https://docs.nvidia.com/cuda/cuda-c-programming-guide/ (binary compatibility, PTX compatibility)
// https://github.com/pytorch/pytorch, torch/cuda/__init__.py (_check_cubins)
var gpuCodeAvailable = Check{
	ID:    "gpu-code-available",
	Title: "the image's software was compiled for the GPUs' architecture",
	Layer: Image,
	Why: `torch says "is not compatible with the current PyTorch installation", and kernels fail with error 209, ` +
		`"no kernel image is available for execution on the device"`,
	CUDA:   []int{209},
	Links:  []string{"https://docs.nvidia.com/cuda/cuda-c-programming-guide/", "https://github.com/pytorch/pytorch/blob/main/torch/cuda/__init__.py"},
	After:  []string{"driver-loaded", "gpu-present", "cuda-driver-version"},
	Launch: true,
	Run: func(f Facts) Result {
		builds := f.builds()
		tegra := f.Host.Platform.Tegra
		switch {
		case !f.wantsCompute():
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		case len(builds) == 0 && len(f.Launch.Needs.Unread) > 0:
			return notRead(f.Launch.Needs.Unread)
		case len(builds) == 0:
			return skip("the image does not tell what its software was compiled for")
		case tegra.Known() && tegra.Value:
			return skip("machine code for other GPUs of its version does not run on Tegra")
		}
		return eachGPU(f, func(g gpu) fact.Fact[string] { return g.Capability }, func(_ gpu, capability string) said {
			return judgeBuilds(builds, capability)
		}, "the image has code for every GPU asked for ("+builds[0].path+")",
			"use an image whose software was compiled for this GPU (torch.cuda.get_arch_list() prints what torch was compiled for)")
	},
}

// build is what one piece of software was compiled for.
type build struct {
	name, path string
	code       string       // sm_80 sm_90 compute_90; "" where it does not tell
	by         cuda.Version // the CUDA that compiled it; zero where that is not known
}

// builds are the alternatives: of the frameworks that bring compiled kernels (jax and cupy compile when they run) those
// that are surely loaded, else those that lie there, else what the environment tells.
func (f Facts) builds() (all []build) {
	certain := false
	for _, e := range f.Launch.Needs.Evidence {
		if e.Kind != "torch" && e.Kind != "tensorflow" || certain && !e.Certain {
			continue
		}
		if e.Certain && !certain {
			certain, all = true, nil
		}
		all = append(all, buildOf(e))
	}
	if declared := f.Launch.Needs.Code; len(all) == 0 && declared != "" {
		all = append(all, build{name: "software", path: "TORCH_CUDA_ARCH_LIST", code: declared})
	}
	return all
}

func buildOf(e image.Evidence) build {
	by, err := cuda.ParseVersion(e.Version)
	if err != nil || by.Minor == 0 && e.Kind != "torch" { // some builds of tensorflow tell only the major version
		by = cuda.Version{}
	}
	return build{e.Kind, e.Path, e.Code, by}
}

// judgeBuilds is the best of the alternatives for one GPU.
func judgeBuilds(builds []build, capability string) said {
	gpu, err := cuda.ParseVersion(capability)
	if err != nil {
		return said{StatusUnknown, err.Error()}
	}
	name := "with CUDA capability sm_" + strconv.Itoa(10*gpu.Major+gpu.Minor)
	var lacking []string
	var silent said
	for _, b := range builds {
		switch answer := b.judge(gpu); answer.status {
		case StatusPass:
			return answer
		case StatusWarn:
			lacking = append(lacking, answer.words)
		default:
			silent = answer
		}
	}
	if silent.words != "" {
		return said{silent.status, name + ": " + silent.words}
	}
	return said{StatusWarn, name + " " + strings.Join(lacking, "; ")}
}

func (b build) judge(gpu cuda.Version) said {
	of := "the image's " + b.name + " (" + b.path + ")"
	if b.code == "" {
		return b.judgeCompiler(gpu, of)
	}
	for word := range strings.FieldsSeq(b.code) {
		if runs, ok := runsOn(word, gpu); runs {
			return said{StatusPass, ""}
		} else if !ok {
			return said{StatusUnknown, of + " was compiled for " + b.code}
		}
	}
	return said{StatusWarn, "is not compatible with " + of + ", which was compiled for " + b.code}
}

// judgeCompiler says what follows from the CUDA that compiled a build alone. Machine code for a GPU needs one that knows
// its major version up to its minor one. Whether a build has PTX is not told by that.
func (b build) judgeCompiler(gpu cuda.Version, of string) said {
	row, known := cuda.Arch(gpu.String())
	first := row.FirstCUDA
	for minor := range gpu.Minor {
		if lower, ok := cuda.Arch(cuda.Version{Major: gpu.Major, Minor: minor}.String()); ok && lower.FirstCUDA.Less(first) {
			first = lower.FirstCUDA
		}
	}
	switch {
	case !known || b.by.IsZero():
	case b.by.Less(first):
		return said{StatusWarn, "is newer than CUDA " + b.by.String() + ", which compiled " + of + ": only PTX could serve it"}
	case !row.Ongoing && !row.LastCUDA.IsZero() && row.LastCUDA.Less(b.by):
		return said{StatusWarn, "is no longer compiled for by CUDA " + b.by.String() + ", which compiled " + of}
	}
	return said{StatusSkip, of + " does not tell what it was compiled for"}
}

// runsOn tells whether code of one architecture runs on a GPU; ok is false where it is not read. Code for sm_90a runs on
// 9.0 alone, and that for sm_100f on the GPUs of its family, which share the major version.
func runsOn(word string, gpu cuda.Version) (runs, ok bool) {
	kind, number, _ := strings.Cut(word, "_")
	digits := strings.TrimRight(number, "af")
	suffix := number[len(digits):]
	n, err := strconv.Atoi(digits)
	if err != nil || kind != "sm" && kind != "compute" {
		return false, false
	}
	code := cuda.Version{Major: n / 10, Minor: n % 10}
	switch {
	case suffix == "a":
		return code == gpu, true
	case kind == "compute" && suffix == "":
		return !gpu.Less(code), true
	}
	return code.Major == gpu.Major && code.Minor <= gpu.Minor, true
}
