package report

import "gpu-preflight/checks"

// maxNPD is max_output_length of a custom plugin where its configuration does not set it; longer output is cut there,
// in bytes. https://github.com/kubernetes/node-problem-detector/blob/master/docs/custom_plugin_monitor.md
const maxNPD = 80

// npd is the line that a custom plugin of node-problem-detector prints, which becomes the message of the node's
// condition or event: the check's name, then what it found. The exit code is the command line's own: 0 OK,
// 1 problem, any other unknown.
func npd(r Report) string {
	found := decisive(r)
	switch {
	case len(found) == 0 && r.Reason != "":
		return oneLine(ascii(r.Verdict+": "+r.Reason), maxNPD)
	case len(found) == 0:
		return oneLine(ascii(r.Verdict+": "+tally(r)), maxNPD)
	}
	first := found[0]
	return oneLine(ascii(string(first.Status)+" "+first.ID+": "+first.What), maxNPD)
}

// oneLine cuts text that is ASCII to a number of bytes and ends it.
func oneLine(text string, limit int) string {
	if len(text) > limit {
		text = checks.Cut(text, limit-3) + "..."
	}
	return text + "\n"
}
