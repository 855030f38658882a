package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/hook"
	"gpu-preflight/hook/record"
	"gpu-preflight/hook/register"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "which GPU launches of this host are judged, which pass by, and what is broken",
		Description: "Reads files only: an engine that was not started again since they changed may still do as before.\n" +
			"Exit code 1: a registration drifted or is broken, or the policy cannot be used.\n\n" +
			example("gpu-preflight status", "gpu-preflight status --format json"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "prefix", Usage: "gpu-preflight is installed below `DIR` (where the registrations say)"},
			&cli.StringSliceFlag{Name: "engine-config", Usage: "an engine's configuration lies elsewhere: `ENGINE=FILE`"},
		},
		Action: statusAction,
	}
}

func statusAction(c *cli.Context) error {
	form, err := format(c)
	if err != nil {
		return err
	}
	s, err := statusSite(c)
	if err != nil {
		return err
	}
	st := register.Look(s)
	addPolicy(c, &st)
	if off, until := hostSwitch(c).State(time.Now()); off {
		st.Switch.Off = true
		if !until.IsZero() {
			st.Switch.Until = until.Format(time.RFC3339)
		}
	}
	if form == "json" {
		err = writeJSON(c.App.Writer, st)
	} else {
		err = writeStatus(c.App.Writer, st)
	}
	if err == nil && !st.Healthy {
		err = errRefused
	}
	return err
}

// statusSite is the host that is looked at.
func statusSite(c *cli.Context) (register.Site, error) {
	root, _ := given(c, "root")
	s := register.Site{Root: root, Prefix: c.String("prefix"), Configs: map[string]string{}}
	if s.Prefix != "" && !filepath.IsAbs(s.Prefix) {
		return s, wrongUsage(c, "--prefix %s is no absolute path", s.Prefix)
	}
	for _, word := range c.StringSlice("engine-config") {
		engine, file, found := strings.Cut(word, "=")
		if _, err := register.Named([]string{engine}); err != nil || !found || !filepath.IsAbs(file) {
			return s, wrongUsage(c, "--engine-config %s: it wants ENGINE=FILE, the file with an absolute path", word)
		}
		s.Configs[engine] = file
	}
	return s, nil
}

// addPolicy tells which policy launches are judged by, and where they are recorded.
func addPolicy(c *cli.Context, st *register.Status) {
	file, named := given(c, "config")
	if !named {
		file = hook.DefaultConfig
	}
	p := hook.LoadPolicy(file)
	if named && p.Path == "" {
		p.Problem = "policy " + file + ": it is not there"
	}
	st.Policy = register.PolicyStatus{File: p.Path, Mode: string(p.Mode), Problem: p.Problem}
	st.Healthy = st.Healthy && p.Problem == ""
	place := record.Place(p.Log.File, record.Root(), os.Getenv)
	st.Records = register.RecordStatus{File: place.File, Journal: place.Journal || p.Log.Journald}
}

func writeStatus(w io.Writer, st register.Status) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	line := func(cells ...string) { _, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) }
	line("judging", switchShown(st.Switch))
	line("policy", policyShown(st.Policy))
	line("records", recordsShown(st.Records))
	if st.NVML.Blind {
		line("NVML", "BLIND: "+checks.Printable(st.NVML.Why))
	}
	line()
	_ = table.Flush() // each table has widths of its own
	line("launch path", "state", "why")
	for _, row := range st.Paths {
		line(row.Path, string(row.State), checks.Printable(row.Why))
		for _, command := range row.Close {
			line("", "", "to close it: "+checks.Printable(command))
		}
	}
	line()
	_ = table.Flush()
	line("engine", "registration", "")
	for _, row := range st.Engines {
		line(row.Engine, string(row.State), checks.Printable(strings.Join(row.What, "; ")))
		if row.Mend != "" {
			line("", "", "to mend it: "+checks.Printable(row.Mend))
		}
	}
	_ = table.Flush()
	for shown := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(shown, " \n")); err != nil {
			return err
		}
	}
	return nil
}

func switchShown(s register.SwitchStatus) string {
	switch {
	case !s.Off:
		return "on"
	case s.Until != "":
		return "OFF: every launch passes unjudged, until " + s.Until
	}
	return "OFF: every launch passes unjudged, until gpu-preflight on"
}

func policyShown(p register.PolicyStatus) string {
	switch {
	case p.Problem != "":
		return "BROKEN: " + checks.Printable(p.Problem) + "; launches are judged in mode " + p.Mode
	case p.File == "":
		return "the defaults, mode " + p.Mode
	}
	return checks.Printable(p.File) + ", mode " + p.Mode
}

func recordsShown(r register.RecordStatus) string {
	switch {
	case r.File == "" && r.Journal:
		return "the journal"
	case r.File == "":
		return "nowhere: no file that can be written, no journal, no home"
	case r.Journal:
		return checks.Printable(r.File) + ", and the journal where it runs"
	}
	return checks.Printable(r.File)
}
