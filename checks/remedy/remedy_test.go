package remedy

import (
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// on is a host of a distribution with packages, and with what its lists offer ("name=version").
func on(id string, packages []host.Package, offers ...string) Host {
	var f host.Facts
	f.OS = fact.Of(host.OS{ID: id}, "test")
	f.Stack.Packages = fact.Of(packages, "test")
	f.Stack.Available = fact.Of([]host.Candidate{}, "test")
	for _, offer := range offers {
		name, version, _ := strings.Cut(offer, "=")
		f.Stack.Available.Value = append(f.Stack.Available.Value, host.Candidate{Name: name, Version: version})
	}
	return For(f)
}

func ii(name, version string) host.Package {
	return host.Package{Name: name, Version: version, State: "ii"}
}

func TestFamily(t *testing.T) {
	for id, want := range map[string]Family{
		"ubuntu": FamilyApt, "debian": FamilyApt, "rocky": FamilyDNF, "amzn": FamilyDNF, "sles": FamilyZypper, "arch": FamilyPacman,
		"talos": FamilyImage, "sl-micro": FamilyImage, "opensuse-microos": FamilyImage, "nixos": FamilyImage, "cos": FamilyImage, "plan9": FamilyUnknown, "": FamilyUnknown,
	} {
		if got := on(id, nil).Family(); got != want {
			t.Errorf("%q: %q, want %q", id, got, want)
		}
	}
	var f host.Facts
	f.OS.Value = host.OS{ID: "nobara", Like: "rhel centos fedora"}
	if got := For(f).Family(); got != FamilyDNF {
		t.Errorf("by ID_LIKE: %q", got)
	}
	f.Stack.Image = fact.Of(true, "test")
	if got := For(f).Family(); got != FamilyImage {
		t.Errorf("ostree: %q", got)
	}
}

// TestInstall: a command only where the lists offer the package, and that driver's version of it.
func TestInstall(t *testing.T) {
	h := on("ubuntu", nil, "nvidia-fabricmanager-535=535.161.07-0ubuntu1", "nvidia-fabricmanager-535=535.183.06-0ubuntu1", "linux-headers-6=6.0", "evil=1;reboot")
	for _, tt := range []struct{ driver, name, want string }{
		{"535.183.06", "nvidia-fabricmanager-535", "apt-get install nvidia-fabricmanager-535=535.183.06-0ubuntu1"},
		{"", "linux-headers-6", "apt-get install linux-headers-6"},
		{"535.216.01", "nvidia-fabricmanager-535", ""},
		{"", "nvidia-fabricmanager-550", ""},
		{"", "evil", ""},
	} {
		if got, ok := h.Install(tt.driver, tt.name); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s of %q: %q, want %q", tt.name, tt.driver, got, tt.want)
		}
	}
	if got, ok := on("rocky", nil, "nvidia-fabric-manager=3:580.65.06-1").Install("580.65.06", "nvidia-fabric-manager"); !ok || got != "dnf install nvidia-fabric-manager-3:580.65.06-1" {
		t.Errorf("dnf: %q", got)
	}
	if got, ok := on("talos", nil, "x=1").Install("", "x"); ok {
		t.Errorf("an image has no package tool: %q", got)
	}
}

