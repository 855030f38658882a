package register

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlChild is an item of a list, or a key with its value in a mapping.
type yamlChild struct {
	parent *yaml.Node
	index  int // in the parent's Content
}

func (c yamlChild) step() int {
	if c.parent.Kind == yaml.MappingNode {
		return 2
	}
	return 1
}

func (c yamlChild) start() *yaml.Node { return c.parent.Content[c.index] }
func (c yamlChild) value() *yaml.Node { return c.parent.Content[c.index+c.step()-1] }

// chain are the children that lead to the list at path; nil if there is no such list.
func (y yamlText) chain(path []string) []yamlChild {
	var chain []yamlChild
	at := y.root
	for _, key := range path {
		if at.Kind != yaml.MappingNode {
			return nil
		}
		i := member(at, key)
		if i < 0 {
			return nil
		}
		chain = append(chain, yamlChild{at, i})
		at = chain[len(chain)-1].value()
	}
	if at.Kind != yaml.SequenceNode {
		return nil
	}
	return chain
}

// emptied says how far up an item that goes takes what held nothing else, as long as the style is the same: the
// place in the chain of what goes.
func emptied(chain []yamlChild) int {
	n := len(chain) - 1
	for n > 0 {
		c, around := chain[n], chain[n-1]
		alone := len(c.parent.Content) == c.step()
		if !alone || c.parent.Style&yaml.FlowStyle != around.parent.Style&yaml.FlowStyle {
			break
		}
		n--
	}
	return n
}

// cut takes the last child of the chain out.
func (y yamlText) cut(chain []yamlChild) ([]byte, error) {
	c := chain[emptied(chain)]
	if c.parent.Style&yaml.FlowStyle != 0 {
		return y.cutFlow(c)
	}
	at := y.offset(c.start())
	if c.parent.Kind == yaml.SequenceNode { // the dash
		at = bytes.LastIndexByte(y.src[:at], '-')
	}
	if at < 0 {
		return nil, fmt.Errorf("line %d: %w", c.start().Line, errYAMLShape)
	}
	begin, _ := slices.BinarySearch(y.lines, at+1)
	from := y.line(begin)
	if strings.Trim(string(y.src[from:at]), " ") != "" {
		return nil, fmt.Errorf("line %d: %w", c.start().Line, errYAMLShape)
	}
	return spliceBytes(y.src, from, y.line(lastLine(c.value())+1), ""), nil
}

// lastLine is the last line on which a node of a tree begins. An item of ours has no scalar of several lines, and
// in any other the comparison that follows refuses the edit. The bracket that closes an item of ours stands there too.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, child := range n.Content {
		last = max(last, lastLine(child))
	}
	return last
}

// cutFlow does it within braces or brackets.
func (y yamlText) cutFlow(c yamlChild) ([]byte, error) {
	from := y.offset(c.start())
	if next := c.index + c.step(); next < len(c.parent.Content) {
		return spliceBytes(y.src, from, y.offset(c.parent.Content[next]), ""), nil
	}
	to := y.flowEnd(y.offset(c.value()))
	if c.index > 0 {
		from = bytes.LastIndexByte(y.src[:from], ',')
	}
	if from < 0 || to < from {
		return nil, fmt.Errorf("line %d: %w", c.start().Line, errYAMLShape)
	}
	return spliceBytes(y.src, from, to, ""), nil
}

// flowEnd is where the braces or brackets that open here are closed.
func (y yamlText) flowEnd(at int) int {
	depth := 0
	for ; at < len(y.src); at++ {
		switch y.src[at] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"', '\'':
			at = y.quoteEnd(at)
		}
		if depth <= 0 {
			return at + 1
		}
	}
	return -1
}

// quoteEnd is the quote that closes the one here.
func (y yamlText) quoteEnd(at int) int {
	quote := y.src[at]
	for at++; at < len(y.src) && y.src[at] != quote; at++ {
		if quote == '"' && y.src[at] == '\\' {
			at++
		}
	}
	return at
}

// withItem is a tree with a value put in front of the list at path.
func withItem(tree any, path []string, value any) any {
	if len(path) == 0 {
		list, _ := tree.([]any)
		return append([]any{value}, list...)
	}
	section, _ := tree.(map[string]any)
	section = maps.Clone(section)
	if section == nil {
		section = map[string]any{}
	}
	section[path[0]] = withItem(section[path[0]], path[1:], value)
	return section
}

// withoutItem is a tree without an item of the list at path.
func withoutItem(tree any, path []string, n int) any {
	if len(path) == 0 {
		list, _ := tree.([]any)
		if n >= len(list) {
			return tree
		}
		return slices.Delete(slices.Clone(list), n, n+1)
	}
	section, ok := tree.(map[string]any)
	if !ok {
		return tree
	}
	section = maps.Clone(section)
	section[path[0]] = withoutItem(section[path[0]], path[1:], n)
	return section
}

// withoutEmpty is a tree without the list at path if that has no items, and without sections that held only that.
func withoutEmpty(tree any, path []string) any {
	section, ok := tree.(map[string]any)
	if !ok || len(path) == 0 {
		return tree
	}
	section = maps.Clone(section)
	inner := withoutEmpty(section[path[0]], path[1:])
	section[path[0]] = inner
	list, isList := inner.([]any)
	sub, isSection := inner.(map[string]any)
	if inner == nil || (isList && len(list) == 0) || (isSection && len(sub) == 0) {
		delete(section, path[0])
	}
	return section
}
