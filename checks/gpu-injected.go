package checks

// A device plugin gave GPUs by name (NVIDIA_VISIBLE_DEVICES=GPU-...) and nothing of them is in the container's
// configuration: the runtime class or the nvidia runtime is missing. The container starts without a GPU.
var gpuInjected = Check{
	ID:     "gpu-injected",
	Title:  "the GPUs given are in the container's configuration",
	Layer:  Container,
	Why:    `the container starts without a GPU: CUDA error 100, "no CUDA-capable device is detected"`,
	CUDA:   []int{100, 35},
	Links:  []string{"https://github.com/NVIDIA/k8s-device-plugin#configuring-containerd"},
	Launch: true,
	Run: func(f Facts) Result {
		if f.Launch.GPUs.Injected {
			return pass("put in by %s", firstKnown(list(f.Launch.GPUs.Reasons), "the container's configuration"))
		}
		return warn("NVIDIA_VISIBLE_DEVICES names %s, but no device, library or hook of NVIDIA was put in", list(f.Launch.GPUs.Devices)).
			fix("give the pod the nvidia runtime class, or make the nvidia runtime or CDI the engine's way to inject GPUs")
	},
}
