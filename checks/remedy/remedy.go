// Package remedy gives the commands that mend a host, by its distribution and by how its driver was installed. It
// does no I/O. A command is given only if it can work here: the local package lists must offer the package and its
// version. Where they do not, or are not known, it says in words what to bring about.
package remedy

import (
	"fmt"
	"slices"
	"strings"

	"gpu-preflight/checks/host"
)

// Family is how a distribution installs software.
type Family string

// The families. FamilyImage has no packages: its system is replaced as a whole.
const (
	FamilyApt     Family = "apt"
	FamilyDNF     Family = "dnf"
	FamilyZypper  Family = "zypper"
	FamilyPacman  Family = "pacman"
	FamilyImage   Family = "image"
	FamilyUnknown Family = ""
)

// images are the systems that are replaced as a whole, by ID of os-release, and how each upgrades its driver.
var images = map[string]string{
	"talos":        "Talos upgrades its driver by an image with other system extensions (talosctl upgrade --image IMAGE)",
	"flatcar":      "Flatcar upgrades its driver by NVIDIA_DRIVER_VERSION in /etc/flatcar/nvidia-metadata and a reboot",
	"bottlerocket": "Bottlerocket upgrades its driver by another -nvidia variant of its image",
	"cos":          "Container-Optimized OS upgrades its driver by the installer of the node pool (cos-extensions, GKE's driver version)",
	"nixos":        "NixOS upgrades its driver by hardware.nvidia.package in its configuration and nixos-rebuild",
	"truenas":      "TrueNAS upgrades its driver with the system's own update",
	"bazzite":      "this system upgrades its driver by another image (rpm-ostree rebase or upgrade)",
}

// transactional are SUSE's systems with a root that cannot be written: packages go into the next snapshot.
const transactional = "this system changes its packages in a snapshot that the next boot takes (transactional-update pkg install PACKAGE, reboot)"

const ostree = "this system upgrades its driver by another image (rpm-ostree upgrade, or rollback to the one that worked)"

// Host is what a remedy depends on.
type Host struct {
	facts *host.Facts
	parts []Part
}

// For returns the remedies of a host.
func For(facts host.Facts) Host {
	packages := facts.Stack.Packages.Value
	if installed := facts.Installed.Package.Value; installed.Name != "" {
		packages = []host.Package{installed} // at a launch
	}
	return Host{facts: &facts, parts: Parts(packages)}
}

// Family sorts the host by os-release.
func (h Host) Family() Family {
	os := h.facts.OS.Value
	if h.Image() != "" {
		return FamilyImage
	}
	words := append([]string{os.ID}, strings.Fields(os.Like)...)
	for _, known := range []struct {
		ids    []string
		family Family
	}{
		{[]string{"debian", "ubuntu", "linuxmint", "pop", "elementary"}, FamilyApt},
		{[]string{"rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn"}, FamilyDNF},
		{[]string{"suse", "opensuse", "sles", "opensuse-leap", "opensuse-tumbleweed"}, FamilyZypper},
		{[]string{"arch", "manjaro"}, FamilyPacman},
	} {
		if slices.ContainsFunc(words, func(word string) bool { return slices.Contains(known.ids, word) }) {
			return known.family
		}
	}
	return FamilyUnknown
}

// Image says how a system that is replaced as a whole upgrades its driver; empty for any other system.
func (h Host) Image() string {
	id := h.facts.OS.Value.ID
	if words, ok := images[id]; ok {
		return words
	}
	if strings.HasSuffix(id, "-micro") || id == "opensuse-microos" { // sle-micro, sl-micro, opensuse-leap-micro
		return transactional
	}
	if h.facts.Stack.Image.Value {
		return ostree
	}
	return ""
}

// offered is the version of a package that the local lists offer for a driver version (any, where that is empty).
func (h Host) offered(name, driver string) (version string, ok bool) {
	for _, c := range h.facts.Stack.Available.Value {
		if c.Name == name && (driver == "" || Upstream(c.Version) == driver) {
			return c.Version, true
		}
	}
	return "", false
}

// Install is the command that installs packages, each in the version of that driver; ok is false where the lists do
// not offer every one of them. An empty driver means any version.
func (h Host) Install(driver string, names ...string) (command string, ok bool) {
	words := []string{}
	for _, name := range names {
		version, there := h.offered(name, driver)
		if !there || strings.ContainsAny(name+version, " \t'\"$`;|&") {
			return "", false
		}
		if driver != "" {
			name += separator[h.Family()] + version
		}
		words = append(words, name)
	}
	verb, ok := installs[h.Family()]
	if !ok || len(words) == 0 {
		return "", false
	}
	return verb + " " + strings.Join(words, " "), true
}

// How each family installs, and what stands between name and version.
var (
	installs  = map[Family]string{FamilyApt: "apt-get install", FamilyDNF: "dnf install", FamilyZypper: "zypper install"}
	separator = map[Family]string{FamilyApt: "=", FamilyDNF: "-", FamilyZypper: "="}
)

// Reload is what puts libraries and loaded module back together after an upgrade.
func (h Host) Reload() []string {
	if words := h.Image(); words != "" {
		return []string{"boot an image whose module and libraries have one version: " + words}
	}
	return []string{"reboot; or stop everything that uses the GPUs, then unload and load the modules: rmmod nvidia_drm nvidia_modeset nvidia_uvm nvidia, modprobe nvidia"}
}

// Hold is what keeps installed packages at their version, so that an upgrade that nobody watches does not part the
// driver's layers.
func (h Host) Hold(names ...string) []string {
	verbs := map[Family]string{FamilyApt: "apt-mark hold", FamilyZypper: "zypper addlock"}
	if verb, ok := verbs[h.Family()]; ok {
		return []string{verb + " " + strings.Join(names, " ")}
	}
	return []string{"keep the package tool from upgrading " + strings.Join(names, ", ") + " by itself"}
}

// FabricManager is what brings Fabric Manager of the driver's very version.
func (h Host) FabricManager(driver string) []string {
	branch, _, _ := strings.Cut(driver, ".")
	for _, name := range []string{"nvidia-fabricmanager-" + branch, "nvidia-fabricmanager", "nvidia-fabric-manager", "cuda-drivers-fabricmanager-" + branch} {
		if command, ok := h.Install(driver, name); ok {
			return []string{command, "systemctl enable --now nvidia-fabricmanager"}
		}
	}
	if words := h.Image(); words != "" {
		return []string{"boot an image that holds Fabric Manager " + driver + ": " + words}
	}
	return []string{fmt.Sprintf("install Fabric Manager %s, the driver's very version, from where the driver comes from, and start it", driver)}
}

// Finish completes packages that were left half installed.
func (h Host) Finish() []string {
	if h.Family() == FamilyApt {
		return []string{"dpkg --configure -a", "apt-get install -f"}
	}
	return []string{"let the package tool finish or undo the broken transaction"}
}

// Remove is the command that removes installed packages with their settings.
func (h Host) Remove(names ...string) []string {
	verbs := map[Family]string{FamilyApt: "apt-get purge", FamilyDNF: "dnf remove", FamilyZypper: "zypper remove", FamilyPacman: "pacman -R"}
	if verb, ok := verbs[h.Family()]; ok && len(names) > 0 {
		return []string{verb + " " + strings.Join(names, " ")}
	}
	return []string{"remove " + strings.Join(names, ", ")}
}
