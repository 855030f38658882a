package cuda

import (
	"strings"
	"sync"
)

// Confidence says how well a row of a table is founded.
type Confidence string

// How well a row is founded.
const (
	Confirmed  Confidence = "confirmed"   // seen in the named source
	ThirdParty Confidence = "third-party" // seen only in a copy or report that is not NVIDIA's
	Derived    Confidence = "derived"     // follows from confirmed rows
	Recalled   Confidence = "recalled"    // seen in no source
	Conflict   Confidence = "conflict"    // the sources disagree; the row keeps the lower need
)

// Provenance says where a row comes from.
type Provenance struct {
	Conf   Confidence
	Source string // keys of data/sources.tsv, spaces between them
}

// Titles are the titles of the sources, with version or date where one is known.
func (p Provenance) Titles() []string {
	var out []string
	for key := range strings.FieldsSeq(p.Source) {
		for _, s := range sources() {
			if s.key == key {
				out = append(out, s.String())
			}
		}
	}
	return out
}

type source struct{ key, title, version string }

// String is the title, and the version or date in brackets.
func (s source) String() string {
	if s.version == "" {
		return s.title
	}
	return s.title + " (" + s.version + ")"
}

var sources = sync.OnceValue(func() []source {
	return parse(sourcesTSV, func(r *row) source { return source{r.text(), r.text(), r.text()} })
})

// row is a line of a table that is read field by field; bad is set once a field is missing or is no number.
type row struct {
	rest      string
	done, bad bool
}

// parse reads the lines of a table. A line that cannot be read is left out: what it says is then unknown. The
// tests want every line read.
func parse[T any](table string, read func(*row) T) []T {
	var out []T
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		r := row{rest: line}
		if v := read(&r); r.done && !r.bad {
			out = append(out, v)
		}
	}
	return out
}

// text is the next field, empty for "-".
func (r *row) text() string {
	if r.done {
		r.bad = true
	}
	field, rest, more := strings.Cut(r.rest, "\t")
	r.rest, r.done = rest, !more
	if field == "-" {
		return ""
	}
	return field
}

// int is the next field as a number, 0 for "-".
func (r *row) int() int {
	s := r.text()
	if s == "" {
		return 0
	}
	n, ok := number(s)
	r.bad = r.bad || !ok
	return n
}

// ints is the next field as numbers with spaces between them.
func (r *row) ints() []int {
	var out []int
	for s := range strings.FieldsSeq(r.text()) {
		n, ok := number(s)
		r.bad = r.bad || !ok
		out = append(out, n)
	}
	return out
}

// version is the next field as a CUDA version, zero for "-".
func (r *row) version() Version {
	s := r.text()
	if s == "" {
		return Version{}
	}
	v, err := ParseVersion(s)
	r.bad = r.bad || err != nil
	return v
}

// driver is the next field as a driver version, zero for "-".
func (r *row) driver() Driver {
	s := r.text()
	if s == "" {
		return Driver{}
	}
	d, err := ParseDriver(s)
	r.bad = r.bad || err != nil
	return d
}

// provenance is the last two fields.
func (r *row) provenance() Provenance { return Provenance{Confidence(r.text()), r.text()} }

// find is the first row that fits.
func find[T any](rows []T, fits func(T) bool) (T, bool) {
	for _, r := range rows {
		if fits(r) {
			return r, true
		}
	}
	var none T
	return none, false
}
