package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestCUDADriverVersion(t *testing.T) {
	testCheck(t, cudaDriverVersion, []row{
		{"the image tells nothing", nil, "skip", ""},
		{"native", env("CUDA_VERSION=12.8.0"), "pass", "12.8"},
		{"the same major", env("CUDA_VERSION=12.9.1"), "warn", "12.9|570.86.15|12.8|222"},
		{"CUDA_VERSION alone warns", and(geforce535, env("CUDA_VERSION=13.0.0")), "warn", "13.0|535.183.06|12.2|35"},
		{"the version of an NGC image", and(geforce535, env("CUDA_VERSION=13.1.1.006", "NVIDIA_REQUIRE_CUDA=cuda>=9.0")), "warn", "13.1"},
		{"CUDA_DRIVER_VERSION tells of the compatibility library", and(geforce535, env("CUDA_DRIVER_VERSION=610.43.02")), "skip", ""},
		{"forward compatibility", and(tesla535, compat("580.65.06"), env("CUDA_VERSION=13.0.0")), "pass", "forward"},
		// Images of before NVIDIA_REQUIRE_CUDA.
		{"a legacy image under NVIDIA's hook", and(geforce580, legacyHook, env("CUDA_VERSION=13.1.0")), "fail", "cuda>=13.1|13.0"},
		{"a legacy image that is met", and(legacyHook, env("CUDA_VERSION=9.0.176")), "pass", ""},
		{"a legacy image, policy declared", and(geforce580, declared, env("CUDA_VERSION=13.1.0")), "fail", ""},
		{"a legacy image elsewhere", and(geforce580, env("CUDA_VERSION=13.1.0")), "warn", ""},
		{"no legacy image under NVIDIA's hook", and(geforce580, legacyHook, env("CUDA_VERSION=13.1.0", "NVIDIA_REQUIRE_CUDA=cuda>=12.0")), "warn", ""},
		{"a version that is none", env("CUDA_VERSION=latest"), "unknown", "latest"},
		{"a version of foreign text", env("CUDA_VERSION=\x1b[2J12é"), "unknown", ""},
		{"CUDA unknown", and(env("CUDA_VERSION=13.0.0"), func(f *Facts) { f.Host.NVML.CUDA = missing[string]() }), "unknown", ""},
		{"no NVML, the driver's row", and(geforce535, onlyProc, env("CUDA_VERSION=13.0.0")), "warn", "12.2"},
		{"a mismatched host tells no CUDA, the driver's row does", and(initCode(host.NVMLLibRMMismatch), env("CUDA_VERSION=12.8.0")), "pass", ""},
		{"WSL: the table is not asked", and(geforce535, onlyProc, wsl, env("CUDA_VERSION=13.0.0")), "unknown", ""},
		{"without compute", and(geforce535, capabilities("video"), env("CUDA_VERSION=13.0.0")), "skip", ""},
		{"an observer", and(geforce580, legacyHook, observer, env("CUDA_VERSION=13.1.0")), "warn", "nvidia-smi"},
	})
}
