package remedy

import (
	"strings"

	"gpu-preflight/checks/host"
)

// What a launch knows of the driver's installation is in host.Installed. The package lists are not read then, so that
// what needs them is said in words.

// Restore is what brings the module for the running kernel back, where a launch found none loaded; empty where
// nothing is known of how the driver was installed.
func (h Host) Restore(kernel string) string {
	module, installed := h.facts.Installed.Module, h.facts.Installed.Package.Value
	switch {
	case h.Image() != "":
		return h.Module(kernel)[0]
	case halfInstalled(installed):
		return finish(installed)
	case module.Value.Path != "":
		return "if the kernel rejects " + module.Value.Path + ", bring it anew in the way it came: " + way(module.Value.Origin)
	case module.Known() && installed.Name != "":
		return strings.Join(h.Module(kernel), ", then ")
	}
	return ""
}

// Match is what brings libraries and module to one version, by what a launch knows of the module: loaded is the
// version that runs, kernel the release.
func (h Host) Match(loaded, kernel string) string {
	const reboot = "reboot this host, or stop what uses the GPUs and reload the nvidia modules, so that module and libraries match"
	module, installed := h.facts.Installed.Module, h.facts.Installed.Package.Value
	switch {
	case h.Image() != "":
		return h.Reload()[0]
	case halfInstalled(installed):
		return finish(installed) + ", then reboot this host"
	case module.Known() && module.Value.Path == "":
		restore := h.Restore(kernel)
		if restore == "" {
			restore = "install the driver's module for kernel " + kernel + ", which has none on disk any more"
		}
		return restore + ", then reboot this host"
	case module.Value.Origin == host.OriginRunfile:
		return reboot + "; where they still differ, install both in one way: " + module.Value.Path + " is " + way(host.OriginRunfile)
	case module.Value.Origin == host.OriginDKMS && loaded != "" && Upstream(installed.Version) == loaded:
		return "bring " + installed.Name + ", which still has " + loaded + ", to the libraries' version, then reboot this host"
	}
	return reboot
}

// halfInstalled tells a package that dpkg has unpacked and not configured, which it can do at any time.
func halfInstalled(p host.Package) bool { return p.State == "iU" || p.State == "iF" }

// finish completes it. dpkg needs no package list for that.
func finish(p host.Package) string {
	return "dpkg --configure -a (" + p.Name + " is half installed)"
}

func way(origin host.Origin) string {
	switch origin {
	case host.OriginPrebuilt:
		return "Ubuntu's package linux-modules-nvidia-* for this kernel"
	case host.OriginDKMS:
		return "a build by DKMS"
	case host.OriginRunfile:
		return "from NVIDIA's .run file"
	case host.OriginKmod:
		return "a kmod package, or DKMS"
	case host.OriginOther:
	}
	return "not of a known package"
}
