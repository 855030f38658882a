package checks_test

import (
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/oci/image"
)

func TestDisagreement(t *testing.T) {
	torch := func(version string, certain bool) image.Evidence {
		return image.Evidence{Kind: "torch", Version: version, Path: "/x/version.py", Certain: certain}
	}
	ngc := []string{"NVIDIA_REQUIRE_CUDA=cuda>=9.0"}
	for _, test := range []struct {
		name  string
		env   []string
		signs []image.Evidence
		want  string
	}{
		{"nothing is declared", nil, []image.Evidence{torch("13.0", true)}, ""},
		{"nothing is found", ngc, nil, ""},
		{"what is not certain", ngc, []image.Evidence{torch("13.0", false)}, ""},
		{"an old declaration", ngc, []image.Evidence{torch("13.0", true)}, "the image declares CUDA 9.0 (NVIDIA_REQUIRE_CUDA), but its torch was built for CUDA 13.0 (/x/version.py)"},
		{"an older base image", []string{"CUDA_VERSION=12.4.1"}, []image.Evidence{torch("12.8", true)}, "the image declares CUDA 12.4 (CUDA_VERSION), but its torch was built for CUDA 12.8 (/x/version.py)"},
		{"a newer base image", []string{"CUDA_VERSION=12.8.1"}, []image.Evidence{torch("11.8", true)}, "the image declares CUDA 12.8 (CUDA_VERSION), but its torch was built for CUDA 11.8 (/x/version.py)"},
		{"both agree", []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.8 brand=tesla,driver>=550", "CUDA_VERSION=12.8.1"}, []image.Evidence{torch("12.8", true)}, ""},
		{"only the major is told", []string{"CUDA_VERSION=12.4.1"}, []image.Evidence{{Kind: "jax", Version: "12.0", Path: "/j", Certain: true}}, ""},
		{"no version", []string{"CUDA_VERSION=new"}, []image.Evidence{torch("12.8", true)}, ""},
	} {
		needs := image.Requirements{Declared: image.FromEnv(test.env), Evidence: test.signs}
		if got := checks.Disagreement(needs); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
