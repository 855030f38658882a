package report

import (
	"fmt"
	"strconv"
	"strings"

	"gpu-preflight/checks"
)

// The exit codes of a Nagios plugin, which Sensu and Icinga share.
// https://nagios-plugins.org/doc/guidelines.html
const (
	NagiosOK = iota
	NagiosWarning
	NagiosCritical
	NagiosUnknown
)

// maxNagios bounds the line, in bytes: an NRPE of version 2 passes 1024 on.
const maxNagios = 1000

var nagiosWords = [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

// NagiosCode is the exit code for a report: critical is a refusal, warning what was found and does not refuse,
// unknown a report in which nothing is worse than a fact that could not be read.
func NagiosCode(r Report) int {
	counts := count(r.Results)
	switch {
	case r.Verdict == "refuse":
		return NagiosCritical
	case r.Verdict == "warn" || counts[checks.StatusFail]+counts[checks.StatusWarn] > 0:
		return NagiosWarning
	case counts[checks.StatusUnknown] > 0:
		return NagiosUnknown
	}
	return NagiosOK
}

// nagios is the one line of a plugin: service, state and text, then performance data behind a bar. Counts that have
// to be zero carry the range of the alert.
func nagios(command string, r Report) string {
	counts := count(r.Results)
	var perf strings.Builder
	perf.WriteString(" |")
	for _, p := range []struct {
		status checks.Status
		alert  string // ranges of warning and critical
	}{{checks.StatusFail, ";0"}, {checks.StatusWarn, "0;"}, {checks.StatusUnknown, ";"}, {checks.StatusPass, ";"}, {checks.StatusSkip, ";"}} {
		fmt.Fprintf(&perf, " %s=%d;%s;0;%d", p.status, counts[p.status], p.alert, len(r.Results))
	}
	text := "GPU " + strings.ToUpper(command) + " " + nagiosWords[NagiosCode(r)] + ": "
	found := decisive(r)
	switch {
	case len(found) > 0:
		text += plugin(found[0].What + " [" + ids(found) + "]")
	case r.Reason != "":
		text += plugin(r.Reason)
	default:
		text += tally(r)
	}
	return strings.TrimSuffix(oneLine(text, maxNagios-perf.Len()), "\n") + perf.String() + "\n"
}

// plugin is text without the bar, behind which a plugin's performance data begin.
func plugin(text string) string { return strings.ReplaceAll(ascii(text), "|", `\x7c`) }

// tally is a report in which nothing needs attention, in numbers.
func tally(r Report) string {
	counts := count(r.Results)
	return strconv.Itoa(counts[checks.StatusPass]) + " passed, " + strconv.Itoa(counts[checks.StatusSkip]) + " skipped"
}
