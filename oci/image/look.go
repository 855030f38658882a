package image

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Look is what a look into a root file system brought.
type Look struct {
	Compat Compat
	Found
}

// lookLine is what the child prints.
type lookLine struct {
	compatLine
	Found *Found `json:"found,omitempty"`
}

// FoldLook puts together what the child printed, one JSON object a line. Without the last line of the compatibility
// libraries, or with an error in one, those that were found are kept and Compat.Read stays false.
func FoldLook(lines [][]byte) Look {
	var look Look
	var fold compatFold
	for _, text := range lines {
		var line lookLine
		switch err := json.Unmarshal(text, &line); {
		case err != nil:
			fold.fail(fmt.Sprintf("unreadable line %.60q", text))
		case line.Found != nil:
			look.Found = *line.Found
		default:
			fold.add(line.compatLine)
		}
	}
	look.Compat = fold.result()
	return look
}

// With adds what was found in the image's files to what its environment declares.
func (r Requirements) With(look Look) Requirements {
	r.Compat = look.Compat
	r.Evidence = append(slices.Clip(r.Evidence), look.Evidence...)
	return r
}
