package checks

import (
	"testing"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

func TestGPUComputeCapability(t *testing.T) {
	v100 := gpus(2, board{"Tesla V100-PCIE-16GB", "TESLA", "7.0", "1db4"})
	testCheck(t, gpuComputeCapability, []row{
		{"the image tells nothing", nil, "skip", ""},
		{"known to the image's CUDA", env("CUDA_VERSION=12.8.0"), "pass", "12.8"},
		{"the GPU is newer: PTX may serve", and(hgxB200, env("CUDA_VERSION=12.4.1")), "warn", "10.0|12.4|PTX|209"},
		{"the GPU is older", and(v100, env("CUDA_VERSION=13.0.0")), "warn", "7.0|13.0|209"},
		{"the last CUDA that compiles for it", and(v100, env("CUDA_VERSION=12.9.1")), "pass", ""},
		{"a requirement tells the least, not the version", and(hgxB200, requires("cuda>=9.0")), "pass", ""},
		{"a requirement beyond the GPU", and(v100, requires("cuda>=13.0")), "warn", "7.0"},
		{"an older GPU that is not asked for", and(v100, gpuIs(1, func(g *host.GPU) { g.Capability = known("9.0") }), ask("1"), env("CUDA_VERSION=13.0.0")), "pass", ""},
		{"a GPU beyond the table", and(everyGPU(func(g *host.GPU) { g.Capability = known("99.0") }), env("CUDA_VERSION=12.8.0")), "unknown", ""},
		{"capability unread", and(gpuIs(2, silent), env("CUDA_VERSION=12.8.0")), "unknown", "0000:37:00.0"},
		{"not resident", and(everyGPU(notAsked), env("CUDA_VERSION=12.8.0")), "skip", "not asked"},
		{"no GPU known", and(noNVML, env("CUDA_VERSION=12.8.0"), ask("GPU-ffffffff")), "unknown", ""},
		{"without compute", and(hgxB200, env("CUDA_VERSION=12.4.1"), capabilities("graphics")), "skip", ""},
	})
}

// TestImageCUDA: an image's files say what was built for which CUDA, CUDA_VERSION says it where they do not, and a
// requirement that is higher counts.
func TestImageCUDA(t *testing.T) {
	torch := image.Evidence{Kind: "torch", Version: "12.8", Certain: true}
	for _, row := range []struct {
		env      []string
		evidence []image.Evidence
		want     string
	}{
		{nil, nil, ""},
		{[]string{"CUDA_VERSION=12.4.1"}, nil, "12.4"},
		{[]string{"CUDA_VERSION=13.0.0"}, []image.Evidence{torch}, "12.8"},
		{nil, []image.Evidence{torch}, "12.8"},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=12.4 brand=tesla,driver>=535"}, nil, "12.4"},
		{[]string{"CUDA_VERSION=13.3.1", "NVIDIA_REQUIRE_CUDA=cuda>=9.0"}, nil, "13.3"},
		{[]string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0"}, []image.Evidence{torch}, "13.0"},
		{[]string{"CUDA_VERSION=new", "NVIDIA_REQUIRE_CUDA=driver>=535"}, nil, ""},
	} {
		needs := image.FromContainer(&oci.Container{Env: row.env})
		needs.Evidence = row.evidence
		got, ok := ImageCUDA(needs)
		if ok != (row.want != "") || ok && got.String() != row.want {
			t.Errorf("%q, %v: %v, %t, want %q", row.env, row.evidence, got, ok, row.want)
		}
	}
}
