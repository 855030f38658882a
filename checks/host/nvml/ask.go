//go:build cgo

package nvml

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// asker asks one library and tells each answer at once.
type asker struct {
	lib     nvml.Interface
	out     *host.Emitter
	symbols map[string]bool // what was looked up
	devices *devices        // that gave a handle
}

type devices struct{ list []keyed }

// keyed is a GPU under the key that it is told by.
type keyed struct {
	key    string
	device nvml.Device
}

// Ask loads the library, starts NVML and tells what it says of the host; then it asks plan which GPUs to ask, and
// tells what it says of each. nvmlInit initialises no GPU; the handle call does.
func Ask(library string, plan func() host.Plan, out *host.Emitter) {
	a := asker{lib: nvml.New(nvml.WithLibraryPath(library)), out: out, symbols: map[string]bool{}, devices: &devices{}}
	code := a.lib.Init()
	out.Emit("", "init", fact.Of(int(code), "nvmlInit_v2"))
	if code != nvml.SUCCESS {
		return
	}
	out.Emit("", "driver", ask(a, "nvmlSystemGetDriverVersion", a.lib.SystemGetDriverVersion))
	out.Emit("", "cuda", a.cuda())
	out.Emit("", "count", ask(a, "nvmlDeviceGetCount_v2", a.lib.DeviceGetCount))
	out.Emit("", "conf_compute", a.confCompute())
	out.Flush() // a library that crashes on a GPU takes what waits along
	wanted := plan()
	for _, bus := range wanted.Buses {
		a.byBus(bus)
	}
	if wanted.All {
		a.everyOne()
	}
	if wanted.Care {
		out.Flush()
		a.care()
	}
}

// ask makes one call, if the library has it: a symbol that it lacks would end the process with status 127.
func ask[T any](a asker, symbol string, call func() (T, nvml.Return)) fact.Fact[T] {
	if !a.has(symbol) {
		return fact.Missing[T](symbol, "this library does not have it")
	}
	value, code := call()
	if code != nvml.SUCCESS {
		return missing[T](a, symbol, code)
	}
	return fact.Of(value, symbol)
}

func missing[T any](a asker, symbol string, code nvml.Return) fact.Fact[T] {
	text := "unknown error"
	if a.has("nvmlErrorString") {
		text = code.Error()
	}
	return fact.Missing[T](symbol, fmt.Sprintf("NVML returned %d (%s)", int(code), text))
}

func (a asker) has(symbol string) bool {
	there, known := a.symbols[symbol]
	if !known {
		there = a.lib.Extensions().LookupSymbol(symbol) == nil
		a.symbols[symbol] = there
	}
	return there
}

// cuda is the kernel driver's CUDA version. The call of the name with _v2 asks the kernel driver; the older one,
// which go-nvml does not make, asks whatever libcuda is found.
func (a asker) cuda() fact.Fact[string] {
	const symbol = "nvmlSystemGetCudaDriverVersion_v2"
	number := ask(a, symbol, a.lib.SystemGetCudaDriverVersion_v2)
	version := cuda.FromNVML(number.Value)
	switch {
	case !number.Known():
		return fact.Missing[string](number.Source, number.Unknown)
	case version.IsZero(): // it says nothing; taken for a version it would serve no image
		return fact.Missing[string](symbol, fmt.Sprintf("NVML gave no version (%d)", number.Value))
	}
	return fact.Of(version.String(), symbol)
}

func (a asker) byBus(bus string) {
	const symbol = "nvmlDeviceGetHandleByPciBusId_v2"
	a.out.Emit(bus, "draining", a.draining(bus))
	if !a.has(symbol) {
		a.out.Emit(bus, "handle", fact.Missing[int](symbol, "this library does not have it"))
		return
	}
	device, code := a.lib.DeviceGetHandleByPciBusId(bus)
	a.device(bus, symbol, device, code)
}

// maxDevices bounds a count that is nonsense.
const maxDevices = 256

func (a asker) everyOne() {
	const symbol = "nvmlDeviceGetHandleByIndex_v2"
	count, code := a.lib.DeviceGetCount()
	if code != nvml.SUCCESS || !a.has(symbol) {
		return
	}
	for i := range min(count, maxDevices) {
		key := "#" + strconv.Itoa(i)
		device, code := a.lib.DeviceGetHandleByIndex(i)
		if code == nvml.SUCCESS {
			bus := a.bus(device)
			a.out.Emit(key, "bus", bus)
			a.out.Emit(key, "draining", a.draining(bus.Value))
		}
		a.device(key, symbol, device, code)
	}
}

func (a asker) bus(device nvml.Device) fact.Fact[string] {
	return ask(a, "nvmlDeviceGetPciInfo_v3", func() (string, nvml.Return) {
		info, code := device.GetPciInfo()
		return text(info.BusId[:]), code
	})
}

// parseBus fills in the parts of an address that NVML reads: 0000:17:00.0, with four digits before the first colon or
// eight.
func parseBus(bus string, into *nvml.PciInfo) bool {
	n, err := fmt.Sscanf(bus, "%x:%x:%x.", &into.Domain, &into.Bus, &into.Device)
	return err == nil && n == 3
}

// text is a C string in an array.
func text[C int8 | uint8](chars []C) string {
	var out []byte
	for _, c := range chars {
		if c == 0 {
			break
		}
		out = append(out, byte(c))
	}
	return string(out)
}

// device tells everything about one GPU.
func (a asker) device(key, symbol string, device nvml.Device, code nvml.Return) {
	emit := func(name string, value json.Marshaler) { a.out.Emit(key, name, value) }
	emit("handle", fact.Of(int(code), symbol))
	if code != nvml.SUCCESS {
		return
	}
	emit("index", ask(a, "nvmlDeviceGetIndex", device.GetIndex))
	emit("minor", ask(a, "nvmlDeviceGetMinorNumber", device.GetMinorNumber))
	emit("uuid", ask(a, "nvmlDeviceGetUUID", device.GetUUID))
	emit("name", ask(a, "nvmlDeviceGetName", device.GetName))
	emit("brand", ask(a, "nvmlDeviceGetBrand", func() (string, nvml.Return) {
		brand, code := device.GetBrand()
		return brandWord(brand), code
	}))
	emit("capability", ask(a, "nvmlDeviceGetCudaComputeCapability", func() (string, nvml.Return) {
		major, minor, code := device.GetCudaComputeCapability()
		return fmt.Sprintf("%d.%d", major, minor), code
	}))
	mig := a.mig(device)
	emit("mig", mig)
	emit("instances", a.instances(device, mig))
	emit("fabric", a.fabric(device))
	memory, recovery := a.health(device)
	emit("memory", memory)
	emit("recovery", recovery)
	emit("compute", a.compute(device))
	a.devices.list = append(a.devices.list, keyed{key, device})
}

// brands are NVML's words (nvml.h, NVML_BRAND_*) by number.
var brands = []string{
	"UNKNOWN", "QUADRO", "TESLA", "NVS", "GRID", "GEFORCE", "TITAN", "NVIDIA_VAPPS", "NVIDIA_VPC", "NVIDIA_VCS",
	"NVIDIA_VWS", "NVIDIA_CLOUD_GAMING", "QUADRO_RTX", "NVIDIA_RTX", "NVIDIA", "GEFORCE_RTX", "TITAN_RTX",
	"NVIDIA_DLA", "NVIDIA_VGAMEDEV", "NVIDIA_NPU",
}

func brandWord(brand nvml.BrandType) string {
	if brand < 0 || int(brand) >= len(brands) {
		return "BRAND_" + strconv.Itoa(int(brand))
	}
	return brands[brand]
}
