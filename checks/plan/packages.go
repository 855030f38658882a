package plan

import (
	"slices"
	"strconv"
	"strings"
)

// modinfo prints the version of the module that was just installed, for the kernel that will boot.
func (w way) modinfo() string {
	if kernel := w.kernel(); kernel != runningKernel {
		return "modinfo -k " + kernel + " -F version nvidia"
	}
	return "modinfo -F version nvidia"
}

// version is the same within a command: Fabric Manager has to be of that version. Where no module was built the package
// is asked for in a version that there is not, since any other would be taken.
func (w way) version() string { return "$(" + w.modinfo() + " || echo none)" }

const runningKernel = "$(uname -r)"

// From branch 590 the names of packages in NVIDIA's repositories for Debian and Ubuntu carry no branch, and a package
// pins it.
// https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/ (recent updates, version locking)
const unsuffixed = 590

// From branch 580 Fabric Manager and its like carry no branch there.
// https://github.com/NVIDIA/gpu-driver-container
const fabricUnsuffixed = 580

// apt is Ubuntu's archive, or NVIDIA's repository. Debian's archive has one branch a release, so it is NVIDIA's there.
func (w way) apt() tool {
	t := tool{names: w.aptNames()}
	if w.fromNVIDIA() && !w.hasNVIDIA(t.names[0]) {
		t.source = []Step{{"Add NVIDIA's repository for " + osName(w.facts.OS.Value), w.whyNVIDIA(), []string{"apt-get install ./cuda-keyring_*_all.deb"}}}
	}
	for _, name := range t.names { // a pin first, or it does not hold for the driver; modules first, or DKMS comes along
		t.driver = append(t.driver, "apt-get install "+name)
	}
	w.addFabric(&t, w.fabricPackages(w.fromNVIDIA() && w.branch >= fabricUnsuffixed), "apt-get install ", `="`+w.version()+`*"`)
	t.look = []string{"apt-get update", "apt-cache policy " + strings.Join(t.names, " ")}
	if len(w.software.held) > 0 || !w.software.known {
		t.free = []string{"apt-mark showhold | grep -E '^(lib)?nvidia-|^cuda-drivers' | xargs -r apt-mark unhold"}
	}
	t.purge = w.installed("apt-get purge --autoremove", `dpkg-query -W -f '${Package}\n' 'nvidia-*' 'libnvidia-*' 'linux-modules-nvidia-*' 'linux-objects-nvidia-*' 'linux-signatures-nvidia-*' 'cuda-drivers*' 'xserver-xorg-video-nvidia*' | grep -vE 'container|docker'`)
	if !w.prebuilt() {
		t.build = []string{"apt-get install linux-headers-" + w.kernel()}
	}
	t.hold = []string{"apt-mark hold " + strings.Join(t.names, " ")}
	return t
}

// aptNames are the packages of the driver, in the order in which to install them.
func (w way) aptNames() []string {
	switch {
	case w.prebuilt():
		return []string{"linux-modules-nvidia-" + w.flavored() + "-" + w.kernel(), w.archived()}
	case !w.fromNVIDIA():
		return []string{w.archived()}
	case w.debian() || w.branch >= unsuffixed:
		return []string{"nvidia-driver-pinning-" + w.number(), w.meta()}
	}
	return []string{w.meta() + "-" + w.number()}
}

// hasNVIDIA tells whether NVIDIA's repository is set up: packages came from it, or a package of it is offered.
func (w way) hasNVIDIA(name string) bool {
	offers, known := w.software.remedy.Offers(name)
	return w.software.fromNVIDIA() || known && offers
}

// addFabric adds what joins the GPUs, in the version of the module that was just installed.
func (w way) addFabric(t *tool, names []string, install, version string) {
	for _, name := range names {
		t.fabric = append(t.fabric, install+name+version)
	}
	t.names = append(t.names, names...)
	if w.fabric().subnet {
		t.fabric = append(t.fabric, install+"nvlsm infiniband-diags")
		t.names = append(t.names, "nvlsm", "infiniband-diags")
	}
}

// debian tells Debian and what is made after it alone.
func (w way) debian() bool {
	os := w.facts.OS.Value
	return os.ID == "debian" || os.Like == "debian" && os.ID != "ubuntu"
}

// fromNVIDIA tells whether NVIDIA's repository has to bring the packages for apt: it brought what is there, the
// distribution's has no choice of branches or not all that is needed, or only NVIDIA's is offered.
func (w way) fromNVIDIA() bool {
	if w.debian() || w.software.fromNVIDIA() || w.fabric().subnet {
		return true
	}
	archived, known := w.software.remedy.Offers(w.archived())
	plain, _ := w.software.remedy.Offers(w.meta())
	numbered, _ := w.software.remedy.Offers(w.meta() + "-" + w.number())
	return known && !archived && (plain && w.branch >= unsuffixed || numbered)
}

// archived is the metapackage of Ubuntu's archive.
func (w way) archived() string { return "nvidia-driver-" + w.flavored() }

// flavored is the middle of the names in Ubuntu's archive: 580-server-open.
func (w way) flavored() string {
	words := w.number()
	if !w.software.desktop {
		words += "-server" // for hosts without a display, which a container host is where nothing else is known
	}
	if w.open {
		words += "-open"
	}
	return words
}

// prebuilt tells whether Ubuntu's signed modules are to be installed: they are in charge, or Secure Boot wants a
// signature that the kernel knows.
func (w way) prebuilt() bool {
	return w.by == apt && !w.fromNVIDIA() && (w.software.prebuilt || w.facts.Stack.SecureBoot.Value)
}

