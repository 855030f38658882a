package register

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// yamlText is a document, block style or flow style (JSON is flow style), and where its lines begin.
type yamlText struct {
	src   []byte
	root  *yaml.Node
	lines []int
}

// errYAMLShape is what a document is refused with when it is written in a way whose bytes are not known for sure.
var errYAMLShape = errors.New("written in a way that cannot be changed safely")

// addYAML puts item, a value in flow style on one line, in front of the list at path. Sections that are missing are
// made, in the style of what is around them. No other byte changes.
func addYAML(src []byte, path []string, item string) ([]byte, error) {
	y, err := parseYAML(src)
	if err != nil {
		return nil, err
	}
	out, err := y.add(y.root, path, item)
	if err != nil {
		return nil, err
	}
	want, err := decodeYAML(src)
	if err != nil {
		return nil, err
	}
	value, err := decodeYAML([]byte(item))
	if err != nil {
		return nil, err
	}
	if err := sameYAML(out, path, withItem(want, path, value)); err != nil {
		return nil, err
	}
	return out, nil
}

// dropYAML takes the items that match out of the list at path, and with the last one the list and the section
// around it, where these are in the style that addYAML gives them. No other byte changes.
func dropYAML(src []byte, path []string, match func(*yaml.Node) bool) ([]byte, error) {
	for {
		y, err := parseYAML(src)
		if err != nil {
			return nil, err
		}
		chain := y.chain(path)
		if chain == nil {
			return src, nil
		}
		list := chain[len(chain)-1].value()
		n := slices.IndexFunc(list.Content, match)
		if n < 0 {
			return src, nil
		}
		out, err := y.cut(append(chain, yamlChild{list, n}))
		if err != nil {
			return nil, err
		}
		want, err := decodeYAML(src)
		if err != nil {
			return nil, err
		}
		if err := sameYAML(out, path, withoutItem(want, path, n)); err != nil {
			return nil, err
		}
		src = out
	}
}

// parseYAML reads one document whose top is a mapping.
func parseYAML(src []byte) (yamlText, error) {
	if !utf8.Valid(src) {
		return yamlText{}, errors.New("not UTF-8")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var doc yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		return yamlText{}, err
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return yamlText{}, errors.New("more than one document")
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return yamlText{}, errors.New("line 1: no mapping")
	}
	return yamlText{src: src, root: doc.Content[0], lines: yamlLines(src)}, nil
}

// yamlLines is where each line begins, by the line breaks that the YAML parser counts. A byte order mark is not
// part of the first line.
func yamlLines(src []byte) []int {
	at := 0
	if bytes.HasPrefix(src, []byte("\ufeff")) {
		at = len("\ufeff")
	}
	lines := []int{at}
	for at < len(src) {
		width := 0
		for _, lineBreak := range []string{"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029"} {
			if bytes.HasPrefix(src[at:], []byte(lineBreak)) {
				width = len(lineBreak)
				break
			}
		}
		if at += max(width, 1); width > 0 {
			lines = append(lines, at)
		}
	}
	return lines
}

// line is where a line begins, counted from 1; the end of the text behind the last one.
func (y yamlText) line(n int) int {
	if n < 1 || n > len(y.lines) {
		return len(y.src)
	}
	return y.lines[n-1]
}

// offset is where a node begins. Columns count characters.
func (y yamlText) offset(n *yaml.Node) int {
	at := y.line(n.Line)
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(y.src[at:])
		at += size
	}
	return min(at, len(y.src))
}

// member finds a key of a mapping: its index in Content, or -1.
func member(n *yaml.Node, key string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key && n.Content[i].Kind == yaml.ScalarNode {
			return i
		}
	}
	return -1
}

