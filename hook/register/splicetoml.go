package register

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlFile is a TOML file in two forms: the tree that it means, and where each key and each header stands.
type tomlFile struct {
	data  []byte
	tree  map[string]any
	items []tomlItem
	deep  bool // tables are nested deeper than a configuration needs
}

// maxDepth bounds the keys that lead to a value.
const maxDepth = 64

// tomlItem is a header or a key with its value. Places are offsets into the file.
type tomlItem struct {
	kind   unstable.Kind // Table, ArrayTable or KeyValue
	path   []string      // from the root; nil below an array of tables, which has no single path
	header []string      // the table whose section this is
	value  unstable.Kind // what kind of value a key has
	inline bool          // the key stands in an inline table
	starts int           // the first byte of the key
	opens  int           // the first byte of the value
	ends   int           // behind the last byte of the value or the header's last key
	from   int           // the first byte of the line on which the whole expression begins
	to     int           // the end of the line on which it ends, before the line break
	elems  []tomlSpan    // the elements of an array of strings
	other  bool          // the array has elements that are no strings
	inner  int           // the end of the last key of an inline table, or 0
}

// tomlSpan is one string of an array.
type tomlSpan struct {
	text       string
	start, end int
}

// errShape says that a key is there, but is not what its reader wants.
var errShape = errors.New("has another type than expected")

// parseTOML reads a file. What is wrong is told with its line and column.
func parseTOML(data []byte) (*tomlFile, error) {
	if len(data) > math.MaxInt32 {
		return nil, errors.New("larger than a configuration can be")
	}
	f := &tomlFile{data: slices.Clip(data), tree: map[string]any{}}
	if err := toml.Unmarshal(f.data, &f.tree); err != nil {
		if place, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, column := place.Position()
			return nil, fmt.Errorf("line %d, column %d: %w", row, column, err)
		}
		return nil, err
	}
	var p unstable.Parser
	p.Reset(f.data)
	var header []string
	var arrays [][]string
	lost := false // below an array of tables
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.KeyValue {
			f.addKey(e, header, lost, nil)
			if f.deep {
				return nil, fmt.Errorf("tables are nested more than %d deep", maxDepth)
			}
			continue
		}
		var keysEnd int
		header, keysEnd = keys(e.Key())
		lost = slices.ContainsFunc(arrays, func(array []string) bool { return hasPrefix(header, array) })
		if e.Kind == unstable.ArrayTable {
			lost, arrays = true, append(arrays, header)
		}
		item := tomlItem{kind: e.Kind, header: header, ends: keysEnd}
		if e.Kind == unstable.ArrayTable || !lost {
			item.path = header
		}
		item.from, item.to = f.lines(keysEnd, keysEnd)
		f.items = append(f.items, item)
	}
	return f, p.Error()
}

// addKey notes a key with its value, and the keys of an inline table after it. The keys of an inline table know the
// expression that they stand in by outer.
func (f *tomlFile) addKey(e *unstable.Node, header []string, lost bool, outer *tomlItem) int {
	path, keysEnd := keys(e.Key())
	item := tomlItem{
		kind: unstable.KeyValue, header: header, path: slices.Concat(header, path), value: e.Value().Kind,
		inline: outer != nil, starts: int(e.Raw.Offset), ends: int(e.Raw.Offset + e.Raw.Length),
	}
	// Only blanks and the sign of equality stand between a key and its value.
	item.opens = keysEnd + len(f.data[keysEnd:]) - len(bytes.TrimLeft(f.data[keysEnd:], " \t="))
	if item.inline {
		item.path = slices.Concat(outer.path, path)
		item.from, item.to = outer.from, outer.to
	} else {
		item.from, item.to = f.lines(int(e.Raw.Offset), item.ends)
	}
	if item.value == unstable.Array {
		item.elems, item.other = stringsOf(e.Value())
	}
	place := len(f.items)
	f.items = append(f.items, item)
	f.deep = f.deep || len(item.path) > maxDepth
	if item.value == unstable.InlineTable && !f.deep {
		for it := e.Value().Children(); it.Next(); {
			f.items[place].inner = f.addKey(it.Node(), header, lost, &item)
		}
	}
	if lost {
		f.items[place].path = nil
	}
	return item.ends
}

