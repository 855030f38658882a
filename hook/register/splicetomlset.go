package register

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// What we write is marked, so that it can be taken out of a file that others have changed since.
const (
	markAdded = "# added by gpu-preflight"
	markWas   = "# gpu-preflight: was "
	markMade  = "# made by gpu-preflight register" // the first line of a file that was absent before
)

// setString gives a key a string. A value that was there is kept in a comment on its line.
func (f *tomlFile) setString(path []string, value string) (*tomlFile, error) {
	want, err := withValue(f.tree, path, value)
	if err != nil {
		return nil, err
	}
	item, there := f.find(path)
	if !there {
		return f.insert(path, value, want)
	}
	if item.value != unstable.String {
		return nil, fmt.Errorf("%s %w", keyText(path), errShape)
	}
	was := string(f.data[item.opens:item.ends])
	if strings.ContainsRune(was, '\n') {
		old, _ := valueAt(f.tree, path...).(string)
		was = quoteTOML(old)
	}
	data := f.splice(item.to, item.to, " "+markWas+was)
	return f.commit(slices.Concat(data[:item.opens], []byte(quoteTOML(value)), data[item.ends:]), want)
}

// listEnd is where a string is added to a list.
type listEnd bool

const (
	first listEnd = false
	last  listEnd = true
)

// addTo adds a string to a list. A list that is not there is written with what its absence means.
func (f *tomlFile) addTo(path []string, at listEnd, text string, otherwise []string) (*tomlFile, error) {
	item, there := f.find(path)
	old, isList := valueAt(f.tree, path...).([]any)
	if there && (!isList || item.other) {
		return nil, fmt.Errorf("%s %w", keyText(path), errShape)
	}
	if !there {
		for _, s := range otherwise {
			old = append(old, s)
		}
	}
	list := append([]any{text}, old...)
	if at == last {
		list = append(slices.Clone(old), text)
	}
	want, err := withValue(f.tree, path, list)
	switch {
	case err != nil:
		return nil, err
	case !there:
		return f.insert(path, list, want)
	case len(item.elems) == 0:
		return f.commit(f.splice(item.opens+1, item.opens+1, quoteTOML(text)), want)
	case at == last:
		end := item.elems[len(item.elems)-1].end
		return f.commit(f.splice(end, end, ", "+quoteTOML(text)), want)
	default:
		start := item.elems[0].start
		return f.commit(f.splice(start, start, quoteTOML(text)+", "), want)
	}
}

