package plan

import (
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/cuda"
)

// way is a chosen branch on its way onto a host.
type way struct {
	hostView
	branch int
	open   bool
	target Target
}

// tool is how one package manager does it.
type tool struct {
	names  []string // packages to install: the driver first
	look   []string // shows that the packages are there
	free   []string // lets go of what is held or locked
	purge  []string
	build  []string // what a kernel module is built with
	source []Step   // where the packages come from, before all else
	driver []string
	fabric []string
	hold   []string // keeps the branch
}

// steps are the runbook.
func (w way) steps() []Step {
	t, ok := w.tool()
	if !ok {
		return w.elsewhere()
	}
	steps := append(t.source, Step{"See that the packages are there, before anything is taken away", w.whyLook(t), t.look})
	steps = append(steps, w.stop()...)
	for _, step := range []Step{
		{"Let go of held packages", "", t.free},
		w.purge(t),
		{"Remove what DKMS left", "a stale tree keeps the new module from being built", w.trees()},
		{"Install what kernel modules are built with", "for the kernel that will boot, if it is not the one that runs", t.build},
		{"Install the driver, branch " + w.number() + " with the " + modulesName(w.open) + " kernel modules", "", t.driver},
		w.fabricStep(t),
		{"Keep the branch", "an upgrade under a running system splits libraries from the loaded module", t.hold},
	} {
		if len(step.Commands) > 0 {
			steps = append(steps, step)
		}
	}
	return append(steps, w.ending()...)
}

func (w way) whyLook(t tool) string {
	if missing := w.software.withheld(t.names); len(missing) > 0 {
		return "the local package lists do not offer " + strings.Join(missing, ", ") + " now: stop here if that stays so"
	}
	if w.by == dnf {
		return "stop here where branch " + w.number() + ", or dkms (on RHEL and its like in EPEL), is not offered"
	}
	return "stop here where branch " + w.number() + " is not offered"
}

// trees are what takes DKMS trees out; none where it is known that there are none.
func (w way) trees() []string {
	trees := w.facts.Stack.DKMS
	if trees.Known() && len(trees.Value) == 0 {
		return nil
	}
	return []string{"dkms status", "rm -rf /var/lib/dkms/nvidia*"}
}

func (w way) number() string { return strconv.Itoa(w.branch) }

func (w way) packages() []string {
	t, _ := w.tool()
	return t.names
}

// tool is how this host's package manager does it; ok is false where something else brings the driver.
func (w way) tool() (t tool, ok bool) {
	switch w.by {
	case apt:
		return w.apt(), true
	case dnf:
		return w.dnf(), true
	case zypper:
		return w.zypper(), true
	}
	return tool{}, false
}

// stop empties the node and stops what holds the module.
func (w way) stop() []Step {
	units := "docker.socket docker kubelet nvidia-persistenced nvidia-dcgm"
	if w.fabric().manager {
		units = "docker.socket docker kubelet nvidia-fabricmanager nvidia-persistenced nvidia-dcgm"
	}
	units += map[string]string{apt: " unattended-upgrades apt-daily.timer apt-daily-upgrade.timer", dnf: " dnf-automatic.timer"}[w.by]
	return []Step{
		{"Empty the node", "with Kubernetes; else end the jobs that the second command shows", []string{
			"kubectl drain NODE --ignore-daemonsets --delete-emptydir-data", "nvidia-smi --query-compute-apps=pid,name --format=csv",
		}},
		{"Stop what uses the GPUs", "units that are not there do no harm", []string{"systemctl stop " + units}},
	}
}

// purge takes the whole old driver out: a new metapackage over an old one is the known mistake.
func (w way) purge(t tool) Step {
	if w.software.runfile {
		return Step{"Take out the driver of the .run file", "its files are no package's and would stay", []string{"nvidia-uninstall"}}
	}
	return Step{"Take out the old driver, all of it", "installed over another branch, packages of both stay; the container toolkit is kept", t.purge}
}

func (w way) fabricStep(t tool) Step {
	step := Step{"Install Fabric Manager of the very same version", "it ends at once when one digit differs: error 802", t.fabric}
	switch need := w.fabric(); {
	case need.subnet:
		step.Title += ", and nvlsm"
		step.Why = "the switches of the board are reached over InfiniBand management datagrams; a kernel of 5.17 or later"
		step.Commands = append(step.Commands, `printf '%s\n' ib_umad mlx5_ib > /etc/modules-load.d/nvlsm.conf`)
	case need.imex:
		return Step{"Install nvidia-imex of the very same version", "the switches are in trays of their own; the node runs nvidia-imex", t.fabric}
	case !need.manager:
		return Step{}
	}
	step.Commands = append(step.Commands, "systemctl enable nvidia-fabricmanager")
	return step
}

// ending boots into the new driver and looks at it.
func (w way) ending() []Step {
	look := []string{"nvidia-smi", "modinfo -F version nvidia; modinfo -F license nvidia"}
	if w.fabric().manager {
		look = append(look, "nv-fabricmanager --version")
	}
	look = append(look, "gpu-preflight doctor", "gpu-preflight check --verbose"+w.need())
	steps := []Step{{"Reboot", "the old module stays loaded until then; stop here where there is no module for the kernel that boots", []string{w.modinfo(), "reboot"}}}
	if files := w.facts.Stack.CDI; !files.Known() || len(files.Value) > 0 {
		steps = append(steps, Step{"Renew the CDI file, if there is one", "it names the files of the old driver; newer toolkits have a service for it", []string{
			"systemctl restart nvidia-cdi-refresh || nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
		}})
	}
	return append(steps, Step{"Verify", "", look}, Step{"Let work come back", "with Kubernetes", []string{"kubectl uncordon NODE"}})
}

// need is the target as check takes it.
func (w way) need() string {
	if w.target.CUDA.IsZero() {
		return ""
	}
	return " --env CUDA_VERSION=" + w.target.CUDA.String()
}

// latest is the newest driver of the branch that is known, or the branch with a wildcard.
func (w way) latest() string {
	if row, ok := cuda.Lifecycle(w.branch); ok && row.Latest != "" {
		return row.Latest
	}
	return w.number() + ".*"
}

// installed is a command that takes out the packages by name where their names are known, else by what the package
// database says when it runs. Names come from the host: odd ones are left to a person.
func (w way) installed(remove, ask string) []string {
	if !w.software.known {
		return []string{remove + " $(" + ask + ")"}
	}
	names := slices.DeleteFunc(slices.Clone(w.software.packages), odd)
	if len(names) == 0 {
		return nil
	}
	return []string{remove + " " + strings.Join(names, " ")}
}

// odd tells a name that no package has: it would mean something to a shell.
func odd(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-_"
	return name == "" || name[0] == '-' || strings.Trim(name, letters) != ""
}
