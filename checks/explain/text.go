package explain

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"gpu-preflight/checks"
)

// Write writes an answer for people. What came from the text is escaped.
func Write(w io.Writer, a Answer) error {
	var b strings.Builder
	switch {
	case a.OneOf:
		fmt.Fprintf(&b, "%s alone does not tell whose number it is; say cuda, nvml or xid before it, or paste the line:\n\n", quoted(a.Query))
	case len(a.Entries) > 1:
		fmt.Fprintf(&b, "%d findings, the root cause first:\n\n", len(a.Entries)+len(a.More))
	}
	for i, e := range a.Entries {
		if i > 0 {
			b.WriteString("\n")
		}
		e.write(&b)
	}
	if len(a.More) > 0 {
		fmt.Fprintf(&b, "\nalso in the text: %s\n", strings.Join(a.More, ", "))
	}
	if a.Cut {
		fmt.Fprintf(&b, "\nonly the first %d KiB of the text were looked at\n", MaxText>>10)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// write puts what mends it before the checks, of which a CUDA error has many.
func (e Entry) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n", e.Title)
	line(b, "seen", quoted(e.Seen), e.Seen != "")
	line(b, "means", e.Meaning, true)
	line(b, "layer", e.Layer, e.Layer != "")
	line(b, "number", e.Numbers, e.Numbers != "")
	line(b, "errors", "CUDA "+strings.Trim(strings.ReplaceAll(fmt.Sprint(e.CUDA), " ", ", "), "[]"), len(e.CUDA) > 0)
	line(b, "after", strings.Join(e.After, ", "), len(e.After) > 0)
	for i, c := range e.Causes {
		cause := c.Cause
		if cause == "" {
			cause = "not known"
		}
		line(b, "cause", fmt.Sprintf("%d. %s", i+1, cause), true)
		line(b, "  fix", c.Fix, c.Fix != "")
	}
	line(b, "open", e.Unproven, e.Unproven != "")
	for _, c := range e.Checks {
		line(b, "check", c.ID+": "+c.Title, c.ID != e.Key)
	}
	line(b, "check", "none looks at this", len(e.Checks) == 0)
	line(b, "from", strings.Join(slices.Concat(e.Sources, e.Links), "; "), len(e.Sources)+len(e.Links) > 0)
}

func line(b *strings.Builder, name, text string, there bool) {
	if there {
		fmt.Fprintf(b, "  %-8s%s\n", name, text)
	}
}

func quoted(text string) string { return `"` + checks.Printable(text) + `"` }
