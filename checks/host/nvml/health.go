//go:build cgo

package nvml

import (
	"encoding/binary"
	"encoding/json"
	"path"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// lacks tells an answer that means: this GPU or this library does not have it.
func lacks(code nvml.Return) bool {
	return code == nvml.ERROR_NOT_SUPPORTED || code == nvml.ERROR_FUNCTION_NOT_FOUND
}

// optional makes a call whose answer is without where the library or the GPU does not have it.
func optional[T any](a asker, symbol string, without T, call func() (T, nvml.Return)) fact.Fact[T] {
	if !a.has(symbol) {
		return fact.Of(without, symbol)
	}
	value, code := call()
	switch {
	case code == nvml.SUCCESS:
		return fact.Of(value, symbol)
	case lacks(code):
		return fact.Of(without, symbol)
	}
	return missing[T](a, symbol, code)
}

// confCompute tells confidential computing; both calls are of driver 525 and later, and the GPUs' state is asked
// only where it is on.
func (a asker) confCompute() fact.Fact[host.ConfCompute] {
	const state, ready = "nvmlSystemGetConfComputeState", "nvmlSystemGetConfComputeGpusReadyState"
	on := optional(a, state, false, func() (bool, nvml.Return) {
		system, code := a.lib.SystemGetConfComputeState()
		return system.CcFeature == nvml.CC_SYSTEM_FEATURE_ENABLED, code
	})
	if !on.Known() || !on.Value {
		return fact.Fact[host.ConfCompute]{Source: on.Source, Unknown: on.Unknown}
	}
	accepting := ask(a, ready, a.lib.SystemGetConfComputeGpusReadyState)
	return fact.Fact[host.ConfCompute]{
		Value:  host.ConfCompute{Enabled: true, Ready: accepting.Value == nvml.CC_ACCEPTING_CLIENT_REQUESTS_TRUE},
		Source: ready, Unknown: accepting.Unknown,
	}
}

// The fields that tell a GPU's health, all asked by one call.
const (
	fieldUncorrected = iota
	fieldSingleBit
	fieldDoubleBit
	fieldRetirePending
	fieldRemapped
	fieldRemapPending
	fieldRemapFailed
	fieldRecovery
)

var healthFields = [...]uint32{
	fieldUncorrected: nvml.FI_DEV_ECC_DBE_VOL_TOTAL, fieldSingleBit: nvml.FI_DEV_RETIRED_SBE,
	fieldDoubleBit: nvml.FI_DEV_RETIRED_DBE, fieldRetirePending: nvml.FI_DEV_RETIRED_PENDING,
	fieldRemapped: nvml.FI_DEV_REMAPPED_UNC, fieldRemapPending: nvml.FI_DEV_REMAPPED_PENDING,
	fieldRemapFailed: nvml.FI_DEV_REMAPPED_FAILURE, fieldRecovery: nvml.FI_DEV_GET_GPU_RECOVERY_ACTION,
}

// health tells a GPU's memory and what it waits for to recover. A field that the driver is too old for, or that the
// GPU does not have, carries a code of its own.
func (a asker) health(device nvml.Device) (fact.Fact[host.Memory], fact.Fact[int]) {
	const symbol = "nvmlDeviceGetFieldValues"
	if !a.has(symbol) {
		return fact.Of(host.Memory{}, symbol), fact.Of(host.RecoveryNotTold, symbol)
	}
	var values [len(healthFields)]nvml.FieldValue
	for i, id := range healthFields {
		values[i].FieldId = id
	}
	switch code := device.GetFieldValues(values[:]); {
	case lacks(code):
		return fact.Of(host.Memory{}, symbol), fact.Of(host.RecoveryNotTold, symbol)
	case code != nvml.SUCCESS:
		return missing[host.Memory](a, symbol, code), missing[int](a, symbol, code)
	}
	return a.memory(symbol, values[:]), a.recovery(symbol, values[fieldRecovery])
}

func (a asker) memory(symbol string, values []nvml.FieldValue) fact.Fact[host.Memory] {
	var m host.Memory
	for i := range fieldRecovery {
		if code := nvml.Return(values[i].NvmlReturn); code != nvml.SUCCESS && !unheard(code) { //nolint:gosec // a code of NVML's is small
			return missing[host.Memory](a, symbol, code)
		}
	}
	if n, ok := number(values[fieldUncorrected]); ok {
		m.Uncorrected = &n
	}
	single, hasPages := number(values[fieldSingleBit])
	if double, ok := number(values[fieldDoubleBit]); ok && hasPages {
		pending, _ := number(values[fieldRetirePending])
		m.Pages = &host.PageRetirement{SingleBit: single, DoubleBit: double, Pending: pending == 1}
	}
	remapped, hasRows := number(values[fieldRemapped])
	if failed, ok := number(values[fieldRemapFailed]); ok && hasRows {
		pending, _ := number(values[fieldRemapPending])
		m.Rows = &host.RowRemapping{Uncorrectable: remapped, Pending: pending == 1, Failed: failed == 1}
	}
	return fact.Of(m, symbol)
}

func (a asker) recovery(symbol string, value nvml.FieldValue) fact.Fact[int] {
	action, ok := number(value)
	code := nvml.Return(value.NvmlReturn) //nolint:gosec // a code of NVML's is small
	switch {
	case ok && action < 1<<31:
		return fact.Of(int(action), symbol)
	case ok || unheard(code):
		return fact.Of(host.RecoveryNotTold, symbol)
	}
	return missing[int](a, symbol, code)
}

// unheard tells a field's code that means: not here. A driver older than the field calls it an invalid argument.
func unheard(code nvml.Return) bool { return lacks(code) || code == nvml.ERROR_INVALID_ARGUMENT }

// number reads a field's value by its type (nvml.h, nvmlValueType_t); ok is false for one that was not given, is
// negative, or is no whole number.
func number(v nvml.FieldValue) (n uint64, ok bool) {
	if nvml.Return(v.NvmlReturn) != nvml.SUCCESS { //nolint:gosec // a code of NVML's is small
		return 0, false
	}
	switch nvml.ValueType(v.ValueType) { //nolint:gosec // a type of NVML's is small
	case nvml.VALUE_TYPE_UNSIGNED_INT:
		return uint64(binary.NativeEndian.Uint32(v.Value[:])), true
	case nvml.VALUE_TYPE_UNSIGNED_LONG, nvml.VALUE_TYPE_UNSIGNED_LONG_LONG:
		return binary.NativeEndian.Uint64(v.Value[:]), true
	case nvml.VALUE_TYPE_SIGNED_INT:
		n := binary.NativeEndian.Uint32(v.Value[:])
		return uint64(n), n < 1<<31
	case nvml.VALUE_TYPE_SIGNED_LONG_LONG:
		n := binary.NativeEndian.Uint64(v.Value[:])
		return n, n < 1<<63
	default:
		return 0, false
	}
}

// mpsServer is the program that every client of CUDA's Multi-Process Service shares.
const mpsServer = "nvidia-cuda-mps-server"

// compute tells who may use a GPU for CUDA, and who does where only one may.
func (a asker) compute(device nvml.Device) fact.Fact[host.Compute] {
	mode := optional(a, "nvmlDeviceGetComputeMode", nvml.COMPUTEMODE_DEFAULT, device.GetComputeMode)
	told := fact.Fact[host.Compute]{Value: host.Compute{Mode: int(mode.Value)}, Source: mode.Source, Unknown: mode.Unknown}
	if !told.Known() || mode.Value != nvml.COMPUTEMODE_EXCLUSIVE_PROCESS {
		return told
	}
	const symbol = "nvmlDeviceGetComputeRunningProcesses"
	running := ask(a, symbol, device.GetComputeRunningProcesses)
	if !running.Known() {
		return fact.Missing[host.Compute](symbol, running.Unknown)
	}
	told.Value.Processes = len(running.Value)
	for _, process := range running.Value {
		name := ask(a, "nvmlSystemGetProcessName", func() (string, nvml.Return) {
			return a.lib.SystemGetProcessName(int(process.Pid))
		})
		program, _, _ := strings.Cut(name.Value, " ")
		told.Value.MPS = told.Value.MPS || path.Base(program) == mpsServer
	}
	return told
}

// draining is asked by address, before the handle: a GPU that is being drained may give none.
func (a asker) draining(bus string) fact.Fact[bool] {
	var pci nvml.PciInfo
	if !parseBus(bus, &pci) {
		return fact.Missing[bool]("nvmlDeviceQueryDrainState", "the GPU's address is not known")
	}
	return optional(a, "nvmlDeviceQueryDrainState", false, func() (bool, nvml.Return) {
		state, code := a.lib.DeviceQueryDrainState(&pci)
		return state == nvml.FEATURE_ENABLED, code
	})
}

// care tells what only doctor asks. The inforom comes last of all: it is read from flash, which takes long.
func (a asker) care() {
	for _, d := range a.devices.list {
		emit := func(name string, value json.Marshaler) { a.out.Emit(d.key, name, value) }
		emit("persistence", optional(a, "nvmlDeviceGetPersistenceMode", true, func() (bool, nvml.Return) {
			state, code := d.device.GetPersistenceMode()
			return state == nvml.FEATURE_ENABLED, code
		}))
		emit("slowdown", a.slowdown(d.device))
	}
	for _, d := range a.devices.list {
		a.out.Emit(d.key, "inforom", optional(a, "nvmlDeviceValidateInforom", host.NVMLSuccess, func() (int, nvml.Return) {
			code := d.device.ValidateInforom()
			if code == nvml.ERROR_CORRUPTED_INFOROM {
				return int(code), nvml.SUCCESS
			}
			return int(code), code
		}))
	}
}

// slowdown tells what holds the clocks down; the call had another name before driver 535.
func (a asker) slowdown(device nvml.Device) fact.Fact[uint64] {
	const symbol = "nvmlDeviceGetCurrentClocksEventReasons"
	if a.has(symbol) {
		return optional(a, symbol, 0, device.GetCurrentClocksEventReasons)
	}
	return optional(a, "nvmlDeviceGetCurrentClocksThrottleReasons", 0, device.GetCurrentClocksThrottleReasons)
}
