package hook

import (
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks"
)

// maxMessage bounds the refusal in bytes: engines print it whole, on one line or several.
const maxMessage = 900

// maxOthers is how many further causes are named beside the first, which needs the room.
const maxOthers = 8

// dockerWords are what the Docker daemon looks for, in lower case, to rewrite exit codes and add advice about
// mounts (moby daemon/errors.go, setExitCodeFromError). A refusal must not contain them, not even in foreign text.
var dockerWords = []struct{ says, instead string }{
	{"permission denied", "access refused"},
	{"no such file or directory", "not there"},
	{"is a directory", "is a folder"},
	{"not a directory", "no folder"},
	{"executable file not found", "program missing"},
	{"system cannot find the file specified", "not there"},
}

// Message is what the runtime is told: one ASCII paragraph with the reason first, then why, the fix and the ID
// to search for. The first cause is told in full, the others by their IDs.
func Message(v Verdict) string {
	root, others := causes(v)
	if root == nil {
		return "gpu-preflight refused this container [gpu-preflight logs]"
	}
	var message string
	for fixes := len(root.Fix); fixes >= 0; fixes-- {
		if message = compose(*root, others, fixes); len(message) <= maxMessage {
			return message
		}
	}
	shorter := *root
	shorter.What, shorter.Why = plain(root.What), plain(root.Why)
	for _, text := range []*string{&shorter.Why, &shorter.What} {
		*text = cut(*text, len(*text)-(len(message)-maxMessage))
		if message = compose(shorter, others, 0); len(message) <= maxMessage {
			return message
		}
	}
	return compose(shorter, nil, 0)
}

// causes are the results that refuse: the first in the order of the checks, and the IDs of the rest.
func causes(v Verdict) (root *checks.Result, others []string) {
	for i, r := range v.Results {
		switch {
		case !slices.Contains(v.Refusing, r.ID):
		case root == nil:
			root = &v.Results[i]
		default:
			others = append(others, r.ID)
		}
	}
	return root, others
}

func compose(r checks.Result, others []string, fixes int) string {
	var b strings.Builder
	b.WriteString("gpu-preflight refused this container: ")
	b.WriteString(r.Refusal())
	if r.Why != "" {
		b.WriteString("; " + r.Why)
	}
	if fixes > 0 {
		b.WriteString(". Fix: " + strings.Join(r.Fix[:fixes], ", or "))
	}
	if more := len(others) - maxOthers; more > 0 {
		others = append(slices.Clone(others[:maxOthers]), strconv.Itoa(more)+" more")
	}
	if len(others) > 0 {
		b.WriteString(". Also: " + strings.Join(others, ", "))
	}
	return plain(b.String()) + " [" + r.ID + "; gpu-preflight logs]"
}

// plain makes text fit for every engine: printable ASCII on one line, without the words that Docker acts on.
func plain(text string) string {
	text = strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t' || c == '\r':
			return ' '
		case c < ' ' || c > '~':
			return '?'
		}
		return c
	}, text)
	for _, w := range dockerWords {
		for {
			i := strings.Index(strings.ToLower(text), w.says)
			if i < 0 {
				break
			}
			text = text[:i] + w.instead + text[i+len(w.says):]
		}
	}
	return text
}

func cut(text string, length int) string {
	switch {
	case length >= len(text):
		return text
	case length <= 3:
		return ""
	}
	return text[:length-3] + "..."
}
