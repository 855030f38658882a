package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/checks/report"
	"gpu-preflight/hook/record"
)

// topImages is how many images the text of --stats names.
const topImages = 10

func logsCommand() *cli.Command {
	return &cli.Command{
		Name:  "logs",
		Usage: "print the recorded launches",
		Description: "One line a launch: time, verdict, container, image, what was found, what the runtime was told.\n" +
			"\"would refuse\" marks what mode \"warn\" let start. A launch that shim and hook both judged is one line.\n" +
			"The file is the policy's; where that is not there, the user's own (rootless engines). The rotated file FILE.1\n" +
			"is read too, except with --follow.\n\n" +
			example("gpu-preflight logs --refused --since 24h", "gpu-preflight logs --container web", "gpu-preflight logs --follow",
				"gpu-preflight logs --stats", "gpu-preflight logs --json | jq -r .container.image"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "refused", Usage: "only what was refused, or would have been in mode enforce"},
			&cli.StringFlag{Name: "since", Usage: "only from `TIME` on: 90m, 24h, or 2026-11-23T12:00:00Z"},
			&cli.StringFlag{Name: "container", Usage: "only the container of this `NAME` or beginning of an ID"},
			&cli.BoolFlag{Name: "follow", Usage: "go on with what comes, until interrupted"},
			&cli.BoolFlag{Name: "json", Usage: "one JSON object a line, as recorded; the same as --format json"},
			&cli.BoolFlag{Name: "stats", Usage: "count instead: verdicts, checks, images, time a judgement takes"},
			&cli.StringFlag{Name: "file", Usage: "read `FILE` instead of the policy's"},
		},
		Action: logsAction,
	}
}

func logsAction(c *cli.Context) error {
	form, err := format(c)
	if err != nil {
		return err
	}
	filter, err := logFilter(c, time.Now())
	if err != nil {
		return err
	}
	file, err := logFile(c)
	if err != nil || file == "" {
		return err
	}
	asJSON := form == "json" || c.Bool("json")
	l := &logPrinter{c: c, filter: filter, json: asJSON, raw: asJSON && !c.Bool("stats"), color: color(c)}
	records := record.Scan(file, true)
	if c.Bool("follow") {
		records = record.Follow(c.Context, file, 0)
	}
	if c.Bool("stats") {
		return l.stats(records)
	}
	return l.lines(records)
}

func logFilter(c *cli.Context, now time.Time) (record.Filter, error) {
	f := record.Filter{Refused: c.Bool("refused"), Container: c.String("container")}
	if c.Bool("follow") && c.Bool("stats") {
		return f, wrongUsage(c, "--stats counts what is there, and --follow does not end")
	}
	since := c.String("since")
	if since == "" {
		return f, nil
	}
	if ago, err := time.ParseDuration(since); err == nil && ago >= 0 {
		f.Since = now.Add(-ago)
		return f, nil
	}
	at, err := time.Parse(time.RFC3339, since)
	if err != nil {
		return f, wrongUsage(c, "--since %q is neither a time span like 90m nor a time like 2026-11-23T12:00:00Z", since)
	}
	f.Since = at
	return f, nil
}

// logFile finds the log. Empty without an error: nothing was recorded yet, and the user was told where to look.
func logFile(c *cli.Context) (string, error) {
	if file := c.String("file"); file != "" {
		return file, nil
	}
	p, err := policy(c)
	if _, named := given(c, "config"); err != nil && named {
		return "", err
	}
	if err != nil { // launches are recorded all the same, where the defaults say
		complain(c, err)
	}
	target := record.Target{File: p.Log.File}
	if _, err := os.Stat(target.File); errors.Is(err, fs.ErrNotExist) || target.File == "" {
		target = record.Place(p.Log.File, record.Root(), os.Getenv)
	}
	switch _, err := os.Stat(target.File); {
	case target.Journal:
		_, err = fmt.Fprintln(c.App.ErrWriter, "rootless launches are recorded in the journal: journalctl -t gpu-preflight")
		return "", err
	case target.File == "":
		return "", fmt.Errorf("logs: %q of the policy is not there, and nothing else to read", p.Log.File)
	case errors.Is(err, fs.ErrNotExist) && !c.Bool("follow"):
		if _, older := os.Stat(target.File + ".1"); older == nil {
			return target.File, nil
		}
		_, err = fmt.Fprintf(c.App.ErrWriter, "no launch is recorded yet in %s\n", checks.Printable(target.File))
		return "", err
	}
	return target.File, nil
}

func complain(c *cli.Context, err error) {
	_, _ = fmt.Fprintln(c.App.ErrWriter, "gpu-preflight:", checks.Printable(err.Error()))
}

