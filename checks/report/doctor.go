package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"gpu-preflight/checks"
)

// layers are the parts of the stack in the order in which doctor shows them, and how it calls them.
var layers = []struct {
	layer checks.Layer
	title string
}{
	{checks.Hardware, "hardware"},
	{checks.Kernel, "kernel modules"},
	{checks.Libraries, "libraries"},
	{checks.Utilities, "utilities"},
	{checks.Packages, "packages"},
	{checks.FabricSys, "fabric"},
	{checks.Container, "container side"},
}

// Doctor writes what was found on a host, for people: the machine in one line, the layers of the driver stack with
// what needs attention, the questions that come first, and the verdict in one sentence as the last line. unjudged
// says why there was nothing to judge.
func Doctor(w io.Writer, r Report, unjudged string, s Style) error {
	var b bytes.Buffer
	b.WriteString(s.Paint(bold, checks.Printable(Machine(r.Host))) + "\n")
	if unjudged != "" {
		fmt.Fprintf(&b, "%s\nnothing to judge\n", checks.Printable(unjudged))
	} else {
		writeLayers(&b, r, s)
		b.WriteString(s.Paint(join(bold, doctorColor(r)), checks.Printable(Diagnosis(r))) + "\n")
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func writeLayers(b *bytes.Buffer, r Report, s Style) {
	fmt.Fprintf(b, "used as %s\n", checks.Printable(r.Use))
	if r.Reason != "" {
		b.WriteString(s.Paint(yellow, checks.Printable(r.Reason)) + "\n")
	}
	b.WriteByte('\n')
	for _, l := range layers {
		var shown, passed, skipped []checks.Result
		for _, one := range r.Results {
			switch {
			case one.Layer != l.layer:
			case !s.Verbose && one.Status == checks.StatusPass:
				passed = append(passed, one)
			case !s.Verbose && one.Status == checks.StatusSkip:
				skipped = append(skipped, one)
			default:
				shown = append(shown, one)
			}
		}
		fmt.Fprintf(b, "%s%s\n", s.Paint(bold, fmt.Sprintf("%-16s", l.title)), s.Paint(faint, counts(len(passed), len(skipped))))
		writeGrouped(b, shown, s)
	}
	b.WriteByte('\n')
	for _, q := range r.Questions {
		fmt.Fprintf(b, "%-36s%s %s\n", q.Question, checks.Printable(q.Answer), s.Paint(faint, "("+checks.Printable(q.Command)+")"))
	}
	b.WriteByte('\n')
}

// writeGrouped writes results. What is unknown for one and the same reason, as where NVML hangs, tells it once.
func writeGrouped(b *bytes.Buffer, results []checks.Result, s Style) {
	for len(results) > 0 {
		first := results[0]
		rest := slices.DeleteFunc(slices.Clone(results[1:]), func(one checks.Result) bool {
			same := !s.Verbose && first.Status == checks.StatusUnknown && one.Status == first.Status && one.What == first.What
			if same {
				writeTitle(b, first, s)
				first = one
			}
			return same
		})
		writeResult(b, first, s)
		results = rest
	}
}

func counts(passed, skipped int) string {
	return strings.Join(slices.Concat(number(passed, "passed", "passed"), number(skipped, "does not apply", "do not apply")), ", ")
}

// Machine is the host in one line: 8x NVIDIA H100 80GB HBM3, driver 550.54.15, CUDA 12.4, Ubuntu 22.04.4 LTS, kernel
// 5.15.0-91-generic.
func Machine(h Host) string {
	words := counted(h.GPUs)
	for i, word := range words {
		words[i] = strings.Replace(word, " x ", "x ", 1)
	}
	if len(words) == 0 {
		words = append(words, "no NVIDIA GPU")
	}
	words = append(words, labelled("driver ", h.Driver, "CUDA ", h.CUDA, "", h.OS, "kernel ", h.Kernel, "files below ", h.Root)...)
	return strings.Join(words, ", ")
}

// Diagnosis is the verdict on a host in one sentence.
func Diagnosis(r Report) string {
	warnings, unknown := 0, 0
	for _, one := range r.Results {
		switch one.Status {
		case checks.StatusWarn:
			warnings++
		case checks.StatusUnknown:
			unknown++
		case checks.StatusFail, checks.StatusPass, checks.StatusSkip:
		}
	}
	cause := checks.Cause(r.Results)
	switch {
	case len(cause) == 0 && unknown > 0:
		return "nothing is wrong in what could be read; " + number(unknown, "check is unknown", "checks are unknown")[0]
	case len(cause) == 0:
		return "healthy: GPU containers can run here"
	case cause[0].Status == checks.StatusWarn:
		return fmt.Sprintf("nothing stops GPU containers; %s, first [%s]: %s", number(warnings, "warning", "warnings")[0], cause[0].ID, cause[0].What)
	case len(cause) == 1:
		return "GPU containers cannot run here: " + cause[0].What
	}
	return fmt.Sprintf("GPU containers cannot run here: %s; the likely cause, [%s]: %s", cause[0].What, cause[1].ID, cause[1].What)
}

func doctorColor(r Report) string {
	cause := checks.Cause(r.Results)
	if len(cause) == 0 {
		return green
	}
	return markOf(cause[0].Status).color
}
