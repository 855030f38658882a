package image

import (
	"regexp"
	"strings"
	"sync"
)

// What a name or a file in an image tells of CUDA. The names are those that real wheels, conda packages and libraries have
// (launch-facts 18 to 24, in testdata/evidence.tsv). A version of another product in a name is none of CUDA's:
// cupy_cuda12x-13.6.0, nvidia_ml_py-13.580.65 and conda's cuda-version say nothing of the runtime beside them.

// find is one sign of CUDA.
type find struct {
	kind      string // torch, jax, cupy, tensorflow, onnxruntime; cuda-runtime, conda, cudart and toolkit are no frameworks
	version   string // of CUDA: 12.8; 12.0 where only the major is told
	framework bool   // software that needs it when it runs, not a library that may lie unused
}

// rule reads names of one form: the groups are the major and the minor version, or one group with both.
type rule struct {
	kind      string
	framework bool
	pattern   *regexp.Regexp
}

func (r rule) read(text []byte) (find, bool) {
	m := r.pattern.FindSubmatch(text)
	if m == nil {
		return find{}, false
	}
	version := string(m[1])
	switch {
	case len(m) > 2 && len(m[2]) > 0:
		version += "." + string(m[2])
	case isDigits(version):
		version += ".0"
	}
	return find{r.kind, version, r.framework}, isVersion(version)
}

// isVersion tells 12.8 from what no version of CUDA looks like.
func isVersion(text string) bool {
	major, minor, _ := strings.Cut(text, ".")
	return isDigits(major) && isDigits(minor)
}

func readBy(rules []rule, text []byte) (find, bool) {
	for _, r := range rules {
		if f, ok := r.read(text); ok {
			return f, true
		}
	}
	return find{}, false
}

// packageRules read an entry of a site-packages folder.
var packageRules = sync.OnceValue(func() []rule {
	return []rule{
		// torch's local version: cu118 is 11.8, cu130 is 13.0 (download.pytorch.org).
		{"torch", true, regexp.MustCompile(`^torch-[^-]{0,60}\+cu(\d{1,2})(\d)(?:\.[^-]*)?\.dist-info$`)},
		// NVIDIA's runtime on PyPI; from CUDA 13 on without cuNN.
		{"cuda-runtime", false, regexp.MustCompile(`^nvidia_cuda_runtime(?:_cu\d+)?-(\d+\.\d+)[^-]*\.dist-info$`)},
		{"jax", true, regexp.MustCompile(`^jax_cuda(\d+)_plugin-[^-]*\.dist-info$`)},
		{"cupy", true, regexp.MustCompile(`^cupy_cuda(\d+)x-[^-]*\.dist-info$`)},    // any minor version
		{"cupy", true, regexp.MustCompile(`^cupy_cuda(\d+)(\d)-[^-]*\.dist-info$`)}, // cupy_cuda102, cupy_cuda118
	}
})

// condaRules read the stem of a file of conda-meta, name-version-build: the build of pytorch and libtorch names CUDA, and
// so does the version of cuda-cudart.
var condaRules = sync.OnceValue(func() []rule {
	return []rule{
		{"conda", false, regexp.MustCompile(`^(?:pytorch|pytorch-gpu|libtorch)-[^-]+-(?:[^-]*_)?cuda_?(\d+)\.?(\d)(?:_[^-]*)?$`)},
		{"conda", false, regexp.MustCompile(`^(?:cuda-cudart(?:_linux-[a-z0-9]+)?|pytorch-cuda)-(\d+\.\d+)[^-]*-[^-]+$`)},
	}
})

// cudartRules read the name of a CUDA runtime library. libcudart.so.11.0 is the SONAME of all of 11 and libcudart.so.12
// that of all of 12: the lowest they may be.
var cudartRules = sync.OnceValue(func() []rule {
	return []rule{{"cudart", false, regexp.MustCompile(`^libcudart(?:[-.][a-f0-9]+)?\.so\.(\d+)(?:\.(\d+)(?:\.\d+)*)?$`)}}
})