// add looks for the place below n.
func (y yamlText) add(n *yaml.Node, path []string, item string) ([]byte, error) {
	switch {
	case n.Kind == yaml.SequenceNode && len(path) == 0:
		return y.addFirst(n, path, item)
	case n.Kind != yaml.MappingNode || len(path) == 0:
		return nil, fmt.Errorf("line %d: %w", n.Line, errYAMLShape)
	}
	i := member(n, path[0])
	if i < 0 {
		return y.addFirst(n, path, item)
	}
	value := n.Content[i+1]
	if value.Kind != yaml.ScalarNode || value.Tag != "!!null" {
		return y.add(value, path[1:], item)
	}
	if value.Value == "" { // "key:" and nothing behind it
		key := n.Content[i]
		_, after, found := bytes.Cut(y.src[y.offset(key):], []byte(key.Value))
		colon := bytes.IndexByte(after, ':')
		if !found || colon < 0 {
			return nil, fmt.Errorf("line %d: %w", key.Line, errYAMLShape)
		}
		at := len(y.src) - len(after) + colon + 1
		return spliceBytes(y.src, at, at, " "+flowText(path[1:], item)), nil
	}
	at := y.offset(value)
	return spliceBytes(y.src, at, at+len(value.Value), flowText(path[1:], item)), nil
}

// addFirst makes item, in the sections that path names, the first child of a list or a mapping.
func (y yamlText) addFirst(n *yaml.Node, path []string, item string) ([]byte, error) {
	if n.Style&yaml.FlowStyle != 0 || len(n.Content) == 0 {
		return y.addFlow(n, path, item)
	}
	start := n.Content[0]
	if n.Kind == yaml.SequenceNode {
		start = n
	}
	at := y.offset(start)
	indent := string(y.src[y.line(start.Line):at])
	if strings.Trim(indent, " ") != "" || (n.Kind == yaml.SequenceNode && !bytes.HasPrefix(y.src[at:], []byte("-"))) {
		return nil, fmt.Errorf("line %d: %w", start.Line, errYAMLShape)
	}
	lineBreak := "\n"
	if before, _, found := bytes.Cut(y.src, []byte("\n")); found && bytes.HasSuffix(before, []byte("\r")) {
		lineBreak = "\r\n"
	}
	text, deeper := "", indent
	for _, key := range path {
		text += key + ":" + lineBreak + deeper + "  "
		deeper += "  "
	}
	return spliceBytes(y.src, at, at, text+"- "+item+lineBreak+indent), nil
}

// addFlow does it within braces or brackets, laid out as the child that was the first.
func (y yamlText) addFlow(n *yaml.Node, path []string, item string) ([]byte, error) {
	open := y.offset(n)
	if open >= len(y.src) || (y.src[open] != '{' && y.src[open] != '[') {
		return nil, fmt.Errorf("line %d: %w", n.Line, errYAMLShape)
	}
	at, text := open+1, item
	if len(path) > 0 {
		text = strconv.Quote(path[0]) + ": " + flowText(path[1:], item)
	}
	if len(n.Content) > 0 {
		at = y.offset(n.Content[0])
		space := " "
		if between := y.src[open+1 : max(at, open+1)]; len(between) > 0 && len(bytes.TrimSpace(between)) == 0 {
			space = string(between)
		}
		text += "," + space
	}
	return spliceBytes(y.src, at, at, text), nil
}

// flowText is a list of one item within the sections that path names.
func flowText(path []string, item string) string {
	text := "[" + item + "]"
	for _, key := range slices.Backward(path) {
		text = "{" + strconv.Quote(key) + ": " + text + "}"
	}
	return text
}

// decodeYAML is what a document means.
func decodeYAML(src []byte) (any, error) {
	var tree any
	err := yaml.Unmarshal(src, &tree)
	return tree, err
}

// sameYAML compares what a document means with what was meant. A list at path without items, and the sections around
// it without anything else, are as good as none.
func sameYAML(src []byte, path []string, want any) error {
	if _, err := parseYAML(src); err != nil {
		return fmt.Errorf("the edit would break the file: %w", err)
	}
	got, err := decodeYAML(src)
	if err != nil {
		return fmt.Errorf("the edit would break the file: %w", err)
	}
	if !reflect.DeepEqual(withoutEmpty(got, path), withoutEmpty(want, path)) {
		return errors.New("the edit would change more than was meant")
	}
	return nil
}
