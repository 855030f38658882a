package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"gpu-preflight/checks"
	"gpu-preflight/checks/plan"
)

// Plan writes a plan for people: the host, what was chosen and why, the steps, the risks, and the answer in words as
// the last line. Foreign text is escaped.
func Plan(w io.Writer, p plan.Plan, s Style) error {
	var b bytes.Buffer
	summary(&b, s, "host", append(labelled("driver ", p.Driver, "CUDA ", p.CUDA), append(counted(p.GPUs), labelled("", p.OS)...)...))
	summary(&b, s, "target", []string{p.Target})
	for i, reason := range p.Reasons {
		title := ""
		if i == 0 {
			title = "because"
		}
		summary(&b, s, title, []string{reason})
	}
	b.WriteByte('\n')
	for i, step := range p.Steps {
		fmt.Fprintf(&b, "%2d. %s\n", i+1, s.Paint(bold, checks.Printable(step.Title)))
		planDetail(&b, s.Paint(faint, checks.Printable(step.Why)))
		for _, command := range step.Commands {
			planDetail(&b, "  "+checks.Printable(command))
		}
	}
	if len(p.Risks) > 0 {
		b.WriteString("\nrisks\n")
	}
	for _, risk := range p.Risks {
		fmt.Fprintf(&b, "  %s  %s\n", s.Paint(yellow, fmt.Sprintf("%-21s", checks.Printable(risk.ID))), checks.Printable(risk.What))
	}
	if len(p.Steps)+len(p.Risks) > 0 {
		b.WriteByte('\n')
	}
	for _, other := range p.Instead {
		summary(&b, s, "instead", []string{other})
	}
	color := map[plan.Answer]string{plan.NoWay: red, plan.Upgrade: yellow}[p.Answer]
	b.WriteString(s.Paint(join(bold, color), checks.Printable(p.Sentence)) + "\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

func planDetail(b *bytes.Buffer, text string) {
	if strings.TrimSpace(text) != "" {
		fmt.Fprintf(b, "    %s\n", text)
	}
}
