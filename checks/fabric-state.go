package checks

import (
	"gpu-preflight/checks/host"
)

// From Hopper on every GPU registers with the NVLink fabric, and NVML tells how far it is: not started or in
// progress means 802 for CUDA, completed with an error means that this GPU stays out. NVML's state is the
// GPU's; the daemon's life is fabric-manager-running's matter.
// https://docs.nvidia.com/deploy/nvml-api/ (nvmlDeviceGetGpuFabricInfoV); gpu-operator#2781
var fabricState = Check{
	ID:    "fabric-state",
	Title: "the GPUs asked for are registered with the NVLink fabric",
	Layer: FabricSys,
	Why:   `CUDA would fail with error 802, "system not yet initialized"`,
	CUDA:  []int{802},
	Links: []string{"https://github.com/NVIDIA/gpu-operator/issues/2781"},
	After: []string{"driver-loaded", "driver-library-version", "nvml-responds", "gpu-present", "fabric-manager-running"},
	Run: func(f Facts) Result {
		kind, why := f.fabric()
		if kind == fabricUnknown {
			return unknown("%s", why)
		}
		if kind == fabricOff || kind == fabricManaged {
			return skip("%s", why)
		}
		if !f.wantsCompute() {
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		}
		worst, asked := f.worstState()
		if kind == fabricRegister || worst.Status == StatusSkip || worst.Status == StatusUnknown {
			return worst.orNone(kind, why)
		}
		if worst.Status == StatusFail {
			// Trays, guests and bridge boards: the fabric is not this host's to set up, and a GPU may run alone.
			worst.Status, worst.Transient, worst.LookAgain = StatusWarn, false, false
		}
		if kind == fabricNone && worst.Status == StatusWarn && asked == 0 {
			return skip("%s", why)
		}
		return worst
	},
}

// orNone keeps hosts without a fabric out of unknown: where nothing has to be set up, nothing has to be known.
func (r Result) orNone(kind fabricKind, why string) Result {
	if kind == fabricNone && r.Status == StatusUnknown {
		return skip("%s", why)
	}
	return r
}

// worstState judges every GPU asked for. asked counts those whose GPU has a fabric at all.
func (f Facts) worstState() (worst Result, asked int) {
	gpus := f.asked()
	worst = unknown("no GPU is known")
	var hurt, left []gpu
	var trouble Result
	for _, g := range gpus.GPUs {
		r := f.stateOf(g)
		switch {
		case r.Status == StatusFail:
			hurt, trouble = append(hurt, g), r
		case r.Status == StatusSkip:
			left = append(left, g)
		}
		if g.Fabric.Known() && g.Fabric.Value.State != host.FabricNotSupported {
			asked++
		}
		if worst.What == "no GPU is known" || rank(r.Status) > rank(worst.Status) {
			worst = r
		}
	}
	if len(hurt) > 0 && gpus.All && len(hurt)+len(left) < len(gpus.GPUs) {
		trouble.Status, trouble.Transient, trouble.LookAgain = StatusWarn, false, false
		return trouble, asked
	}
	return worst, asked
}

// stateOf judges one GPU on a host whose GPUs must register.
func (f Facts) stateOf(g gpu) Result {
	state := g.Fabric
	switch {
	case !state.Known() && g.NotAsked != "":
		return skip("not asked: %s", g.NotAsked)
	case !state.Known():
		return unknown("GPU %s: %s", g, state.Why())
	case state.Value.State == host.FabricCompleted && state.Value.Status == host.NVMLSuccess:
		return pass("completed").from(state.Source)
	case state.Value.State == host.FabricCompleted:
		return fail("GPU %s has completed its fabric registration with an error (NVML code %d)", g, state.Value.Status).
			fix("read Fabric Manager's log (/var/log/fabricmanager.log) for this GPU", "restart nvidia-fabricmanager and reset the GPU").
			from(state.Source)
	case state.Value.State == host.FabricNotStarted || state.Value.State == host.FabricInProgress:
		return f.registering(g)
	}
	return warn("GPU %s: NVML tells no usable fabric state (%d)", g, state.Value.State).from(state.Source)
}

// registering judges a GPU that has not finished: final only when both the host and Fabric Manager have had
// ten minutes.
func (f Facts) registering(g gpu) Result {
	state := "has not started"
	if g.Fabric.Value.State == host.FabricInProgress {
		state = "is still in progress"
	}
	manager := ""
	if m := f.Host.Fabric.Manager; m.Known() && len(m.Value) == 0 && f.seesProcesses() {
		manager = ", and nv-fabricmanager does not run"
	}
	r := fail("the fabric registration of GPU %s %s%s", g, state, manager).
		fix("start Fabric Manager of the driver's very version ("+f.driverName()+") on this host: systemctl restart nvidia-fabricmanager",
			"on B200 and B300 look at nvlsm and the modules ib_umad and mlx5_core too").
		from(g.Fabric.Source)
	r.Transient = f.justBooted() || !f.managerSettled()
	r.LookAgain = !r.Transient
	return r
}
