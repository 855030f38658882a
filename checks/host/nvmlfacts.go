package host

import "gpu-preflight/checks/fact"

// NVML return codes that the checks name (nvml.h, nvmlReturn_t).
const (
	NVMLSuccess          = 0
	NVMLNotSupported     = 3
	NVMLNoPermission     = 4
	NVMLNotFound         = 6
	NVMLDriverNotLoaded  = 9
	NVMLTimeout          = 10
	NVMLLibraryNotFound  = 12
	NVMLFunctionNotFound = 13
	NVMLGPUIsLost        = 15
	NVMLResetRequired    = 16
	NVMLOperatingSystem  = 17
	NVMLLibRMMismatch    = 18
	NVMLNotReady         = 27
	NVMLUnknown          = 999
)

// NVML is what the driver's management library answered.
type NVML struct {
	Library fact.Fact[string] `json:"library,omitzero"` // the file that was loaded
	Root    string            `json:"root,omitempty"`   // the driver root it belongs to
	Init    fact.Fact[int]    `json:"init,omitzero"`    // nvmlReturn_t of nvmlInit
	Driver  fact.Fact[string] `json:"driver,omitzero"`  // nvmlSystemGetDriverVersion
	CUDA    fact.Fact[string] `json:"cuda,omitzero"`    // 12.2: nvmlSystemGetCudaDriverVersion_v2, the kernel driver's own
	Count   fact.Fact[int]    `json:"count,omitzero"`   // GPUs listed
	GPUs    []GPU             `json:"gpus,omitempty"`   // the GPUs that were asked
}

// GPU is one GPU's answers. Every field is unknown until NVML was asked for it.
type GPU struct {
	Bus        string                 `json:"bus,omitempty"`
	NotAsked   string                 `json:"not_asked,omitempty"` // why this GPU was left alone (not resident)
	Handle     fact.Fact[int]         `json:"handle,omitzero"`     // nvmlReturn_t of the handle call
	Index      fact.Fact[int]         `json:"index,omitzero"`
	Minor      fact.Fact[int]         `json:"minor,omitzero"`
	UUID       fact.Fact[string]      `json:"uuid,omitzero"`
	Name       fact.Fact[string]      `json:"name,omitzero"`
	Brand      fact.Fact[string]      `json:"brand,omitzero"`      // NVML's word: TESLA, GEFORCE_RTX, NVIDIA …
	Capability fact.Fact[string]      `json:"capability,omitzero"` // compute capability, 8.9
	MIG        fact.Fact[MIGMode]     `json:"mig,omitzero"`
	Instances  fact.Fact[[]MIGDevice] `json:"instances,omitzero"`
	Fabric     fact.Fact[FabricState] `json:"fabric,omitzero"`
}

// MIGMode is nvmlDeviceGetMigMode: current and pending.
type MIGMode struct {
	Current bool `json:"current"`
	Pending bool `json:"pending"`
}

// MIGDevice is one MIG instance.
type MIGDevice struct {
	UUID string `json:"uuid"`
	GI   int    `json:"gi"`
	CI   int    `json:"ci"`
}

// Fabric registration states (nvml.h, NVML_GPU_FABRIC_STATE_*).
const (
	FabricNotSupported = 0
	FabricNotStarted   = 1
	FabricInProgress   = 2
	FabricCompleted    = 3
)

// FabricState is nvmlDeviceGetGpuFabricInfoV. Status (an nvmlReturn_t) counts only when State is FabricCompleted.
type FabricState struct {
	State  int    `json:"state"`
	Status int    `json:"status"`
	Health uint32 `json:"health_mask,omitempty"`
}
