// Package explain tells what an error number, a name or a pasted text means, which check finds its cause, and what
// mends it. It knows what its tables hold (data/*.tsv, each row with its source) and nothing of any host: a fix is in
// words, or a command that is the same on every distribution.
//
// One line seldom proves a cause. What it leaves open stands in Entry.Unproven, and a word with several readings
// gives all of them.
package explain

import (
	"slices"
	"strings"

	"gpu-preflight/checks"
)

// Schema names the JSON form of Answer; additions only.
const Schema = "gpu-preflight.explain/v1"

const (
	// MaxText bounds the text that is looked at, in bytes; what is beyond is left unread.
	MaxText    = 256 << 10
	maxQuery   = 200 // bytes of the text that are told back
	maxSeen    = 160
	maxEntries = 12 // told in full
)

// Answer is what is known about one text.
type Answer struct {
	Schema  string   `json:"schema"`
	Query   string   `json:"query"`            // the text, its first 200 bytes
	Cut     bool     `json:"cut,omitempty"`    // only the first MaxText bytes were looked at
	OneOf   bool     `json:"one_of,omitempty"` // readings of one number: the text does not tell which
	Entries []Entry  `json:"entries"`          // root cause first; readings of a number: the likeliest owner first
	More    []string `json:"more,omitempty"`   // keys of what else the text tells
	Near    []string `json:"near,omitempty"`   // what may have been meant, where nothing was found
}

// Entry is one thing that can be explained.
type Entry struct {
	Key      string   `json:"key"`
	Title    string   `json:"title"`
	Seen     string   `json:"seen,omitempty"` // the part of the text that told it
	Layer    string   `json:"layer,omitempty"`
	Meaning  string   `json:"meaning"`
	Numbers  string   `json:"numbers,omitempty"` // whose number it is, where APIs differ
	Checks   []Check  `json:"checks,omitempty"`  // that find it, the most telling first
	Causes   []Cause  `json:"causes,omitempty"`  // the most usual first
	Unproven string   `json:"unproven,omitempty"`
	CUDA     []int    `json:"cuda_errors,omitempty"` // in which a check that fails shows
	After    []string `json:"after,omitempty"`       // checks before this one
	Links    []string `json:"links,omitempty"`
	Sources  []string `json:"sources,omitempty"`
}

// Check is a check by its ID and the good condition.
type Check struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Cause is a reason and what mends it. Confidence is a word of cuda.Confidence.
type Cause struct {
	Cause      string `json:"cause,omitempty"`
	Fix        string `json:"fix,omitempty"`
	Confidence string `json:"confidence"`
}

// Text explains a word (a check, a number, a name, a key) or whatever was pasted.
func Text(text string) Answer {
	a := Answer{Schema: Schema, Query: checks.Cut(strings.TrimSpace(text), maxQuery), Cut: len(text) > MaxText, Entries: []Entry{}}
	text = checks.Cut(text, MaxText)
	found, oneOf := wordMeanings(text)
	if found == nil {
		found = inText(text)
	}
	a.OneOf = oneOf && len(found) > 1
	for _, f := range found {
		e, known := entryOf(f.key)
		switch {
		case !known:
		case len(a.Entries) == maxEntries:
			a.More = append(a.More, f.key)
		default:
			e.Seen = checks.Cut(f.seen, maxSeen)
			a.Entries = append(a.Entries, e)
		}
	}
	if len(a.Entries) == 0 {
		a.Near = near(text)
	}
	return a
}

// finding is a key and the part of the text that told it.
type finding struct{ key, seen string }

// add adds a finding whose key is not there.
func add(list []finding, key, seen string) []finding {
	if slices.ContainsFunc(list, func(f finding) bool { return f.key == key }) {
		return list
	}
	return append(list, finding{key, seen})
}