// logPrinter prints the records that a filter chooses.
type logPrinter struct {
	c      *cli.Context
	filter record.Filter
	json   bool
	raw    bool // --json without --stats: every record as it is
	color  bool
	joiner record.Joiner
	failed error // what ended the reading
}

// chosen gives the records to show. Lines that are no record are reported, and passed over.
func (l *logPrinter) chosen(records iter.Seq2[record.Record, error]) iter.Seq[record.Record] {
	return func(yield func(record.Record) bool) {
		for r, err := range records {
			var line *record.LineError
			switch {
			case errors.As(err, &line):
				complain(l.c, err)
				continue
			case err != nil:
				l.failed = err
				return
			case !l.filter.Match(r), !l.raw && l.joiner.Repeats(r):
				continue
			}
			if !yield(r) {
				return
			}
		}
	}
}

func (l *logPrinter) lines(records iter.Seq2[record.Record, error]) error {
	for r := range l.chosen(records) {
		line := []byte(logLine(r, report.Style{Color: l.color}))
		if l.json {
			var err error
			if line, err = record.Encode(r); err != nil {
				return err
			}
		}
		if _, err := l.c.App.Writer.Write(line); err != nil {
			return fmt.Errorf("write launches: %w", err)
		}
	}
	return l.failed
}

func (l *logPrinter) stats(records iter.Seq2[record.Record, error]) error {
	s := record.Summarize(l.chosen(records))
	if l.failed != nil {
		return l.failed
	}
	if l.json {
		return writeJSON(l.c.App.Writer, s)
	}
	return printStats(l.c.App.Writer, s)
}

// logLine is one launch: time, verdict, container, image, [checks], message.
func logLine(r record.Record, style report.Style) string {
	verdict, shade := r.Verdict, report.VerdictColor(r.Verdict)
	if r.WouldRefuse {
		verdict = "would refuse"
	}
	ids := make([]string, len(r.Results))
	for i, result := range r.Results {
		ids[i] = result.ID
	}
	fields := []string{
		r.Time.UTC().Format(time.RFC3339),
		style.Paint(shade, fmt.Sprintf("%-12s", checks.Printable(verdict))),
		checks.Printable(containerShown(r.Container)),
		checks.Printable(orDash(r.Container.Image)),
		checks.Printable("[" + strings.Join(ids, " ") + "]"),
	}
	for _, text := range []string{said(r), r.Problem} {
		if text != "" {
			fields = append(fields, checks.Printable(text))
		}
	}
	return strings.Join(fields, "  ") + "\n"
}

// said is what the runtime was told, else the first thing that was found.
func said(r record.Record) string {
	if r.Message != "" || len(r.Results) == 0 {
		return r.Message
	}
	worst := r.Results[0]
	for _, result := range r.Results {
		if result.Status == checks.StatusFail && worst.Status != checks.StatusFail {
			worst = result
		}
	}
	return worst.What
}

func containerShown(c record.Container) string {
	name := orDash(checks.Cut(c.ID, 12))
	if c.Name != "" {
		name = c.Name + " (" + name + ")"
	}
	if c.Namespace != "" {
		name = c.Namespace + "/" + name
	}
	return name
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func printStats(w io.Writer, s record.Stats) error {
	if s.Launches == 0 {
		_, err := fmt.Fprintln(w, "no launches")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	var b strings.Builder
	fmt.Fprintf(&b, "launches\t%d\tfrom %s to %s\n", s.Launches, s.First.UTC().Format(time.RFC3339), s.Last.UTC().Format(time.RFC3339))
	for _, verdict := range []string{"allow", "warn", "refuse", "exempt"} {
		fmt.Fprintf(&b, "%s\t%d\n", verdict, s.Verdicts[verdict])
	}
	fmt.Fprintf(&b, "would refuse\t%d\nour errors\t%d\n", s.WouldRefuse, s.Problems)
	fmt.Fprintf(&b, "judgement\t%.1f ms\tmedian\n\t%.1f ms\t99th percentile\n", s.Median, s.P99)
	if len(s.Checks) > 0 {
		b.WriteString("\ncheck\tfail\twarn\tunknown\n")
	}
	for _, check := range s.Checks {
		fmt.Fprintf(&b, "%s\t%d\t%d\t%d\n", checks.Printable(check.ID), check.Fail, check.Warn, check.Unknown)
	}
	b.WriteString("\nimage\tlaunches\trefused\n")
	for _, image := range s.Images[:min(topImages, len(s.Images))] {
		fmt.Fprintf(&b, "%s\t%d\t%d\n", checks.Printable(orDash(image.Image)), image.Launches, image.Refused)
	}
	if more := len(s.Images) - topImages; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	if _, err := io.WriteString(t, b.String()); err != nil {
		return err
	}
	return t.Flush()
}
