// Package plan works out which driver branch serves a target on a host, and the steps that bring it there. It does no
// I/O and changes nothing: facts go in, a runbook comes out.
package plan

import (
	"strconv"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/host"
)

// Schema names the JSON form of Plan; additions only.
const Schema = "gpu-preflight.plan/v1"

// Target is what the host has to serve: CUDA, or a driver branch. The other one is zero.
type Target struct {
	CUDA   cuda.Version
	Branch int
	From   string // what asked for it, where that is not the target itself: the image of ./bundle
}

// String is "CUDA 12.8" or "driver branch 580".
func (t Target) String() string {
	name := "CUDA " + t.CUDA.String()
	if t.Branch != 0 {
		name = "driver branch " + strconv.Itoa(t.Branch)
	}
	if t.From != "" {
		name += ", for " + t.From
	}
	return name
}

// Answer is what a plan comes to.
type Answer string

// The four answers.
const (
	Upgrade Answer = "upgrade" // the steps bring the host there
	Enough  Answer = "enough"  // it is there
	Nothing Answer = "nothing" // no NVIDIA GPU is here
	NoWay   Answer = "no-way"  // no driver does it with these GPUs
)

// Plan is the answer for one host.
type Plan struct {
	Schema   string   `json:"schema"`
	Answer   Answer   `json:"answer"`
	Sentence string   `json:"sentence"`           // the answer in words
	Target   string   `json:"target"`             // CUDA 12.8
	Driver   string   `json:"driver,omitempty"`   // loaded now
	CUDA     string   `json:"cuda,omitempty"`     // what it gives
	GPUs     []string `json:"gpus,omitempty"`     // in the order of the PCI bus
	OS       string   `json:"os,omitempty"`       // as os-release calls it
	By       string   `json:"by,omitempty"`       // what brings the driver here: apt, dnf, zypper, gke, …
	Branch   int      `json:"branch,omitempty"`   // to install, or the one that is enough
	Modules  string   `json:"modules,omitempty"`  // open | proprietary
	Reasons  []string `json:"reasons,omitempty"`  // why this branch and these modules, or why none
	Steps    []Step   `json:"steps,omitempty"`    // in this order
	Risks    []Risk   `json:"risks,omitempty"`    // to think of before
	Instead  []string `json:"instead,omitempty"`  // what else would serve the target
	Packages []string `json:"packages,omitempty"` // what the steps install
}

// Step is one thing to do.
type Step struct {
	Title    string   `json:"title"`
	Why      string   `json:"why,omitempty"`
	Commands []string `json:"commands,omitempty"` // for a shell of root, or lines of a configuration file
}

// Risk is what may go wrong on the way.
type Risk struct {
	ID   string `json:"id"`
	What string `json:"what"`
}

// Make plans the way of a host to a target.
func Make(f host.Facts, t Target) Plan {
	v := view(f)
	p := Plan{
		Schema: Schema, Target: t.String(), Driver: v.driver.String(), OS: f.OS.Value.Pretty, GPUs: v.names(),
	}
	if p.OS == "" {
		p.OS = osName(f.OS.Value)
	}
	if !v.cuda.IsZero() && !v.atLeast {
		p.CUDA = v.cuda.String()
	}
	switch {
	case v.by == jetson:
		p.Answer, p.By = Upgrade, v.by
		p.Steps = jetsonSteps()
		p.Sentence = "JetPack brings the driver of a Jetson: move to the JetPack release that has " + t.String()
	case len(v.gpus) == 0 && f.PCI.Known() && v.by != wsl:
		p.Answer = Nothing
		p.Sentence = "nothing to plan: no NVIDIA GPU is on this host's PCI bus"
	default:
		v.answer(&p, t)
	}
	return p
}

// answer fills in the branch, and with it the rest.
func (v hostView) answer(p *Plan, t Target) {
	c := v.choose(t)
	p.Reasons, p.Instead, p.Branch = c.reasons, c.instead, c.branch
	switch {
	case c.no != "":
		p.Answer, p.Branch = NoWay, 0
		p.Sentence = "no way to " + t.String() + " on this host: " + c.no
	case c.enough != "":
		p.Answer = Enough
		p.Sentence = "nothing to do for " + t.String() + ": " + c.enough
	default:
		p.Answer, p.By = Upgrade, v.by
		w := way{hostView: v, branch: c.branch, open: c.open, target: t}
		p.Steps, p.Packages = w.steps(), w.packages()
		p.Risks = w.risks(c)
		p.Sentence = "install driver branch " + strconv.Itoa(c.branch)
		if v.by != wsl && v.by != vgpu {
			p.Modules = modulesName(c.open)
			p.Sentence += " with the " + p.Modules + " kernel modules"
		}
	}
}

func modulesName(open bool) string {
	if open {
		return openModules
	}
	return proprietaryModules
}
