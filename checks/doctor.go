package checks

import (
	"fmt"
	"slices"
	"strings"

	"gpu-preflight/checks/host"
	"gpu-preflight/checks/remedy"
)

// explainers are the checks that may name the cause of another's failure, the likeliest first.
var explainers = map[string][]string{
	driverLoaded.ID: {
		"nouveau-not-bound", "kernel-module-flavor", secureBoot.ID, moduleForRunningKernel.ID, dkmsTree.ID, packageState.ID,
		moduleParameters.ID, kernelLog.ID,
	},
	driverLibraryVersion.ID: {
		packageBranches.ID, moduleOnDisk.ID, packageOrigins.ID, packageState.ID, libraryCopies.ID, moduleOrigin.ID, kernelLog.ID,
	},
	gpuPresent.ID:             {"kernel-module-flavor", gpuOnPCI.ID, kernelLog.ID},
	gpuReachable.ID:           {"kernel-module-flavor", kernelLog.ID},
	nvmlResponds.ID:           {kernelLog.ID, libraryCopies.ID},
	fabricManagerRunning.ID:   {fabricManagerPackage.ID, fabricManagerLog.ID, nvlink5Modules.ID},
	fabricState.ID:            {nvlink5Modules.ID, fabricManagerPackage.ID, fabricManagerLog.ID, fabricManagerRunning.ID},
	moduleForRunningKernel.ID: {packageState.ID, dkmsTree.ID},
}

// Cause picks what a person has to read first: the first failure, and after it the findings that say why it is so.
// Nothing fails: the first warning. Empty where there is neither.
func Cause(results []Result) []Result {
	worst := StatusFail
	i := slices.IndexFunc(results, func(r Result) bool { return r.Status == StatusFail })
	if i < 0 {
		worst = StatusWarn
		i = slices.IndexFunc(results, func(r Result) bool { return r.Status == StatusWarn })
	}
	if i < 0 {
		return nil
	}
	found := []Result{results[i]}
	if worst == StatusWarn {
		return found
	}
	for _, id := range explainers[results[i].ID] {
		for _, r := range results {
			if r.ID == id && (r.Status == StatusFail || r.Status == StatusWarn) {
				found = append(found, r)
			}
		}
	}
	return found
}

// Answer is one of the questions that somebody asks first on a host that does not work.
type Answer struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
	Command  string `json:"command"` // that asks the same by hand
}

// Answers gives the five of them.
func Answers(facts host.Facts) []Answer {
	f := Facts{Host: facts, mend: remedy.For(facts)}
	f.joined = f.gpus()
	return []Answer{
		{"does the machine see the GPU?", f.seen(), "lspci | grep -i nvidia"},
		{"which kernel runs?", orUnknown(facts.Kernel.Value, facts.Kernel.Why()), "uname -r"},
		{"what was installed by hand?", f.installedByHand(), byHandCommand(f.mend.Family())},
		{"does the driver answer end to end?", f.answers(), "nvidia-smi"},
		{"does a container get the GPU?", f.containers(), "docker run --rm --gpus all nvidia/cuda:12.1.1-base-ubuntu22.04 nvidia-smi"},
	}
}

func orUnknown(value, why string) string {
	if value == "" {
		return "not known: " + why
	}
	return value
}

func (f Facts) seen() string {
	r := gpuOnPCI.Run(f)
	return r.What
}

func (f Facts) answers() string {
	n := f.Host.NVML
	switch {
	case !n.Init.Known():
		return "not known: " + n.Init.Why()
	case n.Init.Value != host.NVMLSuccess:
		return fmt.Sprintf("no: NVML's start returned %d", n.Init.Value)
	case !f.answering():
		return "NVML answers, and not for every GPU"
	}
	return fmt.Sprintf("yes, for %s, with driver %s", counted(n.Count.Value, "GPU"), f.driverName())
}

// installedByHand names what the administrator installed and not another package.
func (f Facts) installedByHand() string {
	packages := f.Host.Stack.Packages
	if !packages.Known() {
		return "not known: " + packages.Why()
	}
	var list []string
	for _, p := range packages.Value {
		if p.Manual && (strings.Contains(p.Name, "nvidia") || strings.HasPrefix(p.Name, "cuda")) {
			list = append(list, p.Name)
		}
	}
	if installer := f.Host.Stack.Installer.Value; installer.Log {
		list = append(list, "NVIDIA's .run file"+inParentheses(installer.Version))
	}
	if len(list) == 0 {
		return "nothing that the package database marks so"
	}
	return few(list)
}

func byHandCommand(family remedy.Family) string {
	switch family {
	case remedy.FamilyDNF:
		return "dnf history userinstalled | grep nvidia"
	case remedy.FamilyZypper:
		return "zypper search -i --userinstalled nvidia"
	case remedy.FamilyPacman:
		return "pacman -Qe | grep nvidia"
	case remedy.FamilyApt, remedy.FamilyImage, remedy.FamilyUnknown:
	}
	return "apt-mark showmanual | grep nvidia"
}

// containers tells what is there for containers; none is started.
func (f Facts) containers() string {
	r := containerToolkit.Run(f)
	return "not tried; " + r.What
}

// Models names the GPUs of a host that NVML does not name: by the driver's files, else by their PCI ids.
func Models(facts host.Facts) []string {
	var list []string
	for _, g := range (Facts{Host: facts}).gpus() {
		i := slices.IndexFunc(facts.PCI.Value, func(p host.PCIDevice) bool { return busID(p.Bus) == g.bus })
		switch {
		case g.model != "":
			list = append(list, g.model)
		case i >= 0:
			list = append(list, "GPU 10de:"+facts.PCI.Value[i].Device)
		}
	}
	return list
}
