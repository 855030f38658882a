package plan

import (
	"slices"
	"strings"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/host"
)

// risks are named from the gravest down.
func (w way) risks(c choice) []Risk {
	var risks riskList
	row, _ := cuda.Lifecycle(w.branch)
	flavor := w.facts.Driver.Flavor.Value
	risks.add(w.by != container, "running-jobs", "every job on this host's GPUs ends, and the host is away while it reboots")
	risks.add(len(c.left) > 0, "gpu-left-behind", "CUDA "+w.target.CUDA.String()+" has no code for "+archs(c.left)+": give such a job the other GPUs")
	risks.add(!w.driver.IsZero() && w.driver.Branch() > w.branch, "downgrade", "driver "+w.driver.String()+" is newer: what was built for its CUDA may not start any more")
	risks.add(row.EOL(), "end-of-life", "branch "+w.number()+" gets no fixes any more (end of life "+row.EndOfLife+"), not for its security either")
	risks.add(row.Support == cuda.SupportUnknown || row.Type == cuda.NFB || row.Type == "", "new-feature-branch", "branch "+w.number()+" is not known as a long term or production branch: its life is short")
	risks.add(w.by == apt && row.EOL() && !w.fromNVIDIA(), "transitional-packages", "the archive turns packages of ended branches into ones that pull a newer branch: read the version that apt shows, not the name")
	_, packages := w.tool()
	risks.add(flavor != "" && flavor != modulesName(w.open), "flavor-switch", "the "+flavor+" kernel modules are loaded now, the "+modulesName(w.open)+" ones come: "+map[bool]string{true: "packages of both must not stay side by side, and "}[packages]+"options of modprobe.d may mean nothing to the new ones")
	risks.add(w.mig(), "mig-instances", "MIG instances do not outlast the reboot, and from Hopper on MIG mode does not either: have their layout at hand, and create them again before work comes back (nvidia-mig-parted, the operator's MIG manager)")
	risks.add(w.fabric().manager, "fabric-version", "Fabric Manager has to be of the driver's version to the last digit; a purge takes fabricmanager.cfg along: keep your own settings (FABRIC_MODE)")
	risks.add(w.fabric().imex, "fabric-version", "nvidia-imex has to be of the driver's version, and of one version on every node of an IMEX domain")
	if packages {
		w.packageRisks(&risks)
	}
	return risks
}

type riskList []Risk

func (l *riskList) add(holds bool, id, what string) {
	if holds {
		*l = append(*l, Risk{id, what})
	}
}

// packageRisks are those of a package manager that brings the driver.
func (w way) packageRisks(risks *riskList) {
	boot := w.facts.Stack.SecureBoot
	risks.add(!w.prebuilt() && (!boot.Known() || boot.Value), "secure-boot", "with Secure Boot on (mokutil --sb-state) a module that DKMS builds loads only when its key is enrolled (mokutil --import, then the blue screen at boot)"+w.signed())
	risks.add(w.prebuilt(), "prebuilt-modules", "Ubuntu's modules are for one kernel each: install linux-modules-nvidia-"+w.flavored()+" of the kernel's flavour (-generic, -aws …) too, so that kernel updates bring theirs")
	risks.add(!w.prebuilt(), "kernel-headers", "DKMS builds the module for kernels whose headers are installed; a newer kernel than the one that runs boots without it")
	risks.add(!w.software.known || len(w.software.held) > 0, "held-packages", "held or locked packages keep old parts"+named(w.software.held))
	risks.add(w.by == apt, "unattended-upgrades", "unattended upgrades may change driver or kernel in between; afterwards they may not touch it (the hold)")
	risks.add(w.by == apt && len(w.software.archives) != 1, "mixed-origins", "see that one repository brings all packages (apt-cache policy): the distribution's and NVIDIA's have like names"+named(w.software.archives))
}

// mig tells whether a GPU here is in MIG mode.
// https://docs.nvidia.com/datacenter/tesla/mig-user-guide/getting-started-with-mig.html
func (w way) mig() bool {
	return slices.ContainsFunc(w.facts.NVML.GPUs, func(g host.GPU) bool { return g.MIG.Value.Current })
}

// signed names the modules that Secure Boot takes as they are. SUSE's are of generation G06 up to branch 580, of G07 after.
// https://software.opensuse.org/package/nvidia-open-driver-G07-signed-cuda-kmp-default
func (w way) signed() string {
	if w.by == zypper && w.open {
		generation := map[bool]string{true: "G06", false: "G07"}[w.branch < unsuffixed]
		return "; SUSE's signed nvidia-open-driver-" + generation + "-signed-cuda-kmp-default of the same version needs none"
	}
	if w.by != apt || w.fromNVIDIA() {
		return ""
	}
	return "; Ubuntu's signed linux-modules-nvidia-" + w.flavored() + "-$(uname -r) needs none"
}

func named(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}
