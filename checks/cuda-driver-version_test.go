package checks

import (
	"testing"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci/image"
)

// Signs that the tests name.
var (
	torch130   = image.Evidence{Kind: "torch", Version: "13.0", Path: "/venv/torch/version.py", Certain: true, Stack: "/venv"}
	torch118   = image.Evidence{Kind: "torch", Version: "11.8", Path: "/venv/torch/version.py", Certain: true, Stack: "/venv"}
	cupy12     = image.Evidence{Kind: "cupy", Version: "12.0", Path: "/venv/cupy_cuda12x-13.6.0.dist-info", Certain: true, Stack: "/venv"}
	toolkit124 = image.Evidence{Kind: "toolkit", Version: "12.4", Path: "/usr/local/cuda/version.json", Stack: "/usr/local/cuda"}
)

func maybe(e image.Evidence) image.Evidence {
	e.Certain = false
	return e
}

// signs are what was found in the image's files.
func signs(list ...image.Evidence) change {
	return func(f *Facts) { f.Launch.Needs.Evidence = append(f.Launch.Needs.Evidence, list...) }
}

// unread is what was looked for in the image's files in vain.
func unread(why string) change {
	return func(f *Facts) { f.Launch.Needs.Unread = append(f.Launch.Needs.Unread, why) }
}

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
		// What the image's files tell.
		{"torch that is surely loaded", and(geforce535, signs(torch130)), "fail", "torch was built for CUDA 13.0|/venv/torch/version.py|535.183.06|12.2|35"},
		{"torch that may be loaded", and(geforce535, signs(maybe(torch130))), "warn", "torch was built for CUDA 13.0"},
		{"files tell more than CUDA_VERSION", and(geforce535, env("CUDA_VERSION=13.0.0"), signs(torch118)), "pass", "torch was built for CUDA 11.8"},
		{"the lowest of what is loaded counts", and(geforce535, signs(torch130, cupy12)), "pass", "cupy was built for CUDA 12.0"},
		{"what is certain counts before what is lower", and(geforce535, signs(torch130, maybe(torch118))), "fail", "13.0"},
		{"stacks side by side: the lowest", and(geforce535, signs(maybe(torch130), maybe(cupy12))), "pass", "12.0"},
		{"a framework counts before a lower library", and(geforce535, signs(maybe(torch130), toolkit124)), "warn", "13.0"},
		{"a library alone", and(geforce535, signs(toolkit124)), "warn", "the image brings CUDA 12.4 (/usr/local/cuda/version.json)|12.2|222"},
		{"torch with limits", and(geforce535, signs(image.Evidence{Kind: "torch", Version: "12.8", Path: "/x", Certain: true})), "warn", "12.8|222"},
		{"torch through forward compatibility", and(tesla535, compat("580.65.06"), signs(torch130)), "pass", "forward"},
		{"torch, and nobody looked for compatibility libraries", and(tesla535, signs(torch130)), "warn", "13.0"},
		{"a version that is none", signs(image.Evidence{Kind: "torch", Version: "x", Path: "/x", Certain: true}), "unknown", "/x"},
		{"torch without compute", and(geforce535, capabilities("utility"), signs(torch130)), "skip", ""},
		// What could not be read is neither none nor enough.
		{"the image could not be read", unread("/venv: I/O error"), "unknown", "/venv: I/O error"},
		{"one of two", and(unread("/a: time-out"), unread("/b: time-out")), "unknown", "/a: time-out|1 more"},
		{"what was read is served", and(unread("/venv: I/O error"), signs(toolkit124), env("CUDA_VERSION=12.4.0")), "unknown", "/venv: I/O error"},
		{"CUDA_VERSION is served", and(unread("/venv: I/O error"), env("CUDA_VERSION=12.4.0")), "unknown", "/venv: I/O error"},
		{"CUDA_VERSION warns all the same", and(geforce535, unread("/venv: I/O error"), env("CUDA_VERSION=13.0.0")), "warn", "13.0"},
		{"what is surely loaded was read", and(unread("/b: I/O error"), signs(torch118)), "pass", "11.8"},
		{"unread without compute", and(unread("/venv: I/O error"), capabilities("utility")), "skip", ""},
		{"an observer", and(geforce580, legacyHook, observer, env("CUDA_VERSION=13.1.0")), "warn", "nvidia-smi"},
	})
}
