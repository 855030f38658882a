package register

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// jsonObject is where the members of an object stand in a document.
type jsonObject struct {
	open, close int // of the braces
	members     []jsonMember
}

// jsonMember is one member of an object.
type jsonMember struct {
	key             string
	start, keyEnd   int // of the key, quotes included
	value, valueEnd int
	object          *jsonObject // of a value that is an object
}

func (o *jsonObject) member(key string) int {
	for i, m := range o.members {
		if m.key == key {
			return i
		}
	}
	return -1
}

// setJSON gives the member at path a value, and changes no other byte of the document. Objects on the way are made
// where they are missing. An empty document counts as an empty object.
func setJSON(doc []byte, value string, path ...string) ([]byte, error) {
	if len(bytes.TrimSpace(doc)) == 0 {
		doc = []byte("{}\n")
	}
	root, err := parseJSON(doc)
	if err != nil {
		return nil, err
	}
	at := root
	for i, key := range path {
		n := at.member(key)
		last := i == len(path)-1
		switch {
		case n < 0:
			return checkedJSON(doc, insertJSON(doc, at, at == root, key, nestJSON(value, path[i+1:])), value, path)
		case last:
			m := at.members[n]
			return checkedJSON(doc, spliceBytes(doc, m.value, m.valueEnd, value), value, path)
		case at.members[n].object == nil:
			return nil, fmt.Errorf("%s: no object", placeJSON(doc, at.members[n].start))
		}
		at = at.members[n].object
	}
	return nil, errors.New("no path")
}

// dropJSON takes the member at path out, if it is there, and changes no other byte than those around it.
func dropJSON(doc []byte, path ...string) ([]byte, error) {
	if len(bytes.TrimSpace(doc)) == 0 {
		return doc, nil
	}
	at, err := parseJSON(doc)
	if err != nil {
		return nil, err
	}
	for i, key := range path {
		n := at.member(key)
		if n < 0 || (i < len(path)-1 && at.members[n].object == nil) {
			return doc, nil
		}
		if i < len(path)-1 {
			at = at.members[n].object
			continue
		}
		from, to := at.open+1, at.close
		switch {
		case n+1 < len(at.members):
			from, to = at.members[n].start, at.members[n+1].start
		case n > 0:
			from, to = at.members[n-1].valueEnd, at.members[n].valueEnd
		}
		return checkedJSON(doc, spliceBytes(doc, from, to, ""), "", path)
	}
	return nil, errors.New("no path")
}

// insertJSON puts a member behind the last one, laid out as that is.
func insertJSON(doc []byte, at *jsonObject, top bool, key, value string) []byte {
	name, _ := json.Marshal(key)
	if len(at.members) == 0 {
		if !top {
			return spliceBytes(doc, at.open+1, at.close, string(name)+": "+value)
		}
		end := "\n"
		if bytes.Contains(doc, []byte("\r\n")) {
			end = "\r\n"
		}
		return spliceBytes(doc, at.open+1, at.close, end+"  "+string(name)+": "+value+end)
	}
	last := at.members[len(at.members)-1]
	from := at.open + 1
	if n := len(at.members); n > 1 {
		from = at.members[n-2].valueEnd
	}
	space := strings.ReplaceAll(string(doc[from:last.start]), ",", "")
	colon := string(doc[last.keyEnd:last.value])
	return spliceBytes(doc, last.valueEnd, last.valueEnd, ","+space+string(name)+colon+value)
}

// nestJSON is the value within the objects that are missing around it.
func nestJSON(value string, keys []string) string {
	for _, key := range slices.Backward(keys) {
		name, _ := json.Marshal(key)
		value = "{" + string(name) + ": " + value + "}"
	}
	return value
}

func spliceBytes(doc []byte, from, to int, text string) []byte {
	return append(append(append([]byte{}, doc[:from]...), text...), doc[to:]...)
}

// checkedJSON holds that a splice did what was meant, and nothing else. An empty value means that the member went.
func checkedJSON(before, after []byte, value string, path []string) ([]byte, error) {
	want, err := decodeJSON(before)
	if err != nil {
		return nil, err
	}
	at, _ := want.(map[string]any)
	for _, key := range path[:len(path)-1] {
		inner, ok := at[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			at[key] = inner
		}
		at = inner
	}
	key := path[len(path)-1]
	delete(at, key)
	if value != "" {
		if at[key], err = decodeJSON([]byte(value)); err != nil {
			return nil, err
		}
	}
	if _, err = parseJSON(after); err != nil {
		return nil, err
	}
	got, err := decodeJSON(after)
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(got, want) {
		return nil, fmt.Errorf("setting %s would change more than that", strings.Join(path, "."))
	}
	return after, nil
}

// decodeJSON keeps numbers as they are written.
func decodeJSON(doc []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// parseJSON finds the members of a document that is one object. Keys that come twice are refused: which of them
// holds is for every reader another.
func parseJSON(doc []byte) (*jsonObject, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(doc, &whole); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("%s: %w", placeJSON(doc, int(syntax.Offset)), err)
		}
		return nil, err
	}
	p := jsonParser{doc: doc, decoder: json.NewDecoder(bytes.NewReader(doc))}
	p.decoder.UseNumber()
	token, err := p.decoder.Token()
	if err != nil || token != json.Delim('{') {
		return nil, errors.Join(errors.New("line 1: no JSON object"), err)
	}
	return p.object()
}

type jsonParser struct {
	doc     []byte
	decoder *json.Decoder
}

// offset is where the last token ended.
func (p jsonParser) offset() int { return int(p.decoder.InputOffset()) }

// next is where the next token begins.
func (p jsonParser) next() int {
	at := p.offset()
	for at < len(p.doc) && strings.IndexByte(" \t\r\n,:", p.doc[at]) >= 0 {
		at++
	}
	return at
}

// object reads on behind an opening brace.
func (p jsonParser) object() (*jsonObject, error) {
	o, seen := &jsonObject{open: p.offset() - 1}, map[string]bool{}
	for p.decoder.More() {
		m := jsonMember{start: p.next()}
		token, err := p.decoder.Token()
		if err != nil {
			return nil, err
		}
		m.key, _ = token.(string)
		if seen[m.key] {
			return nil, fmt.Errorf("%s: %q comes twice", placeJSON(p.doc, m.start), m.key)
		}
		seen[m.key] = true
		m.keyEnd, m.value = p.offset(), p.next()
		if m.object, err = p.anything(); err != nil {
			return nil, err
		}
		m.valueEnd = p.offset()
		o.members = append(o.members, m)
	}
	_, err := p.decoder.Token()
	o.close = p.offset() - 1
	return o, err
}

// anything reads one value; an object is returned.
func (p jsonParser) anything() (*jsonObject, error) {
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return p.object()
	case json.Delim('['):
		for p.decoder.More() {
			if _, err = p.anything(); err != nil {
				return nil, err
			}
		}
		_, err = p.decoder.Token()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// placeJSON is the line of an offset, as an editor counts.
func placeJSON(doc []byte, offset int) string {
	return fmt.Sprintf("line %d", 1+bytes.Count(doc[:min(offset, len(doc))], []byte("\n")))
}
