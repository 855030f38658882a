package remedy

import (
	"strings"
	"testing"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// failed is a host as a launch knows it that failed: the distribution, the module's path below the kernel's folder ("-"
// for a kernel without one, empty for unknown), and the package.
func failed(id, module string, p *host.Package) Host {
	const dir = "/lib/modules/6.8.0-52-generic"
	var f host.Facts
	f.OS = fact.Of(host.OS{ID: id}, "test")
	origin := map[string]host.Origin{"/updates/dkms/nvidia.ko": host.OriginDKMS, "/kernel/nvidia-535/nvidia.ko": host.OriginPrebuilt, "/kernel/drivers/video/nvidia.ko": host.OriginRunfile, "/extra/nvidia.ko": host.OriginKmod}
	switch module {
	case "":
	case "-":
		f.Installed.Module = fact.Of(host.ModuleFile{}, "test")
	default:
		f.Installed.Module = fact.Of(host.ModuleFile{Path: dir + module, Origin: origin[module]}, "test")
	}
	if p != nil {
		f.Installed.Package = fact.Of(*p, "test")
	}
	return For(f)
}

// TestAtLaunch: the words after a failure fit the way in which the driver was installed, and no command rests on
// package lists that nobody read.
func TestAtLaunch(t *testing.T) {
	const kernel, loaded = "6.8.0-52-generic", "535.183.01"
	dkms, half := ii("nvidia-dkms-535", "535.183.01-0ubuntu0.22.04.1"), host.Package{Name: "nvidia-dkms-535", Version: "535.216.01-0ubuntu1", State: "iF"}
	newer, prebuilt := ii("nvidia-dkms-535", "535.216.01-0ubuntu1"), ii("linux-modules-nvidia-535-server-6.8.0-51-generic", "6.8.0-51.52+1")
	none := host.Package{}
	const reboot = "reboot this host, or stop what uses the GPUs and reload the nvidia modules, so that module and libraries match"
	for _, tt := range []struct {
		name           string
		host           Host
		restore, match string
	}{
		{"nothing known", failed("ubuntu", "", nil), "", reboot},
		{"an image", failed("talos", "-", &none), "boot an image that holds the driver's module: Talos", "boot an image whose module and libraries have one version: Talos"},
		{"DKMS as loaded, the libraries went on", failed("ubuntu", "/updates/dkms/nvidia.ko", &dkms), "if the kernel rejects /lib/modules/6.8.0-52-generic/updates/dkms/nvidia.ko, bring it anew in the way it came: a build by DKMS", "bring nvidia-dkms-535, which still has 535.183.01, to the libraries' version, then reboot this host"},
		{"DKMS upgraded too", failed("ubuntu", "/updates/dkms/nvidia.ko", &newer), "a build by DKMS", reboot},
		{"DKMS, not built for this kernel", failed("ubuntu", "-", &newer), "install linux-headers-6.8.0-52-generic, then dpkg-reconfigure nvidia-dkms-535", "install linux-headers-6.8.0-52-generic, then dpkg-reconfigure nvidia-dkms-535, then reboot this host"},
		{"half installed", failed("ubuntu", "-", &half), "dpkg --configure -a (nvidia-dkms-535 is half installed)", "dpkg --configure -a (nvidia-dkms-535 is half installed), then reboot this host"},
		{"prebuilt", failed("ubuntu", "/kernel/nvidia-535/nvidia.ko", &prebuilt), "Ubuntu's package linux-modules-nvidia-*", reboot},
		{"prebuilt, for another kernel", failed("ubuntu", "-", &prebuilt), "install linux-modules-nvidia-535-server-6.8.0-52-generic", "install linux-modules-nvidia-535-server-6.8.0-52-generic, then reboot this host"},
		{".run file", failed("ubuntu", "/kernel/drivers/video/nvidia.ko", &none), "from NVIDIA's .run file", reboot + "; where they still differ, install both in one way: /lib/modules/6.8.0-52-generic/kernel/drivers/video/nvidia.ko is from NVIDIA's .run file"},
		{"kmod", failed("rocky", "/extra/nvidia.ko", &none), "a kmod package, or DKMS", reboot},
		{"no module, no package", failed("rocky", "-", &none), "", "install the driver's module for kernel 6.8.0-52-generic, which has none on disk any more, then reboot this host"},
	} {
		restore, match := tt.host.Restore(kernel), tt.host.Match(loaded, kernel)
		if (restore == "") != (tt.restore == "") || !strings.Contains(restore, tt.restore) {
			t.Errorf("%s: restore %q, want %q", tt.name, restore, tt.restore)
		}
		if (tt.match == reboot && match != reboot) || !strings.HasPrefix(match, tt.match) {
			t.Errorf("%s: match %q, want %q", tt.name, match, tt.match)
		}
		for _, text := range []string{restore, match} {
			if strings.Contains(text, "apt-get install") || strings.Contains(text, "lists") {
				t.Errorf("%s: %q rests on package lists", tt.name, text)
			}
		}
	}
}
