//go:build cgo

package nvml

import (
	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// mig tells a GPU's MIG mode. A GPU that cannot and a library older than MIG both mean that it is off.
func (a asker) mig(device nvml.Device) fact.Fact[host.MIGMode] {
	const symbol = "nvmlDeviceGetMigMode"
	if !a.has(symbol) {
		return fact.Of(host.MIGMode{}, symbol)
	}
	current, pending, code := device.GetMigMode()
	switch code {
	case nvml.SUCCESS:
		return fact.Of(host.MIGMode{
			Current: current == nvml.DEVICE_MIG_ENABLE, Pending: pending == nvml.DEVICE_MIG_ENABLE,
		}, symbol)
	case nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_FUNCTION_NOT_FOUND:
		return fact.Of(host.MIGMode{}, symbol)
	default:
		return missing[host.MIGMode](a, symbol, code)
	}
}

// maxInstances bounds a count that is nonsense; a GPU has seven at most today.
const maxInstances = 64

// instances lists the MIG devices of a GPU whose MIG mode is on; with the mode off there are none.
func (a asker) instances(device nvml.Device, mode fact.Fact[host.MIGMode]) fact.Fact[[]host.MIGDevice] {
	const symbol = "nvmlDeviceGetMigDeviceHandleByIndex"
	if !mode.Known() {
		return fact.Missing[[]host.MIGDevice](symbol, "the MIG mode is unknown")
	}
	found := []host.MIGDevice{}
	if !mode.Value.Current {
		return fact.Of(found, symbol)
	}
	count := ask(a, "nvmlDeviceGetMaxMigDeviceCount", device.GetMaxMigDeviceCount)
	if !count.Known() || !a.has(symbol) {
		return fact.Missing[[]host.MIGDevice](symbol, "the number of instances is unknown")
	}
	for i := range min(count.Value, maxInstances) {
		instance, code := device.GetMigDeviceHandleByIndex(i)
		if code == nvml.ERROR_NOT_FOUND || code == nvml.ERROR_INVALID_ARGUMENT {
			continue // not every slot is taken
		}
		if code != nvml.SUCCESS {
			return missing[[]host.MIGDevice](a, symbol, code)
		}
		uuid := ask(a, "nvmlDeviceGetUUID", instance.GetUUID)
		gi := ask(a, "nvmlDeviceGetGpuInstanceId", instance.GetGpuInstanceId)
		ci := ask(a, "nvmlDeviceGetComputeInstanceId", instance.GetComputeInstanceId)
		if !uuid.Known() || !gi.Known() || !ci.Known() {
			return fact.Missing[[]host.MIGDevice](symbol, uuid.Why()+gi.Why()+ci.Why())
		}
		found = append(found, host.MIGDevice{UUID: uuid.Value, GI: gi.Value, CI: ci.Value})
	}
	return fact.Of(found, symbol)
}

// fabric tells a GPU's registration with the NVLink fabric, with the newest structure that the library takes.
func (a asker) fabric(device nvml.Device) fact.Fact[host.FabricState] {
	const versioned, plain = "nvmlDeviceGetGpuFabricInfoV", "nvmlDeviceGetGpuFabricInfo"
	code := nvml.ERROR_FUNCTION_NOT_FOUND
	if a.has(versioned) {
		info, result := device.GetGpuFabricInfoV().V3()
		if result == nvml.SUCCESS {
			return fact.Of(host.FabricState{State: int(info.State), Status: int(info.Status), Health: info.HealthMask}, versioned)
		}
		if code = result; refusesVersion(code) {
			older, result := device.GetGpuFabricInfoV().V2()
			if result == nvml.SUCCESS {
				return fact.Of(host.FabricState{State: int(older.State), Status: int(older.Status), Health: older.HealthMask}, versioned)
			}
			code = result
		}
	}
	if refusesVersion(code) && a.has(plain) {
		info, result := device.GetGpuFabricInfo()
		if result == nvml.SUCCESS {
			return fact.Of(host.FabricState{State: int(info.State), Status: int(info.Status)}, plain)
		}
		code = result
	}
	if code == nvml.ERROR_NOT_SUPPORTED {
		return fact.Of(host.FabricState{State: host.FabricNotSupported}, versioned)
	}
	return missing[host.FabricState](a, versioned, code)
}

// refusesVersion tells an answer that an older structure may get around.
func refusesVersion(code nvml.Return) bool {
	return code == nvml.ERROR_ARGUMENT_VERSION_MISMATCH || code == nvml.ERROR_FUNCTION_NOT_FOUND ||
		code == nvml.ERROR_INVALID_ARGUMENT
}
