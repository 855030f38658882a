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

	ConfCompute fact.Fact[ConfCompute] `json:"conf_compute,omitzero"` // nvmlSystemGetConfComputeState
	GPUs        []GPU                  `json:"gpus,omitempty"`        // the GPUs that were asked
}

// ConfCompute is confidential computing: whether it is on, and whether the GPUs then take work
// (nvmlSystemGetConfComputeGpusReadyState). A driver that does not know it has it off.
type ConfCompute struct {
	Enabled bool `json:"enabled"`
	Ready   bool `json:"ready"`
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
	Recovery   fact.Fact[int]         `json:"recovery,omitzero"` // what the GPU waits for: Recovery…
	Memory     fact.Fact[Memory]      `json:"memory,omitzero"`
	Compute    fact.Fact[Compute]     `json:"compute,omitzero"`
	Draining   fact.Fact[bool]        `json:"draining,omitzero"` // nvmlDeviceQueryDrainState

	// Asked in doctor's scope only.
	Persistence fact.Fact[bool]   `json:"persistence,omitzero"` // nvmlDeviceGetPersistenceMode
	Inforom     fact.Fact[int]    `json:"inforom,omitzero"`     // nvmlReturn_t of nvmlDeviceValidateInforom
	Slowdown    fact.Fact[uint64] `json:"slowdown,omitzero"`    // nvmlClocksEventReason… bits that hold the clocks down now
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

// What NVML says of a GPU's recovery (nvml.h, nvmlDeviceGpuRecoveryAction_t). -1 is ours: this GPU or driver does not tell.
const (
	RecoveryNotTold      = -1
	RecoveryNone         = 0
	RecoveryReset        = 1
	RecoveryReboot       = 2
	RecoveryDrainP2P     = 3
	RecoveryDrainReset   = 4
	RecoveryIMEX         = 5
	RecoveryBusReset     = 6
	RecoverySystemReboot = 7
)

// Memory is the state of a GPU's memory. A part is nil where this GPU or driver does not have it.
type Memory struct {
	Uncorrected *uint64         `json:"uncorrected,omitempty"` // volatile uncorrectable ECC errors: since the driver was loaded
	Rows        *RowRemapping   `json:"rows,omitempty"`        // Ampere and later
	Pages       *PageRetirement `json:"pages,omitempty"`       // before Ampere
}

// RowRemapping counts the rows that spare ones stand in for.
type RowRemapping struct {
	Uncorrectable uint64 `json:"uncorrectable"` // for uncorrectable errors
	Pending       bool   `json:"pending"`       // the next reset remaps
	Failed        bool   `json:"failed"`        // a row could not be remapped
}

// PageRetirement counts the pages of memory that are not used any more.
type PageRetirement struct {
	SingleBit uint64 `json:"single_bit"`
	DoubleBit uint64 `json:"double_bit"`
	Pending   bool   `json:"pending"` // the next reset or reload retires
}

// Compute modes (nvml.h, NVML_COMPUTEMODE_*).
const (
	ComputeDefault          = 0
	ComputeProhibited       = 2
	ComputeExclusiveProcess = 3
)

// Compute is who may use a GPU for CUDA. The processes are asked only where the mode admits one.
type Compute struct {
	Mode      int  `json:"mode"`
	Processes int  `json:"processes,omitempty"` // that use the GPU for CUDA now
	MPS       bool `json:"mps,omitempty"`       // one of them is the server of CUDA's Multi-Process Service
}

// FabricState is nvmlDeviceGetGpuFabricInfoV. Status (an nvmlReturn_t) counts only when State is FabricCompleted.
type FabricState struct {
	State  int    `json:"state"`
	Status int    `json:"status"`
	Health uint32 `json:"health_mask,omitempty"`
}
