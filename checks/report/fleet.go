package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"gpu-preflight/checks"
)

// FleetSchema names the JSON form of Fleet; additions only.
const FleetSchema = "gpu-preflight.fleet/v1"

// Fleet is one launch judged on many hosts.
type Fleet struct {
	Schema    string      `json:"schema"`
	Container Container   `json:"container,omitzero"`
	Hosts     []FleetHost `json:"hosts"`
	CanRun    int         `json:"can_run"`
	Refused   int         `json:"refused"`
	Unread    int         `json:"unread"` // facts that could not be read
}

// FleetHost is the answer for one host.
type FleetHost struct {
	Name        string   `json:"name"` // of its facts file, without the ending
	File        string   `json:"file"`
	Verdict     string   `json:"verdict,omitempty"` // as in a Report; "" where the facts could not be read
	WouldRefuse bool     `json:"would_refuse,omitempty"`
	Reason      string   `json:"reason,omitempty"`
	Error       string   `json:"error,omitempty"` // why the facts could not be read
	Host        Host     `json:"host"`
	Lacks       []Lack   `json:"lacks,omitempty"`    // what fails, the root cause first
	Warnings    []string `json:"warnings,omitempty"` // IDs of the checks that warn
}

// Lack is what a host does not have that the launch needs.
type Lack struct {
	ID   string   `json:"id"`
	What string   `json:"what"`
	Fix  []string `json:"fix,omitempty"`
}

// Add puts a judged host in.
func (f *Fleet) Add(name, file string, r Report) {
	h := FleetHost{Name: name, File: file, Verdict: r.Verdict, WouldRefuse: r.WouldRefuse, Reason: r.Reason, Host: r.Host}
	for _, result := range r.Results {
		switch result.Status {
		case checks.StatusFail:
			h.Lacks = append(h.Lacks, Lack{result.ID, result.What, result.Fix})
		case checks.StatusWarn:
			h.Warnings = append(h.Warnings, result.ID)
		case checks.StatusPass, checks.StatusSkip, checks.StatusUnknown:
		}
	}
	if r.Verdict == "refuse" {
		f.Refused++
	} else {
		f.CanRun++
	}
	f.Container = r.Container
	f.Hosts = append(f.Hosts, h)
}

// AddUnread puts a host in whose facts could not be read.
func (f *Fleet) AddUnread(name, file string, why error) {
	f.Unread++
	f.Hosts = append(f.Hosts, FleetHost{Name: name, File: file, Error: why.Error()})
}

// FleetJSON writes the fleet as one indented object.
func FleetJSON(w io.Writer, f Fleet) error {
	f.Schema = FleetSchema
	if f.Hosts == nil {
		f.Hosts = []FleetHost{}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(f); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if _, err := w.Write(checks.EscapeJSON(b.Bytes())); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// maxCell bounds the columns of the table, in characters.
const maxCell = 48

// FleetText writes one row a host, and what the hosts that refuse lack. Foreign text is escaped.
func FleetText(w io.Writer, f Fleet, s Style) error {
	var b bytes.Buffer
	summary(&b, s, "container", f.Container.words())
	summary(&b, s, "note", labelled("", f.Container.Disagreement))
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	rows := [][]string{{"HOST", "VERDICT", "DRIVER", "CUDA", "GPUS", "WHY"}}
	for _, h := range f.Hosts {
		rows = append(rows, h.row())
	}
	writeTable(&b, rows, f.Hosts, s)
	f.writeLacks(&b, s)
	text := fmt.Sprintf("%d of %d hosts can run it", f.CanRun, len(f.Hosts))
	if f.Unread > 0 {
		text += fmt.Sprintf("; the facts of %d could not be read", f.Unread)
	}
	b.WriteString("\n" + s.Paint(bold, text) + "\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// row is a host's row: its last cell is not cut.
func (h FleetHost) row() []string {
	word, why := h.Verdict, h.Reason
	switch {
	case h.Error != "":
		word, why = "unread", h.Error
	case h.Verdict == "refuse":
		word, why = "refused", h.ids()
	case h.WouldRefuse:
		word, why = "starts", "only because of the mode: "+h.ids()
	case h.Verdict == "warn":
		word, why = "warns", strings.Join(h.Warnings, ", ")
	case h.Verdict == "allow":
		word = "starts"
	}
	cells := []string{h.Name, word, h.Host.Driver, h.Host.CUDA, strings.Join(counted(h.Host.GPUs), ", ")}
	for i, cell := range cells {
		if cells[i] = checks.Cut(checks.Printable(cell), maxCell); cells[i] == "" {
			cells[i] = "-"
		}
	}
	return append(cells, checks.Printable(why))
}

func (h FleetHost) ids() string {
	var ids []string
	for _, l := range h.Lacks {
		ids = append(ids, l.ID)
	}
	return strings.Join(ids, ", ")
}

func writeTable(b *bytes.Buffer, rows [][]string, hosts []FleetHost, s Style) {
	widths := make([]int, len(rows[0])-1)
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			padded := cell
			if i < len(widths) {
				padded += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
			}
			switch {
			case n == 0:
				padded = s.Paint(bold, padded)
			case i == 1:
				padded = s.Paint(VerdictColor(hosts[n-1].Verdict), padded)
			}
			line.WriteString(padded)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// maxNamed bounds the hosts named behind a fix.
const maxNamed = 8

// writeLacks says what the hosts that refuse lack: hosts with the same cause and fix together.
func (f Fleet) writeLacks(b *bytes.Buffer, s Style) {
	named := map[string][]string{}
	var order []string
	for _, h := range f.Hosts {
		if h.Verdict != "refuse" || len(h.Lacks) == 0 {
			continue
		}
		lack := h.Lacks[0].What
		if len(h.Lacks[0].Fix) > 0 {
			lack = h.Lacks[0].Fix[0]
		}
		if !slices.Contains(order, lack) {
			order = append(order, lack)
		}
		named[lack] = append(named[lack], h.Name)
	}
	for i, lack := range order {
		if i == 0 {
			b.WriteString("\n" + s.Paint(bold, "what the others lack") + "\n")
		}
		hosts := named[lack]
		text := strings.Join(hosts[:min(len(hosts), maxNamed)], ", ")
		if more := len(hosts) - maxNamed; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		fmt.Fprintf(b, "  %s: %s\n", checks.Printable(lack), checks.Printable(text))
	}
}