// lines are the bounds of the lines from one place to another.
func (f *tomlFile) lines(start, end int) (from, to int) {
	from = bytes.LastIndexByte(f.data[:start], '\n') + 1
	to = len(f.data)
	if i := bytes.IndexByte(f.data[end:], '\n'); i >= 0 {
		to = end + i
		if to > end && f.data[to-1] == '\r' {
			to--
		}
	}
	return from, to
}

// keys are the parts of a dotted key, and where the last ends.
func keys(it unstable.Iterator) (path []string, end int) {
	for it.Next() {
		n := it.Node()
		path, end = append(path, string(n.Data)), int(n.Raw.Offset+n.Raw.Length)
	}
	return path, end
}

// stringsOf are the strings of an array, and whether it has anything else.
func stringsOf(array *unstable.Node) (spans []tomlSpan, other bool) {
	for it := array.Children(); it.Next(); {
		n := it.Node()
		if n.Kind != unstable.String {
			other = true
			continue
		}
		spans = append(spans, tomlSpan{text: string(n.Data), start: int(n.Raw.Offset), end: int(n.Raw.Offset + n.Raw.Length)})
	}
	return spans, other
}

// find is the key at a path.
func (f *tomlFile) find(path []string) (tomlItem, bool) {
	i := slices.IndexFunc(f.items, func(i tomlItem) bool { return i.kind == unstable.KeyValue && slices.Equal(i.path, path) })
	if i < 0 {
		return tomlItem{}, false
	}
	return f.items[i], true
}

// splice replaces a range of the file.
func (f *tomlFile) splice(start, end int, text string) []byte {
	return slices.Concat(f.data[:start], []byte(text), f.data[end:])
}

// eol is the line break that the file uses.
func (f *tomlFile) eol() string {
	if i := bytes.IndexByte(f.data, '\n'); i > 0 && f.data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// commit reads what a splice made and compares it with what was meant; a difference is an error.
func (f *tomlFile) commit(data []byte, want map[string]any) (*tomlFile, error) {
	next, err := parseTOML(data)
	if err != nil {
		return nil, fmt.Errorf("the edit would break the file: %w", err)
	}
	if !sameTree(next.tree, want) {
		return nil, errors.New("the edit would change more than was meant")
	}
	return next, nil
}

// sameTree compares what two files mean; a table without keys is as good as none.
func sameTree(a, b map[string]any) bool { return reflect.DeepEqual(pruned(a), pruned(b)) }

func pruned(table map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range table {
		if sub, ok := value.(map[string]any); ok {
			if sub = pruned(sub); len(sub) == 0 {
				continue
			}
			value = sub
		}
		out[key] = value
	}
	return out
}

// withValue is a copy of a tree with one value changed; nil takes the key out.
func withValue(tree map[string]any, path []string, value any) (map[string]any, error) {
	if len(path) == 0 {
		return nil, errors.New("a key has a name")
	}
	key, rest := path[0], path[1:]
	out := make(map[string]any, len(tree)+1)
	maps.Copy(out, tree)
	switch {
	case len(rest) == 0 && value == nil:
		delete(out, key)
		return out, nil
	case len(rest) == 0:
		out[key] = value
		return out, nil
	}
	old, there := out[key]
	sub, isTable := old.(map[string]any)
	if there && !isTable {
		return nil, fmt.Errorf("%s %w", key, errShape)
	}
	sub, err := withValue(sub, rest, value)
	out[key] = sub
	return out, err
}

// valueAt is what stands at a path of a tree.
func valueAt(tree map[string]any, path ...string) any {
	for _, key := range path[:len(path)-1] {
		tree, _ = tree[key].(map[string]any)
	}
	return tree[path[len(path)-1]]
}

func hasPrefix(path, prefix []string) bool {
	return len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix)
}
