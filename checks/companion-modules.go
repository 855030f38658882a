package checks

import (
	"slices"
	"strings"

	"gpu-preflight/checks/host"
)

// dmaBUF is the first kernel by which an adapter reaches GPU memory without nvidia-peermem.
const dmaBUF = "5.12"

// Beside nvidia come nvidia-uvm for CUDA (nvidia-uvm-loaded judges it for a launch), nvidia-modeset and nvidia-drm for a
// display, which CUDA does without, and nvidia-peermem, by which network adapters read and write GPU memory. DMA-BUF does
// that too, with the open modules alone. ib_umad tells InfiniBand from an adapter that serves Ethernet (rdma-core loads it
// for the former only).
// https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/gpu-operator-rdma.html
var companionModules = Check{
	ID:     "companion-modules",
	Title:  "the modules beside nvidia are loaded where something needs them (uvm, modeset, peermem)",
	Layer:  Kernel,
	Why:    "GPUDirect RDMA does not work: jobs over several hosts copy through the host's memory, at a part of the network's speed",
	Links:  []string{"https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/gpu-operator-rdma.html"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		modules := f.Host.Stack.Modules
		if !modules.Known() {
			return unknown("%s", modules.Why())
		}
		has := func(name string) bool { return slices.Contains(modules.Value, name) }
		loaded := slices.DeleteFunc(slices.Clone(modules.Value), func(name string) bool {
			return name != "nv_peer_mem" && name != "nvidia" && !strings.HasPrefix(name, "nvidia_")
		})
		flavor, kernel := f.Host.Driver.Flavor, f.Host.Kernel
		switch {
		case !has("nvidia"):
			return skip("no module of the driver is loaded")
		case has("nvidia_peermem") || has("nv_peer_mem"):
			return pass("loaded: %s", list(loaded)).from(modules.Source)
		case !has("mlx5_ib") || !has("ib_umad"):
			return pass("loaded: %s; nothing here needs nvidia_peermem", list(loaded)).from(modules.Source)
		}
		if why := firstUnknown(flavor, kernel); why != "" {
			return unknown("whether nvidia_peermem is needed beside InfiniBand is not known: %s", why)
		}
		only := "the proprietary modules"
		if flavor.Value == "open" {
			only = "kernel " + kernel.Value
			if host.CompareReleases(kernel.Value, dmaBUF) >= 0 {
				return pass("loaded: %s; network adapters reach GPU memory by DMA-BUF", list(loaded)).from(modules.Source, flavor.Source)
			}
		}
		return warn("InfiniBand is set up (mlx5_ib, ib_umad), and nvidia_peermem is not loaded, without which %s cannot give GPU memory to the adapters", only).
			fix("where jobs span hosts: modprobe nvidia-peermem, and name it in /etc/modules-load.d; or the open modules on kernel "+dmaBUF+" and later").
			from(modules.Source, flavor.Source)
	},
}
