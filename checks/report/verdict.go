package report

import (
	"strconv"
	"strings"

	"gpu-preflight/checks"
)

// Sentence is the verdict in words.
func Sentence(r Report) string {
	switch r.Verdict {
	case "refuse":
		return "refused: " + cause(r)
	case "not-gpu":
		return with("starts: not a GPU launch", r.Reason)
	case "exempt":
		return with("starts, not judged", r.Reason)
	}
	if r.WouldRefuse {
		return "starts, only because of mode " + r.Mode + "; mode enforce would refuse it: " + cause(r)
	}
	by := count(r.Results)
	var counts []string
	counts = append(counts, number(by[checks.StatusFail], "failure that does not refuse", "failures that do not refuse")...)
	counts = append(counts, number(by[checks.StatusWarn], "warning", "warnings")...)
	counts = append(counts, number(by[checks.StatusUnknown], "unknown", "unknown")...)
	if len(counts) > 0 {
		return with("starts, with "+strings.Join(counts, ", "), r.Reason)
	}
	return with("starts", r.Reason)
}

func with(sentence, reason string) string {
	if reason == "" {
		return sentence
	}
	return sentence + ": " + reason
}

func number(n int, one, more string) []string {
	switch n {
	case 0:
		return nil
	case 1:
		return []string{"1 " + one}
	}
	return []string{strconv.Itoa(n) + " " + more}
}

// cause is the first result that refuses, and the IDs of the others.
func cause(r Report) string {
	found := decisive(r)
	if len(found) == 0 {
		return r.Reason
	}
	return found[0].Refusal() + " [" + ids(found) + "]"
}
