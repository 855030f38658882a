package plan

import "strings"

// ownWays are the systems that bring their driver in a way of their own.
var ownWays = map[string]func(way) []Step{
	gke:          way.gke,
	bottlerocket: way.bottlerocket,
	talos:        way.talos,
	flatcar:      way.flatcar,
	nixos:        way.nixos,
	operator:     way.operatorWay,
	wsl:          way.wsl,
	vgpu:         way.vgpu,
	image:        way.imageWay,
	container:    way.outerHost,
}

// elsewhere is how a driver comes onto a host whose package manager does not bring it.
func (w way) elsewhere() []Step {
	if own, ok := ownWays[w.by]; ok {
		return own(w)
	}
	return w.unknown()
}

var drain = Step{"Empty the node", "", []string{"kubectl drain NODE --ignore-daemonsets --delete-emptydir-data"}}

func (w way) verify() Step {
	return Step{"Verify", "", []string{"gpu-preflight doctor", "gpu-preflight check --verbose" + w.need()}}
}

func (w way) gke() []Step {
	return []Step{
		{"Let GKE install a driver of branch " + w.number(), "Container-Optimized OS takes a driver for its release; the release notes of COS name the versions. The nodes of the pool are made anew", []string{
			"gcloud container node-pools update POOL --cluster CLUSTER --accelerator type=GPU,count=N,gpu-driver-version=latest",
		}},
		{"Outside of GKE: choose the version on the host", "", []string{"cos-extensions list", "cos-extensions install gpu -- -version=" + w.latest()}},
		w.verify(),
	}
}

func (w way) bottlerocket() []Step {
	return []Step{
		{"Move to a release of the NVIDIA variant with branch " + w.number(), "each release of a variant carries one driver, named in its release notes", nil},
		drain,
		{"Update the node", "", []string{"apiclient update check", "apiclient update apply --reboot"}},
		w.verify(),
	}
}

func (w way) talos() []Step {
	extensions := map[bool]string{true: "nvidia-open-gpu-kernel-modules", false: "nonfree-kmod-nvidia"}[w.open]
	if w.fabric().manager {
		extensions += ", nvidia-fabricmanager of the very same version"
	}
	return []Step{
		{"Make an installer image with the system extension of branch " + w.number(), extensions + ", and nvidia-container-toolkit of the same; lts or production tells the branch", nil},
		drain,
		{"Upgrade the node with it", "a driver cannot be installed on a running Talos", []string{"talosctl upgrade --nodes NODE --image INSTALLER"}},
		w.verify(),
	}
}

func (w way) flatcar() []Step {
	return []Step{
		drain,
		{"Name the driver", "", []string{"echo NVIDIA_DRIVER_VERSION=" + w.latest() + " > /etc/flatcar/nvidia-metadata"}},
		{"Reboot: the driver is built for the kernel at start", "", []string{"reboot"}},
		w.verify(),
	}
}

func (w way) nixos() []Step {
	return []Step{
		{"Name the driver in the configuration", "nvidiaPackages has one for each kind of branch", []string{
			"hardware.nvidia.package = config.boot.kernelPackages.nvidiaPackages.mkDriver { version = \"" + w.latest() + "\"; /* and its hashes */ };",
			"hardware.nvidia.open = " + map[bool]string{true: "true", false: "false"}[w.open] + ";",
		}},
		{"Build it and boot into it", "switch would leave the old module loaded", []string{"nixos-rebuild boot", "reboot"}},
		w.verify(),
	}
}

func (w way) operatorWay() []Step {
	return []Step{
		{"Name the driver for the GPU operator", "its driver container is built or pulled for the kernels of the nodes; look for the image of this version and this system first. The operator drains node by node", []string{
			`kubectl patch clusterpolicy/cluster-policy --type merge -p '{"spec":{"driver":{"version":"` + w.latest() + `","kernelModuleType":"` + modulesName(w.open) + `"}}}'`,
			"kubectl get pods -n gpu-operator -l app=nvidia-driver-daemonset -o wide",
		}},
		w.verify(),
	}
}

func (w way) wsl() []Step {
	return []Step{
		{"Install NVIDIA's driver for Windows, branch " + w.number() + " or later, on the Windows side", "never a Linux driver inside the distribution: it hides the one that Windows brings", nil},
		{"Start the distribution again", "", []string{"wsl --shutdown"}},
		w.verify(),
	}
}

func (w way) vgpu() []Step {
	return []Step{
		{"Ask for the guest driver of branch " + w.number(), "a virtual GPU takes the guest driver that goes with the vGPU manager of the host, from NVIDIA's licensing portal; the host is upgraded first", nil}, w.verify(),
	}
}

func (w way) imageWay() []Step {
	return []Step{
		{"Boot an image with a driver of branch " + w.number(), w.software.remedy.Image(), nil}, drain, {"Reboot into it", "", []string{"reboot"}}, w.verify(),
	}
}

func (w way) outerHost() []Step {
	return []Step{
		{"Plan on the outer host", "this runs in a container or a nested host, whose driver is the outer host's", []string{"gpu-preflight plan " + w.words()}},
	}
}

// unknown is for systems of which no commands are known: what to bring about, in the order that does not break.
func (w way) unknown() []Step {
	name := osName(w.facts.OS.Value)
	title := "Install branch " + w.number() + " as this system does it: no commands are known for " + name
	if name == "" {
		title = "Install branch " + w.number() + " as this system does it: what system this is is not known"
	}
	first := []Step{}
	if strings.HasPrefix(name, "amzn") {
		first = append(first, eks)
	}
	return append(first, drain,
		Step{title, "take the old driver out first, all of it, and reboot after it; kernel modules: " + modulesName(w.open), nil}, w.verify())
}

// words are the target as plan takes it.
func (w way) words() string {
	if w.target.Branch != 0 {
		return "--driver " + w.number()
	}
	return "--cuda " + w.target.CUDA.String()
}

func jetsonSteps() []Step {
	return []Step{{"Move to a newer JetPack", "the driver is a part of Linux for Tegra: it has no branch of its own, and the driver packages for other systems do not fit. JetPack's release notes name its CUDA; from JetPack 5 an image may bring a newer one in its compatibility libraries", []string{
		"cat /etc/nv_tegra_release",
	}}}
}
