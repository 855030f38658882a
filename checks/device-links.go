package checks

// With the legacy hook the engine does not know of the GPU's nodes. When systemd keeps the device rules, a daemon-reload
// writes them anew from what it knows, and the GPUs are taken from running containers ("Failed to initialize NVML:
// Unknown Error"). systemd resolves nodes through /dev/char.
// https://github.com/NVIDIA/nvidia-container-toolkit/issues/48
var deviceLinks = Check{
	ID:     "device-links",
	Title:  "systemd finds the GPU's device nodes",
	Layer:  Container,
	Why:    "systemctl daemon-reload takes the GPUs from running containers: NVML says \"Unknown Error\" in them",
	CUDA:   []int{100, 304},
	Links:  []string{"https://github.com/NVIDIA/nvidia-container-toolkit/issues/48", "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		unlinked, systemd, mode := f.Host.Stack.Unlinked, f.Host.Stack.Systemd, f.Host.Stack.ToolkitMode
		_, legacy := f.program("nvidia-container-cli")
		switch {
		case systemd.Known() && !systemd.Value:
			return skip("systemd does not run this host")
		case !f.Host.Stack.Programs.Known():
			return unknown("%s", f.Host.Stack.Programs.Why())
		case !legacy || mode.Value == "cdi" || mode.Value == "jit-cdi":
			return skip("the legacy hook is not used")
		case !unlinked.Known():
			return unknown("%s", unlinked.Why())
		case len(unlinked.Value) == 0:
			return pass("every node has its link in /dev/char").from(unlinked.Source)
		}
		return warn("no link in /dev/char leads to %s", few(unlinked.Value)).
			fix("nvidia-ctk system create-dev-char-symlinks --create-all, at each boot (a udev rule, as NVIDIA's guide has it)",
				"or let the engine use CDI, which tells it the nodes").from(unlinked.Source)
	},
}
