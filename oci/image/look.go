package image

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Look is what a look into a root file system brought.
type Look struct {
	Compat Compat
	Found
}

// LookInto looks into files that cannot hang; those that can are for ChildMain.
func LookInto(files Files, p Program) Look {
	var fold compatFold
	readCompat(files, p, func(line compatLine) error {
		fold.add(line)
		return nil
	})
	return Look{fold.result(), FindEvidence(files, p)}
}

// lookLine is what the child prints.
type lookLine struct {
	compatLine
	Found *Found `json:"found,omitempty"`
}

// FoldLook puts together what the child printed, one JSON object a line, and how it ended. Without the last line of the
// compatibility libraries, or with an error in one, those that were found are kept and Compat.Read stays false; without the
// line of what was found Unread says why.
func FoldLook(lines [][]byte, end error) Look {
	var look Look
	var fold compatFold
	found := false
	for _, text := range lines {
		var line lookLine
		switch err := json.Unmarshal(text, &line); {
		case err != nil:
			fold.fail(fmt.Sprintf("unreadable line %.60q", text))
		case line.Found != nil:
			look.Found, found = *line.Found, true
		default:
			fold.add(line.compatLine)
		}
	}
	why := "the look into the root file system did not end"
	if end != nil {
		why += ": " + end.Error()
	}
	if !fold.done {
		fold.fail(why)
	}
	look.Compat = fold.result()
	if !found {
		look.Unread = []string{cmp.Or(look.Compat.Why, why)}
	}
	return look
}

// With adds what was found in the image's files to what its environment declares.
func (r Requirements) With(look Look) Requirements {
	r.Compat = look.Compat
	r.Evidence = append(slices.Clip(r.Evidence), look.Evidence...)
	r.Unread = append(slices.Clip(r.Unread), look.Unread...)
	return r
}

// MaxFile bounds every file that a look reads, in bytes.
const MaxFile = 64 << 10

// Reads tells whether a look may read a file of that path whole. Of programs it reads the first line alone: that of a
// script names its interpreter.
func Reads(file string) bool {
	name := path.Base(file)
	if file == Passwd || name == "ld.so.conf" {
		return true
	}
	if path.Base(path.Dir(file)) == "ld.so.conf.d" && strings.HasSuffix(name, ".conf") {
		return true
	}
	if path.Dir(file) == ngcScripts && strings.HasSuffix(name, ".sh") {
		return true
	}
	if slices.ContainsFunc(told, func(f framework) bool { return path.Base(f.file) == name }) {
		return true
	}
	if slices.ContainsFunc(compiled, func(k kernels) bool { return path.Base(k.file) == name }) {
		return true
	}
	return slices.Contains([]string{"pyvenv.cfg", "version.json", "version.txt", "build-version"}, name)
}
