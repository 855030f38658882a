package register

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlOurs says which entries of a file are ours.
type tomlOurs struct {
	value     func(string) bool                                       // a string that we put in another's place
	element   func(string) bool                                       // an element that we added to a list
	table     string                                                  // the last key of a table that we wrote
	otherwise []string                                                // the list that means the same as no list
	none      bool                                                    // an empty list means that too
	before    func(tree map[string]any, path []string) (string, bool) // what a string was, where no comment tells
}

// maxEntries bounds how many entries of ours a file can have; each step reads the file anew.
const maxEntries = 512

// stripTOML takes our entries out of a file: one at a time, each compared with what was meant.
func stripTOML(data []byte, ours tomlOurs) (*tomlFile, error) {
	f, err := parseTOML(data)
	if err != nil {
		return nil, err
	}
	steps := []func(*tomlFile, tomlOurs) (*tomlFile, error){
		(*tomlFile).stripValue, (*tomlFile).stripElement, (*tomlFile).stripTable, (*tomlFile).stripAdded, (*tomlFile).stripHeader,
	}
	for range maxEntries {
		next := f
		for _, step := range steps {
			if next, err = step(f, ours); err != nil {
				return nil, err
			}
			if next != f {
				break
			}
		}
		if next == f {
			return f, nil
		}
		f = next
	}
	return nil, errors.New("our entries cannot be told from others")
}

// stripValue gives one string back what it was.
func (f *tomlFile) stripValue(ours tomlOurs) (*tomlFile, error) {
	for _, i := range f.items {
		if i.value != unstable.String || i.path == nil || ours.value == nil || slices.Contains(i.path, ours.table) {
			continue
		}
		if text, _ := valueAt(f.tree, i.path...).(string); !ours.value(text) {
			continue
		}
		was, from := f.was(i, ours)
		if from == 0 {
			return f.cutKey(i)
		}
		var old struct{ V string }
		if err := toml.Unmarshal([]byte("V = "+was), &old); err != nil {
			return nil, err
		}
		want, err := withValue(f.tree, i.path, old.V)
		if err != nil {
			return nil, err
		}
		return f.commit(slices.Concat(f.data[:i.opens], []byte(was), f.data[i.ends:from], f.data[i.to:]), want)
	}
	return f, nil
}

// was is what a string was, and where the comment begins in which setString left it; 0 if nobody knows.
func (f *tomlFile) was(i tomlItem, ours tomlOurs) (string, int) {
	if n := bytes.LastIndex(f.data[i.ends:i.to], []byte(" "+markWas)); n >= 0 {
		from := i.ends + n
		return strings.TrimRight(string(f.data[from+1+len(markWas):i.to]), " \t"), from
	}
	if ours.before == nil {
		return "", 0
	}
	old, known := ours.before(f.tree, i.path)
	if !known || ours.value(old) {
		return "", 0
	}
	return quoteTOML(old), i.to
}

// stripElement takes one element out of a list, or the list if it is ours and nobody has added to it.
func (f *tomlFile) stripElement(ours tomlOurs) (*tomlFile, error) {
	for _, i := range f.items {
		n := slices.IndexFunc(i.elems, func(e tomlSpan) bool { return ours.element != nil && ours.element(e.text) })
		if n < 0 || i.path == nil || slices.Contains(i.path, ours.table) {
			continue
		}
		if from := f.mark(i); from > 0 {
			if i.meansNothing(ours) {
				return f.cutKey(i)
			}
			return f.commit(f.splice(from, i.to, ""), f.tree)
		}
		list, _ := valueAt(f.tree, i.path...).([]any)
		if len(list) != len(i.elems) {
			return nil, errShape
		}
		if ours.none && len(list) == 1 && f.isCopy() {
			return f.cutKey(i)
		}
		want, err := withValue(f.tree, i.path, slices.Delete(slices.Clone(list), n, n+1))
		if err != nil {
			return nil, err
		}
		start, end := f.elementBounds(i, n)
		return f.commit(f.splice(start, end, ""), want)
	}
	return f, nil
}

// isCopy tells that a file with entries of ours lost our comments: nvidia-ctk writes such.
func (f *tomlFile) isCopy() bool { return !bytes.Contains(f.data, []byte(markAdded)) }

// meansNothing tells whether a list says, without our elements, what its absence says.
func (i tomlItem) meansNothing(ours tomlOurs) bool {
	var rest []string
	for _, e := range i.elems {
		if !ours.element(e.text) {
			rest = append(rest, e.text)
		}
	}
	return !i.other && slices.Equal(rest, ours.otherwise)
}

