package main

import (
	"context"
	"slices"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/checks/report"
	"gpu-preflight/hook"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "what is wrong with this host, layer by layer, and what mends it",
		Description: "Looks at the host alone: hardware, kernel modules, libraries, utilities, packages, fabric, container side. Changes nothing.\n" +
			"Its fixes fit this host's packages; gpu-preflight plan has the steps to another driver.\n" +
			"Exit code 0: GPU containers can run (warnings included), 1: a check failed, 2: wrong usage or unreadable input.\n\n" + example(
			"gpu-preflight doctor",
			"gpu-preflight doctor --verbose",
			"gpu-preflight facts > host.json; gpu-preflight doctor --facts host.json"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "facts", Usage: "judge the host whose facts are in `FILE`"},
			&cli.BoolFlag{Name: "verbose", Usage: "print every check, and where its facts come from"},
			reportFlag(),
		},
		Action: reporting(doctorAction),
	}
}

func doctorAction(c *cli.Context, form string) error {
	p, err := policy(c)
	if err != nil {
		return err
	}
	facts, err := doctorFacts(c, p)
	if err != nil {
		return err
	}
	r, unjudged := examine(facts, p)
	r.Host.Root = rootFlag(c)
	style := report.Style{Color: color(c), Verbose: c.Bool("verbose")}
	if form == "text" {
		err = report.Doctor(c.App.Writer, r, unjudged, style)
	} else {
		err = report.Write(c.App.Writer, form, c.Command.Name, r, style)
	}
	if err != nil {
		return err
	}
	return ended(form, r, slices.ContainsFunc(r.Results, func(one checks.Result) bool { return one.Status == checks.StatusFail }))
}

// doctorFacts are those of a file, at its end, or of this host.
func doctorFacts(c *cli.Context, p hook.Policy) (host.Facts, error) {
	if c.IsSet("facts") {
		entries, err := host.ReadFacts(c.String("facts"))
		if err != nil {
			return host.Facts{}, err
		}
		return entries[len(entries)-1].Facts, nil
	}
	return wholeHost(c, p)
}

// wholeHost reads this host with everything that doctor looks at.
func wholeHost(c *cli.Context, p hook.Policy) (host.Facts, error) {
	o, err := thisHost(c, p)
	if err != nil {
		return host.Facts{}, err
	}
	o.Stack, o.Packed = true, true
	ctx, cancel := context.WithTimeout(c.Context, stackTimeout)
	defer cancel()
	return host.Gather(ctx, o), nil
}

// examine judges a host; unjudged says why there is nothing to judge.
func examine(facts host.Facts, p hook.Policy) (r report.Report, unjudged string) {
	r = report.Report{Verdict: hook.Allow, Host: hostShown(facts)}
	for i, g := range facts.NVML.GPUs {
		if g.Name.Value != "" {
			r.Host.GPUs[i] = g.Name.Value
		}
	}
	if unjudged = checks.NothingToJudge(facts); unjudged != "" {
		r.Reason = "nothing to judge: " + unjudged
		return r, unjudged
	}
	if len(r.Host.GPUs) == 0 {
		r.Host.GPUs = checks.Models(facts)
	}
	if init := facts.NVML.Init; !init.Known() {
		r.Reason = "NVML did not answer (" + init.Why() + "): what only the driver knows is unknown here"
	}
	v := hook.JudgeHost(facts, p)
	r.Verdict, r.Results = v.Verdict, v.Results
	r.Use, r.Questions = string(checks.Facts{Host: facts}.Use()), checks.Answers(facts)
	for _, one := range checks.Cause(v.Results) {
		r.Cause = append(r.Cause, one.ID)
	}
	return r, ""
}
