package oci

import (
	"strconv"
	"strings"
)

// parseYAML reads the YAML that CDI generators write: block maps and lists, lists between [ ], maps between { },
// plain and quoted scalars. Numbers come as numbers, so that names in quotes stay strings.
func parseYAML(text string) any {
	p := &yamlReader{}
	for line := range strings.SplitSeq(text, "\n") {
		body := strings.TrimSpace(line)
		if body == "" || body == "---" || body[0] == '#' {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		// A flow list that goes on in the next line is one line here.
		if n := len(p.lines); n > 0 && strings.Count(p.lines[n-1].text, "{") > strings.Count(p.lines[n-1].text, "}") {
			p.lines[n-1].text += " " + body
			continue
		}
		p.lines = append(p.lines, yamlLine{indent, body})
	}
	return p.block(0)
}

type yamlLine struct {
	indent int
	text   string
}

type yamlReader struct{ lines []yamlLine }

func (p *yamlReader) block(indent int) any {
	if len(p.lines) == 0 || p.lines[0].indent < indent {
		return nil
	}
	indent = p.lines[0].indent
	var list []any
	fields := map[string]any{}
	for len(p.lines) > 0 && p.lines[0].indent == indent {
		line := p.lines[0]
		if rest, ok := strings.CutPrefix(line.text, "- "); ok {
			if key, _, isMap := strings.Cut(rest, ": "); (isMap || strings.HasSuffix(rest, ":")) && !strings.ContainsAny(key, `"'{`) {
				p.lines[0] = yamlLine{indent + len(line.text) - len(strings.TrimLeft(rest, " ")), strings.TrimLeft(rest, " ")}
				list = append(list, p.block(indent+1))
				continue
			}
			p.lines = p.lines[1:]
			list = append(list, yamlScalar(rest))
			continue
		}
		if list != nil {
			return list
		}
		p.lines = p.lines[1:]
		key, value, _ := strings.Cut(line.text, ":")
		if value = strings.TrimSpace(value); value != "" {
			fields[key] = yamlScalar(value)
			continue
		}
		fields[key] = p.below(indent)
	}
	if list != nil {
		return list
	}
	return fields
}

// below reads the value of a key that stands in the following lines: a list may stand in the column of its key,
// and a long scalar in the next line.
func (p *yamlReader) below(indent int) any {
	if len(p.lines) == 0 {
		return nil
	}
	next := p.lines[0]
	switch isItem := strings.HasPrefix(next.text, "- "); {
	case isItem:
		return p.block(indent)
	case next.indent > indent && !strings.HasSuffix(next.text, ":") && !strings.Contains(next.text, ": "):
		p.lines = p.lines[1:]
		return yamlScalar(next.text)
	}
	return p.block(indent + 1)
}

func yamlScalar(s string) any {
	s = strings.TrimSpace(s)
	inside := func() []string {
		depth := 0
		return strings.FieldsFunc(s[1:len(s)-1], func(r rune) bool {
			depth += map[rune]int{'{': 1, '[': 1, '}': -1, ']': -1}[r]
			return r == ',' && depth == 0
		})
	}
	switch {
	case strings.HasPrefix(s, "["):
		list := []any{}
		for _, item := range inside() {
			list = append(list, yamlScalar(item))
		}
		return list
	case strings.HasPrefix(s, "{"):
		fields := map[string]any{}
		for _, item := range inside() {
			key, value, _ := strings.Cut(item, ":")
			fields[strings.TrimSpace(key)] = yamlScalar(value)
		}
		return fields
	case len(s) > 1 && (s[0] == '"' || s[0] == '\''):
		return s[1 : len(s)-1]
	}
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return s
}
