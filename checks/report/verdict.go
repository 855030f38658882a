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
	var fails, warnings, unknowns int
	for _, result := range r.Results {
		switch result.Status {
		case checks.StatusFail:
			fails++
		case checks.StatusWarn:
			warnings++
		case checks.StatusUnknown:
			unknowns++
		case checks.StatusPass, checks.StatusSkip:
		}
	}
	var counts []string
	counts = append(counts, number(fails, "failure that does not refuse", "failures that do not refuse")...)
	counts = append(counts, number(warnings, "warning", "warnings")...)
	counts = append(counts, number(unknowns, "unknown", "unknown")...)
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

// cause is the first result that refuses, and the IDs of the others. Unknown facts refuse only where nothing fails.
func cause(r Report) string {
	first, ids := "", []string(nil)
	for _, status := range []checks.Status{checks.StatusFail, checks.StatusUnknown} {
		for _, result := range r.Results {
			if result.Status != status || result.Transient {
				continue
			}
			if first == "" {
				first = result.What
			}
			ids = append(ids, result.ID)
		}
		if len(ids) > 0 {
			return first + " [" + strings.Join(ids, ", ") + "]"
		}
	}
	return r.Reason
}
