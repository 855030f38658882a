package register

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Diff is the edit as a unified diff.
func Diff(e Edit) string {
	before, after := e.Path, e.Path
	if e.Before == nil {
		before = "/dev/null"
	}
	if e.After == nil {
		after = "/dev/null"
	}
	_, text, _ := strings.Cut(string(diff.Diff(before, e.Before, after, e.After)), "\n") // the first line repeats the names
	return text
}
