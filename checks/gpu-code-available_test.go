package checks

import (
	"testing"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci/image"
)

// What torch.__config__.show() prints as NVCC architecture flags of the wheels 2.4.1+cu121 and 2.7.0+cu128.
const (
	codeCU121 = "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90"
	codeCU128 = "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120"
)

func framework(kind, version, code string) image.Evidence {
	return image.Evidence{Kind: kind, Version: version, Path: "/venv/" + kind, Certain: true, Stack: "/venv", Code: code}
}

func capabilityIs(cc string) change { return everyGPU(func(g *host.GPU) { g.Capability = known(cc) }) }

func TestGPUCodeAvailable(t *testing.T) {
	cu121, cu128 := framework("torch", "12.1", codeCU121), framework("torch", "12.8", codeCU128)
	// tensorflow 2.20: https://www.tensorflow.org/api_docs/python/tf/sysconfig/get_build_info
	tensorflow := framework("tensorflow", "12.5", "sm_60 sm_70 sm_80 sm_89 compute_90")
	testCheck(t, gpuCodeAvailable, []row{
		{"the image tells nothing", nil, "skip", ""},
		{"the image could not be read", func(f *Facts) { f.Launch.Needs.Unread = []string{"/usr/lib: input/output error"} }, "unknown", "input/output error"},
		{"other files could not be read", and(signs(cu121), func(f *Facts) { f.Launch.Needs.Unread = []string{"/usr/lib: input/output error"} }), "pass", ""},
		{"machine code for the GPU", signs(cu121), "pass", "/venv/torch"},
		{"a GPU from after torch", and(signs(cu121), capabilityIs("12.0")), "warn", "with CUDA capability sm_120 is not compatible with the image's torch (/venv/torch)|" + codeCU121 + "|is not compatible with the current PyTorch installation|209|no kernel image is available"},
		{"a GPU that torch has dropped", and(signs(cu128), capabilityIs("7.0")), "warn", "sm_70 is not compatible"},
		{"machine code for a lower minor version", and(signs(cu121), capabilityIs("8.9")), "pass", ""},
		{"machine code for a higher one only", and(signs(framework("torch", "12.8", "sm_86")), capabilityIs("8.0")), "warn", "sm_80"},
		{"PTX serves a newer GPU", and(signs(tensorflow), capabilityIs("12.0")), "pass", ""},
		{"PTX serves no older GPU", and(signs(framework("torch", "12.8", "compute_90")), capabilityIs("8.0")), "warn", ""},
		{"of that GPU alone", and(signs(framework("torch", "12.8", "sm_120a compute_120a")), capabilityIs("12.1")), "warn", "sm_121"},
		{"of that GPU alone, which it is", and(signs(framework("torch", "12.8", "sm_90a"))), "pass", ""},
		{"of its family", and(signs(framework("torch", "12.9", "sm_100f")), capabilityIs("10.3")), "pass", ""},
		{"of another family", and(signs(framework("torch", "12.9", "compute_100f")), capabilityIs("12.0")), "warn", ""},
		{"code that is not read", and(signs(framework("torch", "12.8", "lto_90"))), "unknown", "lto_90"},
		{"a GPU beyond every table", and(signs(cu128), capabilityIs("13.0")), "pass", ""},
		{"a GPU beyond every table, without PTX", and(signs(cu121), capabilityIs("13.0")), "warn", ""},
		{"a capability that is none", and(signs(cu121), capabilityIs("new")), "unknown", ""},
		{"capability unread", and(signs(cu121), gpuIs(2, silent)), "unknown", "0000:37:00.0"},
		{"not resident", and(signs(cu121), everyGPU(notAsked)), "skip", "not asked"},
		{"one GPU that it does not serve", and(signs(cu121), gpuIs(3, func(g *host.GPU) { g.Capability = known("12.0") })), "warn", "GPU 3"},
		{"and that is not asked for", and(signs(cu121), gpuIs(3, func(g *host.GPU) { g.Capability = known("12.0") }), ask("1")), "pass", ""},
		// Where torch does not tell, the CUDA that compiled it does.
		{"torch from before the GPU's first CUDA", and(signs(framework("torch", "12.1", "")), capabilityIs("12.0")), "warn", "sm_120 is newer than CUDA 12.1|PTX"},
		{"whose major version it knows", and(signs(framework("torch", "11.4", "")), capabilityIs("8.9")), "skip", "does not tell"},
		{"torch from after the GPU's last CUDA", and(signs(framework("torch", "13.0", "")), capabilityIs("7.0")), "warn", "sm_70 is no longer compiled for by CUDA 13.0"},
		{"torch that could have it", signs(framework("torch", "12.1", "")), "skip", "does not tell"},
		{"tensorflow of any 12", and(signs(framework("tensorflow", "12.0", "")), capabilityIs("12.0")), "skip", ""},
		{"a GPU that no table has", and(signs(framework("torch", "12.1", "")), capabilityIs("99.0")), "skip", ""},
		// Alternatives.
		{"one of two serves", and(signs(cu121, tensorflow), capabilityIs("12.0")), "pass", ""},
		{"neither of two serves", and(signs(cu121, framework("tensorflow", "12.1", "sm_80")), capabilityIs("12.0")), "warn", "torch|tensorflow"},
		{"one of two may serve", and(signs(cu121, framework("tensorflow", "12.8", "")), capabilityIs("12.0")), "skip", "tensorflow"},
		{"what is certain counts", and(signs(maybe(cu128), cu121), capabilityIs("12.0")), "warn", ""},
		{"what lies there warns too", and(signs(maybe(cu121)), capabilityIs("12.0")), "warn", ""},
		{"jax compiles when it runs", and(signs(framework("jax", "12.0", "")), capabilityIs("12.0")), "skip", ""},
		// The environment of NGC images, in which a derived image may have put another torch.
		{"the environment tells", and(env("TORCH_CUDA_ARCH_LIST=7.5 8.0 8.6 9.0 10.0 12.0+PTX"), capabilityIs("12.1")), "pass", "TORCH_CUDA_ARCH_LIST"},
		{"the environment without the GPU", and(env("TORCH_CUDA_ARCH_LIST=8.9"), capabilityIs("9.0")), "warn", "TORCH_CUDA_ARCH_LIST|sm_89"},
		{"torch's own word counts before it", and(env("TORCH_CUDA_ARCH_LIST=8.9"), signs(cu121)), "pass", ""},
		{"names of generations", env("TORCH_CUDA_ARCH_LIST=Volta;Turing+PTX"), "skip", ""},
		{"Tegra", and(signs(framework("torch", "12.6", "sm_80")), tegra, capabilityIs("8.7")), "skip", "Tegra"},
		{"without compute", and(signs(cu121), capabilityIs("12.0"), capabilities("graphics")), "skip", ""},
		{"an observer", and(signs(cu121), capabilityIs("12.0"), observer), "warn", ""},
	})
}

// TestOneSpeaksOfCode: of the two checks that warn of 209 the one that knows the software speaks.
func TestOneSpeaksOfCode(t *testing.T) {
	f := healthy()
	and(env("CUDA_VERSION=12.1.1"), signs(framework("torch", "12.8", codeCU128)), capabilityIs("12.0"))(&f)
	for _, r := range Run(f, []Check{gpuComputeCapability, gpuCodeAvailable}) {
		want := map[string]Status{"gpu-compute-capability": StatusSkip, "gpu-code-available": StatusPass}[r.ID]
		if r.Status != want {
			t.Errorf("%s: %s (%s), want %s", r.ID, r.Status, r.What, want)
		}
	}
}
