package host

import (
	"slices"
	"strings"

	"gpu-preflight/checks/fact"
)

// ModProbe is a line of modprobe.d(5) that concerns the driver.
type ModProbe struct {
	Path    string `json:"path"`
	Command string `json:"command"` // options | blacklist | install | softdep
	Module  string `json:"module"`
	Rest    string `json:"rest,omitempty"`
}

// modprobeDirs in their order of precedence: of two files with one name the first counts.
var modprobeDirs = []string{"/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"}

func (t tree) modprobe() fact.Fact[[]ModProbe] {
	found, seen := []ModProbe{}, map[string]bool{}
	for _, dir := range modprobeDirs {
		names, err := t.names(dir)
		if absent(err) {
			continue
		}
		if err != nil {
			return fact.Missing[[]ModProbe](dir, reason(err))
		}
		slices.Sort(names)
		for _, name := range names {
			if !strings.HasSuffix(name, ".conf") || seen[name] {
				continue
			}
			seen[name] = true
			text, err := t.text(dir + "/" + name)
			if err != nil && !absent(err) {
				return fact.Missing[[]ModProbe](dir+"/"+name, reason(err))
			}
			found = append(found, parseModProbe(dir+"/"+name, text)...)
		}
	}
	return fact.Of(found, "modprobe.d")
}

func parseModProbe(path, text string) []ModProbe {
	var found []ModProbe
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		words := strings.Fields(line)
		if len(words) < 2 || strings.HasPrefix(words[0], "#") {
			continue
		}
		module := strings.ReplaceAll(words[1], "-", "_")
		if concernsDriver(module) && slices.Contains([]string{"options", "blacklist", "install", "softdep"}, words[0]) {
			found = append(found, ModProbe{Path: path, Command: words[0], Module: module, Rest: strings.Join(words[2:], " ")})
		}
	}
	return found
}

// concernsDriver tells the modules of NVIDIA's GPUs, of their rivals, and those by which network adapters and Fabric
// Manager work with them; by kernel name, with underscores.
func concernsDriver(module string) bool {
	return strings.HasPrefix(module, "nvidia") ||
		slices.Contains([]string{"nouveau", "nova_core", "nova_drm", "nvgpu", "gdrdrv", "nv_peer_mem", "mlx5_core", "mlx5_ib", "ib_umad", "vfio_pci", "nvgrace_gpu_vfio_pci"}, module)
}

// loadedModules are the loaded modules that concern the driver, by /proc/modules.
func (t tree) loadedModules() fact.Fact[[]string] {
	const path = "/proc/modules"
	data, err := t.read(path, maxText)
	if err != nil {
		return fact.Missing[[]string](path, reason(err))
	}
	found := []string{}
	for line := range strings.Lines(string(data)) {
		if name, _, ok := strings.Cut(line, " "); ok && concernsDriver(name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return fact.Of(found, path)
}

// commandLine keeps the words of the kernel's command line that concern the driver.
func (t tree) commandLine() fact.Fact[[]string] {
	const path = "/proc/cmdline"
	text, err := t.text(path)
	if err != nil {
		return fact.Missing[[]string](path, reason(err))
	}
	found := []string{}
	for word := range strings.FieldsSeq(text) {
		for _, part := range []string{"nvidia", "nouveau", "nova", "blacklist", "sig_enforce", "nomodeset", "iommu", "pci="} {
			if strings.Contains(word, part) {
				found = append(found, word)
				break
			}
		}
	}
	return fact.Of(found, path)
}
