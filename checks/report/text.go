package report

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gpu-preflight/checks"
)

// Text writes a report for people: the host and the container, the results, and the verdict in words as the last
// line. Foreign text is escaped.
func Text(w io.Writer, r Report, s Style) error {
	var b bytes.Buffer
	summary(&b, s, "host", r.Host.words())
	summary(&b, s, "container", r.Container.words())
	summary(&b, s, "note", labelled("", r.Container.Disagreement))
	summary(&b, s, "unread", r.Container.Unread)
	if len(r.Results) > 0 {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		writeResults(&b, r.Results, s)
		b.WriteByte('\n')
	}
	b.WriteString(s.Paint(join(bold, VerdictColor(r.Verdict)), checks.Printable(Sentence(r))) + "\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func join(colors ...string) string {
	var set []string
	for _, c := range colors {
		if c != "" {
			set = append(set, c)
		}
	}
	return strings.Join(set, ";")
}

func summary(b *bytes.Buffer, s Style, title string, words []string) {
	if len(words) > 0 {
		fmt.Fprintf(b, "%s  %s\n", s.Paint(bold, fmt.Sprintf("%-9s", title)), checks.Printable(strings.Join(words, ", ")))
	}
}

func (h Host) words() []string {
	words := labelled("driver ", h.Driver, "CUDA ", h.CUDA)
	words = append(words, counted(h.GPUs)...)
	return append(words, labelled("kernel ", h.Kernel, "", h.OS, "files below ", h.Root)...)
}

func (c Container) words() []string {
	words := labelled("", checks.Cut(c.ID, 12), "image ", c.Image)
	if len(c.GPUs) > 0 {
		words = append(words, "asks for GPUs "+strings.Join(c.GPUs, " "))
	}
	words = append(words, labelled("by ", c.Route, "CUDA_VERSION=", c.CUDAVersion)...)
	words = append(words, c.Requirements...)
	if c.Disabled {
		words = append(words, "NVIDIA_DISABLE_REQUIRE is set")
	}
	return words
}

// labelled gives label and value of each pair whose value is not empty.
func labelled(pairs ...string) []string {
	var words []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			words = append(words, pairs[i]+pairs[i+1])
		}
	}
	return words
}

// counted joins equal names: 8 x NVIDIA H100.
func counted(names []string) []string {
	count := map[string]int{}
	var words []string
	for _, name := range names {
		if count[name]++; count[name] == 1 {
			words = append(words, name)
		}
	}
	for i, name := range words {
		if count[name] > 1 {
			words[i] = strconv.Itoa(count[name]) + " x " + name
		}
	}
	return words
}

// writeResults writes what needs attention in full; passed and skipped checks are counted unless verbose.
func writeResults(b *bytes.Buffer, results []checks.Result, s Style) {
	passed, skipped := 0, 0
	for _, r := range results {
		switch {
		case s.Verbose:
		case r.Status == checks.StatusPass:
			passed++
			continue
		case r.Status == checks.StatusSkip:
			skipped++
			continue
		}
		writeResult(b, r, s)
	}
	if passed+skipped == 0 {
		return
	}
	var counts []string
	if passed > 0 {
		counts = append(counts, s.Paint(green, markOf(checks.StatusPass).glyph+" "+strconv.Itoa(passed)+" passed"))
	}
	if skipped > 0 {
		counts = append(counts, s.Paint(faint, strconv.Itoa(skipped)+" skipped"))
	}
	b.WriteString(strings.Join(counts, ", ") + "\n")
}

func writeTitle(b *bytes.Buffer, r checks.Result, s Style) {
	m := markOf(r.Status)
	status := s.Paint(m.color, fmt.Sprintf("%s %-7s", m.glyph, checks.Printable(string(r.Status))))
	fmt.Fprintf(b, "%s  %s %s\n", status, checks.Printable(r.Title), s.Paint(faint, "["+checks.Printable(r.ID)+"]"))
}

func writeResult(b *bytes.Buffer, r checks.Result, s Style) {
	writeTitle(b, r, s)
	detail(b, s, "", r.What)
	detail(b, s, "why: ", r.Why)
	if r.Transient {
		detail(b, s, "", "this may mend itself; a launch waits for it and then starts")
	}
	for _, term := range r.Unmet {
		detail(b, s, "unmet: ", term)
	}
	for _, line := range r.Fix {
		detail(b, s, "fix: ", line)
	}
	if s.Verbose {
		detail(b, s, "source: ", strings.Join(r.Source, ", "))
	}
}

func detail(b *bytes.Buffer, s Style, label, text string) {
	if text != "" {
		fmt.Fprintf(b, "           %s%s\n", s.Paint(faint, label), checks.Printable(text))
	}
}
