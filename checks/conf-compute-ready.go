package checks

// With confidential computing on, the GPUs take no work until somebody who has verified them says that they may
// (nvidia-smi conf-compute -srs 1, after attestation): until then CUDA says 802.
// https://docs.nvidia.com/deploy/nvml-api/ (nvmlSystemGetConfComputeGpusReadyState)
var confComputeReady = Check{
	ID:    "conf-compute-ready",
	Title: "the GPUs take work where confidential computing is on",
	Layer: Hardware,
	Why:   `CUDA would fail with error 802, "system not yet initialized"`,
	CUDA:  []int{802},
	Links: []string{"https://docs.nvidia.com/deploy/nvml-api/"},
	After: []string{"nvml-responds", "gpu-present"},
	Run: func(f Facts) Result {
		switch cc := f.Host.NVML.ConfCompute; {
		case !f.wantsCompute():
			return skip("CUDA is not asked for (NVIDIA_DRIVER_CAPABILITIES)")
		case !cc.Known():
			return unknown("%s", cc.Why())
		case !cc.Value.Enabled:
			return skip("confidential computing is off").from(cc.Source)
		case cc.Value.Ready:
			return pass("confidential computing is on, and the GPUs take work").from(cc.Source)
		default:
			r := fail("confidential computing is on, but the GPUs were not released for work (ready state 0)").
				fix("attest the GPUs, then release them: nvidia-smi conf-compute -srs 1").from(cc.Source)
			r.Transient, r.LookAgain = f.justBooted(), !f.justBooted()
			return r
		}
	},
}