// insert writes a key that is not there. Tables are written in many ways, so each way of writing the key is tried,
// the one closest to the file's own first, until one means what was meant.
func (f *tomlFile) insert(path []string, value any, want map[string]any) (*tomlFile, error) {
	text := renderTOML(value)
	tries := [][]byte{f.inInlineTable(path, text), f.underHeader(path, text), f.besideDotted(path, text)}
	if len(path) > 1 {
		header := "[" + keyText(path[:len(path)-1]) + "] " + markAdded
		tries = append(tries, f.atEnd([]string{header, keyText(path[len(path)-1:]) + " = " + text + " " + markAdded}))
	}
	err := errors.New("no place for the key")
	for _, data := range tries {
		if data == nil {
			continue
		}
		var next *tomlFile
		if next, err = f.commit(data, want); err == nil {
			return next, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", keyText(path), err)
}

// inInlineTable adds a key to the inline table that it belongs to.
func (f *tomlFile) inInlineTable(path []string, text string) []byte {
	for _, i := range slices.Backward(f.items) {
		if i.value != unstable.InlineTable || i.path == nil || len(i.path) >= len(path) || !hasPrefix(path, i.path) {
			continue
		}
		rest := path[len(i.path):]
		for _, key := range slices.Backward(rest[1:]) {
			text = "{ " + keyText([]string{key}) + " = " + text + " }"
		}
		text = keyText(rest[:1]) + " = " + text
		if i.inner == 0 {
			return f.splice(i.opens+1, i.opens+1, " "+text+" ")
		}
		return f.splice(i.inner, i.inner, ", "+text)
	}
	return nil
}

// underHeader adds a line at the end of the table that has a header of its own, or of the root's keys.
func (f *tomlFile) underHeader(path []string, text string) []byte {
	parent := path[:len(path)-1]
	line := keyText(path[len(parent):]) + " = " + text + " " + markAdded
	for n, i := range f.items {
		if i.kind != unstable.Table || i.path == nil || !slices.Equal(i.path, parent) {
			continue
		}
		return f.lineAfter(f.lastOf(n), line)
	}
	if len(parent) > 0 {
		return nil
	}
	if n := f.lastOf(-1); n >= 0 {
		return f.lineAfter(n, line)
	}
	return f.splice(0, 0, line+f.eol())
}

// lastOf is the last item of a header's section: the header itself if it has no keys.
func (f *tomlFile) lastOf(header int) int {
	n := header
	for n+1 < len(f.items) && f.items[n+1].kind == unstable.KeyValue {
		n++
	}
	return n
}

// besideDotted adds a dotted key next to the dotted keys that make the same table.
func (f *tomlFile) besideDotted(path []string, text string) []byte {
	best, shared := -1, 0
	for n, i := range f.items {
		if i.kind != unstable.KeyValue || i.inline || i.path == nil {
			continue
		}
		same := 0
		for same < min(len(path), len(i.path))-1 && path[same] == i.path[same] {
			same++
		}
		if same > len(i.header) && same >= shared {
			best, shared = n, same
		}
	}
	if best < 0 {
		return nil
	}
	return f.lineAfter(best, keyText(path[len(f.items[best].header):])+" = "+text+" "+markAdded)
}

// lineAfter adds a line behind an item, indented as the item is.
func (f *tomlFile) lineAfter(n int, line string) []byte {
	i := f.items[n]
	row := f.data[i.from:]
	indent := row[:len(row)-len(bytes.TrimLeft(row, " \t"))]
	return f.splice(i.to, i.to, f.eol()+string(indent)+line)
}

// atEnd adds lines behind an empty one at the end of the file. A last line without a line break stays one.
func (f *tomlFile) atEnd(lines []string) []byte {
	eol := f.eol()
	text := strings.Join(lines, eol)
	switch {
	case len(f.data) == 0:
		return []byte(text + eol)
	case f.data[len(f.data)-1] == '\n':
		return f.splice(len(f.data), len(f.data), eol+text+eol)
	default:
		return f.splice(len(f.data), len(f.data), eol+eol+text)
	}
}

// addTable writes a whole table that is not there at the end of the file.
func (f *tomlFile) addTable(path []string, table map[string]any) (*tomlFile, error) {
	want, err := withValue(f.tree, path, table)
	if err != nil {
		return nil, err
	}
	return f.commit(f.atEnd(tableLines(path, table)), want)
}

// tableLines are a table and the tables below it.
func tableLines(path []string, table map[string]any) []string {
	lines := []string{"[" + keyText(path) + "] " + markAdded}
	var below []string
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if sub, ok := table[key].(map[string]any); ok {
			below = append(below, tableLines(slices.Concat(path, []string{key}), sub)...)
			continue
		}
		lines = append(lines, keyText([]string{key})+" = "+renderTOML(table[key]))
	}
	return append(lines, below...)
}

// renderTOML writes a value on one line.
func renderTOML(value any) string {
	switch v := value.(type) {
	case string:
		return quoteTOML(v)
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			parts = append(parts, renderTOML(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, keyText([]string{key})+" = "+renderTOML(v[key]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	text, err := toml.Marshal(map[string]any{"v": value})
	if err != nil {
		return "" // no TOML value: the parse that follows refuses the edit
	}
	return strings.TrimSpace(strings.TrimPrefix(string(text), "v = "))
}

// quoteTOML writes a basic string.
func quoteTOML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// keyText writes a dotted key, quoted where it must be.
func keyText(path []string) string {
	parts := make([]string, 0, len(path))
	for _, key := range path {
		bare := key != "" && strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
		if !bare {
			key = quoteTOML(key)
		}
		parts = append(parts, key)
	}
	return strings.Join(parts, ".")
}
