package checks

import (
	"strings"

	"gpu-preflight/checks/host"
)

// From Hopper on every GPU registers with the NVLink fabric, and NVML tells how far it is: not started or in
// progress means 802 for CUDA, completed with an error means that this GPU stays out. NVML's state is the
// GPU's; the daemon's life is fabric-manager-running's matter. Elsewhere (trays, guests, bridge boards, shared
// NVSwitches) the fabric is not this host's to set up and a GPU may run alone, so that a bad state only warns.
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
		switch {
		case !f.wantsCompute():
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		case kind == fabricUnknown:
			return unknown("%s", why)
		case kind == fabricManaged:
			return skip("%s: these GPUs do not register", why)
		case kind == fabricOff || kind == fabricNone && !f.registers():
			return skip("%s", why)
		}
		r := f.registered()
		if kind != fabricRegister && r.Status == StatusFail {
			return r.lowered()
		}
		return r
	},
}

// registers tells whether NVML is known to say of some GPU asked for that it registers with a fabric.
func (f Facts) registers() bool {
	for _, g := range f.asked().GPUs {
		if g.Fabric.Known() && g.Fabric.Value.State != host.FabricNotSupported {
			return true
		}
	}
	return false
}

// registered judges every GPU asked for and reports the worst; a failure that waiting does not mend is worse
// than one that it may. all means what works: then it fails only when no GPU is left, and waits while one may come.
func (f Facts) registered() Result {
	asked := f.asked()
	worst := unknown("none of the GPUs asked for is known")
	var failing []gpu
	mayCome := false
	for i, g := range asked.GPUs {
		r := f.stateOf(g)
		if r.Status == StatusFail {
			failing = append(failing, g)
			mayCome = mayCome || r.Transient
		}
		if i == 0 || rank(r.Status) > rank(worst.Status) || r.Status == StatusFail && worst.Transient {
			worst = r
		}
	}
	switch {
	case !asked.All || len(failing) == 0:
	case asked.mayBeLeft(failing):
		return worst.lowered()
	case mayCome:
		worst.Transient, worst.LookAgain = true, false
	}
	return worst
}

// stateOf judges one GPU as on a host that sets up its own fabric.
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
	case state.Value.State == host.FabricNotSupported && strings.Contains(g.model, "GH200"):
		return skip("a GH200 that stands alone has no fabric").from(state.Source)
	}
	return warn("GPU %s: NVML tells no usable fabric state (%d)", g, state.Value.State).
		fix("look at the fabric's own manager: on trays and shared NVSwitches it runs outside this host").from(state.Source)
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
		fix(f.startManager(), "on B200 and B300 look at nvlsm and the modules ib_umad and mlx5_core too").
		from(g.Fabric.Source)
	r.Transient = f.justBooted() || !f.managerSettled()
	r.LookAgain = !r.Transient
	return r
}
