package host

import (
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/fact"
)

const procNVIDIA = "/proc/driver/nvidia"

// procGPUs reads /proc/driver/nvidia/gpus/*/information, the driver's own list, ordered by bus. No folder is a
// known empty list where /proc/driver is there at all (gVisor and some nested hosts hide it).
func (t tree) procGPUs() fact.Fact[[]ProcGPU] {
	const path = procNVIDIA + "/gpus"
	names, err := t.names(path)
	if absent(err) {
		return ifDriverless(t, path, []ProcGPU{})
	}
	if err != nil {
		return fact.Missing[[]ProcGPU](path, reason(err))
	}
	gpus := []ProcGPU{}
	for _, name := range names {
		bus, ok := normalBus(name)
		if !ok {
			continue
		}
		text, err := t.text(path + "/" + name + "/information")
		if err != nil {
			return fact.Missing[[]ProcGPU](path+"/"+name+"/information", reason(err))
		}
		gpus = append(gpus, parseInformation(bus, text))
	}
	slices.SortFunc(gpus, func(a, b ProcGPU) int { return strings.Compare(a.Bus, b.Bus) })
	return fact.Of(gpus, path)
}

// ifDriverless is a known none when /proc/driver exists and so would show the absent path if it were there.
func ifDriverless[T any](t tree, path string, none T) fact.Fact[T] {
	there, err := t.exists("/proc/driver")
	switch {
	case err != nil:
		return fact.Missing[T]("/proc/driver", reason(err))
	case !there:
		return fact.Missing[T](path, "/proc/driver is not there")
	default:
		return fact.Of(none, path)
	}
}

// parseInformation reads a GPU's information file (nv-procfs.c): "Video BIOS: \t 95.04.65.00.13". A GPU that was
// never initialised shows question marks there, and in its UUID.
func parseInformation(bus, text string) ProcGPU {
	gpu := ProcGPU{Bus: bus, Minor: -1}
	for key, value := range pairs(text, ":") {
		known := !strings.Contains(value, "??")
		switch key {
		case "Model":
			gpu.Model = value
		case "GPU UUID":
			if known && strings.HasPrefix(value, "GPU-") {
				gpu.UUID = value
			}
		case "Video BIOS":
			gpu.Resident = known && strings.ContainsAny(value, "0123456789")
		case "Device Minor":
			if minor, err := strconv.ParseUint(value, 10, 20); err == nil {
				gpu.Minor = int(minor) // 20 bits, as the kernel has
			}
		case "GPU Excluded":
			gpu.Excluded = value == "Yes"
		}
	}
	return gpu
}

// pairs are the lines of a text as key and value, white space around both cut off; a line without sep is none.
func pairs(text, sep string) func(yield func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for line := range strings.Lines(text) {
			key, value, ok := strings.Cut(line, sep)
			if ok && !yield(strings.TrimSpace(key), strings.TrimSpace(value)) {
				return
			}
		}
	}
}

// params reads /proc/driver/nvidia/params: the module's parameters in force ("ModifyDeviceFiles: 1").
func (t tree) params() fact.Fact[map[string]string] {
	const path = procNVIDIA + "/params"
	text, err := t.text(path)
	if absent(err) {
		return ifDriverless(t, path, map[string]string{})
	}
	if err != nil {
		return fact.Missing[map[string]string](path, reason(err))
	}
	return fact.Of(parseParams(text), path)
}

func parseParams(text string) map[string]string {
	found := map[string]string{}
	for key, value := range pairs(text, ":") {
		if key != "" {
			found[key] = strings.Trim(value, `"`)
		}
	}
	return found
}

// migCaps reads which minor of /dev/nvidia-caps opens which MIG instance:
// /proc/driver/nvidia/capabilities/gpu0/mig/gi1/access and …/gi1/ci0/access, "DeviceFileMinor: 12".
func (t tree) migCaps() fact.Fact[[]MIGCapability] {
	const path = procNVIDIA + "/capabilities"
	gpus, err := t.numbered(path, "gpu")
	if absent(err) {
		return ifDriverless(t, path, []MIGCapability{})
	}
	caps := []MIGCapability{}
	for _, gpu := range gpus {
		if err == nil {
			caps, err = t.gpuCaps(caps, path+"/gpu"+strconv.Itoa(gpu)+"/mig", gpu)
		}
	}
	if err != nil {
		return fact.Missing[[]MIGCapability](path, reason(err))
	}
	return fact.Of(caps, path)
}

func (t tree) gpuCaps(caps []MIGCapability, path string, gpu int) ([]MIGCapability, error) {
	instances, err := t.numbered(path, "gi")
	if absent(err) {
		return caps, nil
	}
	for _, gi := range instances {
		dir := path + "/gi" + strconv.Itoa(gi)
		var computes []int
		if computes, err = t.numbered(dir, "ci"); err != nil {
			return caps, err
		}
		if caps, err = t.addCap(caps, dir, MIGCapability{GPU: gpu, GI: gi, CI: -1}); err != nil {
			return caps, err
		}
		for _, ci := range computes {
			caps, err = t.addCap(caps, dir+"/ci"+strconv.Itoa(ci), MIGCapability{GPU: gpu, GI: gi, CI: ci})
			if err != nil {
				return caps, err
			}
		}
	}
	return caps, err
}

// addCap adds the capability whose access file lies in dir; an instance that went away meanwhile adds nothing.
func (t tree) addCap(caps []MIGCapability, dir string, c MIGCapability) ([]MIGCapability, error) {
	text, err := t.text(dir + "/access")
	if absent(err) {
		return caps, nil
	}
	if err != nil {
		return caps, err
	}
	if c.Minor, err = strconv.Atoi(parseParams(text)["DeviceFileMinor"]); err != nil {
		return caps, err
	}
	return append(caps, c), nil
}

// numbered returns the N of the names prefix+N in a folder, in order.
func (t tree) numbered(path, prefix string) ([]int, error) {
	names, err := t.names(path)
	var found []int
	for _, name := range names {
		digits, ok := strings.CutPrefix(name, prefix)
		n, bad := strconv.ParseUint(digits, 10, 31)
		if ok && bad == nil {
			found = append(found, int(n))
		}
	}
	slices.Sort(found)
	return found, err
}

// normalBus writes a PCI address the kernel's way, 0000:17:00.0; NVML has eight digits before the first colon.
func normalBus(s string) (string, bool) {
	s = strings.ToLower(s)
	domain, rest, ok := strings.Cut(s, ":")
	if !ok || len(rest) != len("17:00.0") || rest[2] != ':' || rest[5] != '.' {
		return "", false
	}
	if strings.Trim(domain+rest[:2]+rest[3:5]+rest[6:], "0123456789abcdef") != "" || len(domain) < 4 || len(domain) > 8 {
		return "", false
	}
	for len(domain) > 4 && domain[0] == '0' {
		domain = domain[1:]
	}
	return domain + ":" + rest, true
}