// elementBounds are an element and what parts it from its neighbour.
func (f *tomlFile) elementBounds(i tomlItem, n int) (start, end int) {
	start, end = i.elems[n].start, i.elems[n].end
	if n > 0 && strings.Trim(string(f.data[i.elems[n-1].end:start]), " \t,") == "" {
		return i.elems[n-1].end, end
	}
	if after := skipBlanks(f.data, end); f.data[after] == ',' {
		end = skipBlanks(f.data, after+1)
	}
	return start, end
}

// stripTable takes out one key of a table that is ours.
func (f *tomlFile) stripTable(ours tomlOurs) (*tomlFile, error) {
	for _, i := range f.items {
		if i.kind == unstable.KeyValue && ours.table != "" && slices.Contains(i.path, ours.table) {
			return f.cutKey(i)
		}
	}
	return f, nil
}

// stripAdded takes out one line that we added.
func (f *tomlFile) stripAdded(tomlOurs) (*tomlFile, error) {
	for _, i := range f.items {
		if i.kind == unstable.KeyValue && i.path != nil && f.mark(i) > 0 {
			return f.cutKey(i)
		}
	}
	return f, nil
}

// stripHeader takes out one header that we added, or only the mark where others have put keys under it.
func (f *tomlFile) stripHeader(ours tomlOurs) (*tomlFile, error) {
	for n, i := range f.items {
		if i.kind != unstable.Table || i.path == nil {
			continue
		}
		from, own := f.mark(i), ours.table != "" && slices.Contains(i.path, ours.table)
		switch {
		case from == 0 && !own:
		case f.lastOf(n) != n:
			return f.commit(f.splice(from, i.to, ""), f.tree)
		default:
			start := i.from
			if before := bytes.TrimSuffix(bytes.TrimSuffix(f.data[:start], []byte("\n")), []byte("\r")); len(before) > 0 && before[len(before)-1] == '\n' {
				start = len(before)
			}
			return f.commit(f.withoutLines(start, i.to), f.tree)
		}
	}
	return f, nil
}

// mark is where the mark of an added line begins; 0 if it has none.
func (f *tomlFile) mark(i tomlItem) int {
	line := bytes.TrimRight(f.data[i.ends:i.to], " \t")
	if i.inline || !bytes.HasSuffix(line, []byte(" "+markAdded)) {
		return 0
	}
	return i.ends + len(line) - len(markAdded) - 1
}

// cutKey takes out a key: its lines, or its part of an inline table.
func (f *tomlFile) cutKey(i tomlItem) (*tomlFile, error) {
	want, err := withValue(f.tree, i.path, nil)
	if err != nil {
		return nil, err
	}
	if !i.inline {
		return f.commit(f.withoutLines(i.from, i.to), want)
	}
	start, end := i.starts, i.ends
	before := bytes.TrimRight(f.data[:start], " \t")
	after := skipBlanks(f.data, end)
	switch {
	case before[len(before)-1] == ',':
		start = len(before) - 1
	case f.data[after] == ',':
		end = skipBlanks(f.data, after+1)
	default: // the only key: the blanks that insert put around it go too
		if f.data[start-1] == ' ' {
			start--
		}
		if f.data[end] == ' ' {
			end++
		}
	}
	return f.commit(f.splice(start, end, ""), want)
}

// withoutLines takes lines out. Where the last line of the file had no line break, the new last one has none.
func (f *tomlFile) withoutLines(from, to int) []byte {
	switch rest := f.data[to:]; {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		to += 2
	case len(rest) > 0:
		to++
	case from > 0:
		from--
		if from > 0 && f.data[from-1] == '\r' {
			from--
		}
	}
	return f.splice(from, to, "")
}

// unlessEmpty is the file, or nil if it was made by us and says nothing any more.
func (f *tomlFile) unlessEmpty() []byte {
	rest, _ := withValue(f.tree, []string{"version"}, nil)
	if bytes.HasPrefix(f.data, []byte(markMade)) && sameTree(rest, nil) && bytes.Count(f.data, []byte("#")) == 1 {
		return nil
	}
	return append([]byte{}, f.data...) // an empty file is a file
}

// skipBlanks is the first place from which there is no blank.
func skipBlanks(data []byte, from int) int {
	for from < len(data) && (data[from] == ' ' || data[from] == '\t') {
		from++
	}
	return from
}