// kernel is the kernel that will boot, for a shell: the newest, or where that is not known the one that runs.
func (w way) kernel() string {
	for _, k := range slices.Backward(w.facts.Stack.Kernels.Value) {
		if k.Image && !odd(k.Release) {
			return k.Release
		}
	}
	return runningKernel
}

func (w way) whyNVIDIA() string {
	if w.debian() {
		return "Debian's archive has one branch a release; the package cuda-keyring of NVIDIA's download page brings the repository"
	}
	return "nvlsm is in that repository only, and one origin has to bring all of the driver; the package cuda-keyring of NVIDIA's download page brings it"
}

// meta is NVIDIA's metapackage of the whole driver.
func (w way) meta() string {
	if w.open {
		return "nvidia-open"
	}
	return "cuda-drivers"
}

func (w way) fabricPackages(plain bool) []string {
	suffix := "-" + w.number()
	if plain {
		suffix = ""
	}
	switch need := w.fabric(); {
	case need.manager:
		names := []string{"nvidia-fabricmanager" + suffix}
		for _, library := range []string{"libnvidia-nscq", "libnvsdm"} { // monitors ask the switches with it, and the purge took it along
			if w.software.has(library) {
				names = append(names, library+suffix)
			}
		}
		return names
	case need.imex:
		return []string{"nvidia-imex" + suffix}
	}
	return nil
}

// dnf is NVIDIA's repository: module streams up to RHEL 9 and on Amazon Linux, a version lock from RHEL 10 and on
// Fedora. https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/620/kernel-modules.html
func (w way) dnf() tool {
	os := w.facts.OS.Value
	release, _ := strconv.Atoi(major(os.VersionID))
	streams := os.ID != "fedora" && release < 10 || os.ID == "amzn"
	t := tool{
		names: []string{w.meta()},
		purge: w.installed("dnf remove", `rpm -qa --qf '%{NAME}\n' | grep -E '^(kmod-nvidia|nvidia-|libnvidia-|cuda-drivers|dkms-nvidia|xorg-x11-(drv-)?nvidia|akmod-nvidia)' | grep -vE 'container|docker'`),
		build: []string{"dnf install kernel-devel-" + w.kernel() + " kernel-headers"},
	}
	locks := w.versionlock(os.ID == "fedora")
	if streams {
		stream := "nvidia-driver:" + w.number() + map[bool]string{true: "-open", false: "-dkms"}[w.open]
		t.look = []string{"dnf module list nvidia-driver", "dnf list dkms"}
		t.driver = []string{"dnf module reset nvidia-driver", "dnf module enable " + stream, "dnf install " + t.names[0]}
		t.hold = locks.set
	} else { // the lock chooses the branch, so it stands before the driver
		t.look = []string{"dnf --showduplicates list " + t.names[0], "dnf list dkms"}
		t.free = locks.free
		t.driver = append(locks.set, "dnf install "+t.names[0])
	}
	fabric := w.fabricPackages(true)
	if w.fabric().manager && w.branch < fabricUnsuffixed {
		fabric[0] = "nvidia-fabric-manager"
	}
	w.addFabric(&t, fabric, "dnf install ", `-"`+w.version()+`"`)
	if os.ID == "amzn" {
		t.source = []Step{eks}
	}
	return t
}

// versionlock is how dnf keeps a branch. In dnf 4 it is a plugin of its own, in Fedora's dnf 5 it is built in, and
// deletes locks by whole names only. cuda-drivers is locked too: else dnf wants the newest one, whose parts are locked out.
// https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/version-locking.html, dnf5-versionlock(8)
func (w way) versionlock(dnf5 bool) (l struct{ set, free []string }) {
	l.set = []string{"dnf versionlock add '*nvidia*" + w.number() + "*' 'cuda-drivers*" + w.number() + "*'"}
	if w.open {
		l.set = []string{"dnf versionlock add '*nvidia*" + w.number() + "*'"}
	}
	if dnf5 {
		l.free = []string{`dnf versionlock list | sed -n 's/^Package name: //p' | grep -E 'nvidia|cuda-drivers' | xargs -r dnf versionlock delete`}
		return l
	}
	const plugin = "dnf install 'dnf-command(versionlock)'"
	l.set, l.free = append([]string{plugin}, l.set...), []string{plugin, "dnf versionlock delete '*nvidia*' 'cuda-drivers*'"}
	return l
}

// eks stands before what is done on Amazon Linux by hand.
var eks = Step{"On a node of EKS: stop here", "its image brings the driver; move the node group to a release of the accelerated AMI whose notes name the branch", []string{
	"aws eks update-nodegroup-version --cluster-name CLUSTER --nodegroup-name GROUP",
}}

// zypper is NVIDIA's repository. A version below the next number keeps the branch, whether names carry it or not.
func (w way) zypper() tool {
	next := strconv.Itoa(w.branch + 1)
	t := tool{
		names: []string{w.meta()},
		look:  []string{"zypper refresh", "zypper search -s " + w.meta()},
		free:  []string{`zypper locks | awk -F'|' '/nvidia|cuda-drivers/ {print $1}' | xargs -r zypper removelock`}, // by number: a pattern fits no lock
		purge: w.installed("zypper remove --clean-deps", `rpm -qa --qf '%{NAME}\n' | grep -E '^(nvidia-|libnvidia-|cuda-drivers|kernel-firmware-nvidia|x11-video-nvidia)' | grep -vE 'container|docker'`),
		build: []string{"zypper install kernel-default-devel"},
	}
	t.driver = []string{"zypper install '" + w.meta() + "<" + next + "'"}
	fabric := w.fabricPackages(true)
	w.addFabric(&t, fabric, "zypper install ", `="`+w.version()+`"`)
	t.hold = []string{"zypper addlock " + strings.Join(append([]string{w.meta()}, fabric...), " ")}
	return t
}