// TestModule: the way in which the host has its modules decides.
func TestModule(t *testing.T) {
	const kernel = "6.8.0-52-generic"
	prebuilt := []host.Package{ii("linux-modules-nvidia-550-server-open-6.8.0-51-generic", "6.8.0-51.52+1")}
	dkms := []host.Package{ii("nvidia-dkms-535", "535.183.06-0ubuntu1")}
	for name, tt := range map[string]struct {
		host Host
		want string
	}{
		"prebuilt, offered": {on("ubuntu", prebuilt, "linux-modules-nvidia-550-server-open-"+kernel+"=1"), "apt-get install linux-modules-nvidia-550-server-open-" + kernel},
		"prebuilt":          {on("ubuntu", prebuilt), "install linux-modules-nvidia-550-server-open-" + kernel + " (the local package lists do not offer it"},
		"DKMS, offered":     {on("ubuntu", dkms, "linux-headers-"+kernel+"=1"), "apt-get install linux-headers-" + kernel},
		"DKMS on rpm":       {on("rocky", []host.Package{ii("kmod-nvidia-latest-dkms", "3:580.65.06-1.el9")}), "kernel-devel-" + kernel},
		"kmod":              {on("rocky", []host.Package{ii("kmod-nvidia-580.65.06-5.14", "3:580.65.06-1.el9")}), "kmod-nvidia package for kernel " + kernel},
		"akmod":             {on("fedora", []host.Package{ii("akmod-nvidia", "3:580.65.06-1.fc43")}), "kernel-devel-" + kernel},
		"image":             {on("bottlerocket", nil), "Bottlerocket"},
		"unknown":           {on("ubuntu", nil), "in the way the driver was installed"},
	} {
		if got := tt.host.Module(kernel); len(got) == 0 || !strings.Contains(got[0], tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	if got := on("ubuntu", dkms).Module(kernel); got[len(got)-1] != "dpkg-reconfigure nvidia-dkms-535" {
		t.Errorf("DKMS: %q", got)
	}
	if got := on("fedora", []host.Package{ii("akmod-nvidia", "3:580.65.06-1.fc43")}).Module(kernel); got[len(got)-1] != "akmods --force --kernels "+kernel {
		t.Errorf("akmod: %q", got)
	}
}

// TestWords: the remedies that give words where no command is known to work.
func TestWords(t *testing.T) {
	for name, pair := range map[string][2][]string{
		"finish apt":             {on("ubuntu", nil).Finish(), {"dpkg --configure -a", "apt-get install -f"}},
		"remove dnf":             {on("rocky", nil).Remove("a", "b"), {"dnf remove a b"}},
		"headers":                {on("rocky", nil, "kernel-devel=5.14.0-503.el9").Headers("5.14.0-503.el9.x86_64"), {"dnf install kernel-devel-5.14.0-503.el9.x86_64"}},
		"headers, other offered": {on("rocky", nil, "kernel-devel=5.14.0-503.el9").Headers("5.14.0-50.el9.x86_64"), {"install kernel-devel-5.14.0-50.el9.x86_64 (the local package lists do not offer it: boot a kernel whose headers they offer)"}},
		"manager before 580":     {on("rocky", nil, "nvidia-fabric-manager=550.163.01-1").FabricManager("550.163.01"), {"dnf install nvidia-fabric-manager-550.163.01-1", "systemctl enable --now nvidia-fabricmanager"}},
		"hold":                   {on("ubuntu", nil).Hold("a", "b"), {"apt-mark hold a b"}},
		"hold else":              {on("plan9", nil).Hold("a", "b"), {"keep the package tool from upgrading a, b by itself"}},
		"remove else":            {on("plan9", nil).Remove("a", "b"), {"remove a, b"}},
		"manager": {
			on("ubuntu", nil, "nvidia-fabricmanager-535=535.183.06-0ubuntu1").FabricManager("535.183.06"),
			{"apt-get install nvidia-fabricmanager-535=535.183.06-0ubuntu1", "systemctl enable --now nvidia-fabricmanager"},
		},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%s: %q, want %q", name, pair[0], pair[1])
		}
	}
	if got := on("talos", nil).FabricManager("535.183.06"); !strings.Contains(got[0], "Talos") {
		t.Errorf("Talos: %q", got)
	}
	if got := on("talos", nil).Reload(); !strings.Contains(got[0], "Talos") {
		t.Errorf("Talos: %q", got)
	}
}

func TestParts(t *testing.T) {
	parts := Parts([]host.Package{
		ii("nvidia-headless-535-server-open", "535.183.06-0ubuntu0.22.04.1"), ii("libnvidia-compute", "590.44.01-1ubuntu1"),
		ii("linux-modules-nvidia-535-5.15.0-91-generic", "5.15.0-91.101"), ii("nvidia-driver-cuda-libs", "3:580.65.06-1.el10"),
		{Name: "libnvidia-compute-418", Version: "418.67-0ubuntu1", State: "rc"},
		ii("nvidia-container-toolkit", "1.18.1-1"),
		ii("libnvidia-container1", "1.18.1-1"), ii("nvidia-prime", "0.8.17.1"), ii("cuda-toolkit-13-0", "13.0.0-1"),
		{Name: "nvidia-dkms-390", Version: "390.144-0ubuntu1", State: "iF"},
	})
	want := []Part{
		{Role: RoleMeta, Branch: 535, Driver: "535.183.06", Server: true, Open: true, Archive: ArchiveUbuntu},
		{Role: RoleLibrary, Branch: 590, Driver: "590.44.01", Archive: ArchiveNVIDIA},
		{Role: RoleModule, Branch: 535},
		{Role: RoleLibrary, Branch: 580, Driver: "580.65.06"},
		{Role: RoleModule, Branch: 390, Driver: "390.144", Archive: ArchiveNVIDIA},
	}
	if len(parts) != len(want) {
		t.Fatalf("%d parts: %+v", len(parts), parts)
	}
	for i, p := range parts {
		name := p.Name
		if p.Package = (host.Package{}); p != want[i] {
			t.Errorf("%s: %+v, want %+v", name, p, want[i])
		}
	}
}

func TestArchives(t *testing.T) {
	for version, want := range map[string]string{
		"535.183.01-0ubuntu0.22.04.1": ArchiveUbuntu, "535.171.04-0ubuntu2": ArchiveUbuntu, "560.35.03-0ubuntu0~gpu24.04.3": ArchivePPA,
		"535.183.06-0ubuntu1": ArchiveNVIDIA, "590.44.01-1ubuntu1": ArchiveNVIDIA, "535.183.01-1~deb12u1": ArchiveDebian, "545.23.08-1": "", "1": "",
	} {
		if got := archiveOf(version); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
	for version, want := range map[string]string{"3:535.183.06-1.el9": "535.183.06", "390.144": "390.144", "580.105.08_k6.12.0_160000.5-lp160.47.1": "580.105.08", "1.18.1-1": "", "5.15.0-58.64+1": "", "": ""} {
		if got := Upstream(version); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}
