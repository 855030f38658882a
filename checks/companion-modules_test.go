package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func modules(names ...string) change {
	return stack(func(s *host.Stack) { s.Modules = known(names) })
}

func TestCompanionModules(t *testing.T) {
	infiniband := modules("ib_umad", "mlx5_core", "mlx5_ib", "nvidia", "nvidia_uvm")
	testCheck(t, companionModules, []row{
		{"healthy: open modules on a kernel with DMA-BUF", nil, "pass", "loaded: nvidia, nvidia_modeset, nvidia_uvm; network adapters reach GPU memory by DMA-BUF"},
		{"proprietary modules beside InfiniBand", and(infiniband, flavor("proprietary")), "warn", "InfiniBand is set up|nvidia_peermem is not loaded|the proprietary modules|modprobe nvidia-peermem"},
		{"a kernel before DMA-BUF", and(infiniband, func(f *Facts) { f.Host.Kernel = known("5.4.0-150-generic") }), "warn", "kernel 5.4.0-150-generic"},
		{"the same with peermem", and(modules("ib_umad", "mlx5_ib", "nvidia", "nvidia_peermem"), flavor("proprietary")), "pass", "loaded: nvidia, nvidia_peermem"},
		{"the one of before R470", and(modules("ib_umad", "mlx5_ib", "nvidia", "nv_peer_mem"), flavor("proprietary")), "pass", "nv_peer_mem"},
		{"an adapter for Ethernet alone", and(modules("mlx5_core", "mlx5_ib", "nvidia", "nvidia_uvm"), flavor("proprietary")), "pass", "nothing here needs nvidia_peermem"},
		{"the kind of modules is not known", and(infiniband, func(f *Facts) { f.Host.Driver.Flavor = missing[string]() }), "unknown", "time-out"},
		{"the kernel is not known", and(infiniband, func(f *Facts) { f.Host.Kernel = missing[string]() }), "unknown", "time-out"},
		{"no module", modules("mlx5_ib", "nouveau"), "skip", "no module of the driver is loaded"},
		{"unread", stack(func(s *host.Stack) { s.Modules = missing[[]string]() }), "unknown", "time-out"},
		{"WSL", wsl, "skip", "WSL2"},
	})
}
