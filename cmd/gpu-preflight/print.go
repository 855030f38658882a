package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/checks/report"
	"gpu-preflight/hook"
	"gpu-preflight/oci"
)

// answer prints the judgement; a refusal is the exit code's matter.
func (j judged) answer(c *cli.Context, form string) error {
	j.image = c.String("image")
	r := j.report()
	r.Host.Root = rootFlag(c)
	err := report.Write(c.App.Writer, form, c.Command.Name, r, report.Style{Color: color(c), Verbose: c.Bool("verbose")})
	if err != nil {
		return err
	}
	return ended(form, r, r.Verdict == hook.Refuse)
}

func color(c *cli.Context) bool {
	for _, level := range c.Lineage() {
		if level.Bool("no-color") {
			return false
		}
	}
	return report.Terminal(c.App.Writer, os.Getenv)
}

func (j judged) report() report.Report {
	v := j.verdict
	r := report.Report{
		Verdict: v.Verdict, Mode: string(v.Mode), WouldRefuse: v.WouldRefuse, Reason: v.Reason, Results: v.Results, Refusing: v.Refusing,
		Host: hostShown(j.facts), Container: j.container(),
	}
	if j.waited > 0 && v.Verdict != hook.Refuse {
		r.Reason = "after waiting " + j.waited.String() + " for what was coming up"
	}
	return r
}

func hostShown(f host.Facts) report.Host {
	h := report.Host{
		Driver: f.Driver.Version.Value, CUDA: f.NVML.CUDA.Value, Kernel: f.Kernel.Value, OS: f.OS.Value.Pretty,
	}
	if h.Driver == "" {
		h.Driver = f.NVML.Driver.Value
	}
	for _, g := range f.NVML.GPUs {
		h.GPUs = append(h.GPUs, gpuShown(g))
	}
	return h
}

// gpuShown is a GPU's name, else its brand, and its compute capability.
func gpuShown(g host.GPU) string {
	name := g.Name.Value
	if name == "" {
		name = g.Brand.Value
	}
	if name == "" {
		name = "GPU of unknown kind"
	}
	if g.Capability.Known() {
		name += " (" + g.Capability.Value + ")"
	}
	return name
}

func (j judged) container() report.Container {
	request, needs := j.launch.GPUs, j.launch.Needs
	c := report.Container{
		Image: j.image, CUDAVersion: needs.CUDAVersion, Disabled: needs.Disabled,
		Unread: needs.Unread, Disagreement: checks.Disagreement(needs),
	}
	for _, e := range needs.Evidence {
		c.Evidence = append(c.Evidence, report.Evidence(e))
	}
	for _, l := range needs.Compat.Libraries {
		shown := report.CompatLibrary{Path: l.Path, Version: l.Version}
		if l.Note != nil {
			shown.CUDA, shown.Branches = l.Note.CUDA, l.Note.Branches
		}
		c.Compat = append(c.Compat, shown)
	}
	if request.GPU {
		c.Route, c.GPUs = string(request.Route), hook.RequestNames(request)
	}
	if from := j.launch.Container; from != nil {
		c.ID = from.ID
		_, c.Image, _ = oci.Namespace(from)
	}
	for _, r := range needs.Requirements {
		c.Requirements = append(c.Requirements, r.Name+"="+r.Expression)
	}
	return c
}
