package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"gpu-preflight/checks"
)

// Formats are the forms that a report can be written in, in the words of --format.
var Formats = []string{"text", "json", "prometheus", "npd", "nagios", "nfd"}

// Write writes a report in one of Formats. command is what made it, check or doctor: monitors keep the two apart
// by it. The style is for text alone.
func Write(w io.Writer, format, command string, r Report, s Style) error {
	var text string
	switch format {
	case "text":
		return Text(w, r, s)
	case "json":
		return JSON(w, r)
	case "prometheus":
		text = prometheus(command, r)
	case "npd":
		text = npd(r)
	case "nagios":
		text = nagios(command, r)
	case "nfd":
		text = nfd(command, r)
	default:
		return fmt.Errorf("write report: no format is called %q", format)
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Unjudged is the line of a format whose reader looks for one where there is no report; empty for the others.
func Unjudged(format, command string, err error) string {
	switch format {
	case "npd":
		return oneLine(ascii("no report: "+err.Error()), maxNPD)
	case "nagios":
		return oneLine("GPU "+strings.ToUpper(command)+" UNKNOWN: "+plugin(err.Error()), maxNagios)
	}
	return ""
}

// statuses are all that a result may have, the gravest last.
var statuses = []checks.Status{
	checks.StatusPass, checks.StatusSkip, checks.StatusUnknown, checks.StatusWarn, checks.StatusFail,
}

// count tells how many results have each status.
func count(results []checks.Result) map[checks.Status]int {
	counts := map[checks.Status]int{}
	for _, r := range results {
		counts[r.Status]++
	}
	return counts
}

// byCheck is one result a check, the gravest, where a check has several.
func byCheck(results []checks.Result) []checks.Result {
	var out []checks.Result
	at := map[string]int{}
	for _, r := range results {
		i, twice := at[r.ID]
		switch {
		case !twice:
			at[r.ID] = len(out)
			out = append(out, r)
		case slices.Index(statuses, r.Status) > slices.Index(statuses, out[i].Status):
			out[i] = r
		}
	}
	return out
}

// decisive are the results that the verdict follows from: of a refusal those that refuse, else those of the gravest
// status that needs attention. Unknown facts refuse only where nothing fails, and what may mend itself never does.
func decisive(r Report) []checks.Result {
	refused := r.Verdict == "refuse" || r.WouldRefuse
	if refused && len(r.Refusing) > 0 {
		return slices.DeleteFunc(slices.Clone(r.Results), func(one checks.Result) bool { return !slices.Contains(r.Refusing, one.ID) })
	}
	for _, status := range []checks.Status{checks.StatusFail, checks.StatusWarn, checks.StatusUnknown} {
		var found []checks.Result
		for _, result := range r.Results {
			passing := result.Transient || status == checks.StatusWarn // does not refuse
			if result.Status == status && (!refused || !passing) {
				found = append(found, result)
			}
		}
		if len(found) > 0 {
			return leading(found, r.Cause)
		}
	}
	return nil
}

// leading puts the result that doctor wants to be read first before the others.
func leading(found []checks.Result, cause []string) []checks.Result {
	if len(cause) > 0 {
		slices.SortStableFunc(found, func(a, b checks.Result) int { return truth(b.ID == cause[0]) - truth(a.ID == cause[0]) })
	}
	return found
}

// ids are the names of the checks, with commas between.
func ids(results []checks.Result) string {
	var names []string
	for _, r := range results {
		names = append(names, r.ID)
	}
	return strings.Join(names, ", ")
}

// ascii makes foreign text fit for one line of a monitor: printable ASCII, the rest as Go writes it in a string.
func ascii(text string) string {
	var b strings.Builder
	for _, c := range checks.Printable(text) {
		if c < ' ' || c > '~' {
			fmt.Fprintf(&b, `\u%04x`, c)
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}
