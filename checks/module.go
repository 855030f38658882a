package checks

import (
	"slices"

	"gpu-preflight/checks/host"
)

// moduleWords describes a module file.
func moduleWords(m host.ModuleFile) string {
	words := "a module"
	if m.Flavor != "" {
		words = "the " + m.Flavor + " module"
	}
	if m.Version != "" {
		words += " " + m.Version
	}
	return words
}

// originOf is who put a module there: what lies in extra is DKMS's where DKMS built it for this kernel.
func (f Facts) originOf(k host.Kernel, m host.ModuleFile) host.Origin {
	built := slices.ContainsFunc(f.Host.Stack.DKMS.Value, func(d host.DKMSTree) bool { return slices.Contains(d.Built, k.Release) })
	if m.Origin == host.OriginKmod && built {
		return host.OriginDKMS
	}
	return m.Origin
}

func originWords(o host.Origin) string {
	switch o {
	case host.OriginPrebuilt:
		return "Ubuntu's prebuilt linux-modules-nvidia-*"
	case host.OriginDKMS:
		return "built by DKMS"
	case host.OriginRunfile:
		return "from NVIDIA's .run file"
	case host.OriginKmod:
		return "a kmod package"
	case host.OriginOther:
	}
	return "of unknown origin"
}

// elsewhereBuilt names the kernels that do have a module.
func (f Facts) elsewhereBuilt(but string) string {
	var with []string
	for _, k := range f.Host.Stack.Kernels.Value {
		if k.Release != but && len(k.Modules) > 0 {
			with = append(with, k.Release)
		}
	}
	if len(with) == 0 {
		return ""
	}
	return "; there is one for " + few(with)
}

// nextKernel is the newest kernel that can be booted, if it is newer than the one that runs.
func (f Facts) nextKernel() (host.Kernel, bool) {
	for _, k := range slices.Backward(f.Host.Stack.Kernels.Value) {
		if !k.Image {
			continue
		}
		return k, host.CompareReleases(k.Release, f.Host.Kernel.Value) > 0
	}
	return host.Kernel{}, false
}
