package register

import (
	"bytes"
	"testing"
)

func TestSetJSON(t *testing.T) {
	for _, row := range []struct{ name, doc, want string }{
		{"empty", "", "{\n  \"a\": {\"b\": 1}\n}\n"},
		{"white space only", " \r\n\t", "{\n  \"a\": {\"b\": 1}\n}\n"},
		{"no members", "{}", "{\n  \"a\": {\"b\": 1}\n}"},
		{"one line", `{"x":1,"y":2}`, `{"x":1,"y":2,"a":{"b": 1}}`},
		{"one member", "{ \"x\": 1 }\n", "{ \"x\": 1, \"a\": {\"b\": 1} }\n"},
		{"CRLF and tabs", "{\r\n\t\"x\" : [1, {\"a\": 2}]\r\n}\r\n", "{\r\n\t\"x\" : [1, {\"a\": 2}],\r\n\t\"a\" : {\"b\": 1}\r\n}\r\n"},
		{"comma first", "{\n  \"x\": 1\n, \"y\": 2\n}", "{\n  \"x\": 1\n, \"y\": 2,\n \"a\": {\"b\": 1}\n}"},
		{"there", `{"a": {"b": {"c": [1]}}, "x": 1e3}`, `{"a": {"b": 1}, "x": 1e3}`},
		{"empty object there", "{\"a\": { }}", "{\"a\": {\"b\": 1}}"},
		{"object there", "{\n  \"a\": {\n    \"z\": null\n  }\n}", "{\n  \"a\": {\n    \"z\": null,\n    \"b\": 1\n  }\n}"},
		{"Unicode", "{\"é\\u00e9\": \"\\ud83d\\ude00 😀\", \"x\": \"}\\\"\"}", "{\"é\\u00e9\": \"\\ud83d\\ude00 😀\", \"x\": \"}\\\"\", \"a\": {\"b\": 1}}"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := setJSON([]byte(row.doc), "1", "a", "b")
			if err != nil || string(got) != row.want {
				t.Errorf("%q, %v\nwant %q", got, err, row.want)
			}
		})
	}
}

func TestSetJSONRefuses(t *testing.T) {
	for doc, want := range map[string]string{
		`{"x": 1,}`:                       "line 1: invalid character '}' looking for beginning of object key string",
		"{\n\"x\": 1\n":                   "line 3: unexpected end of JSON input",
		"{\"x\": 1,\n\"x\": 2}":           `line 2: "x" comes twice`,
		"{\"x\": [{\"y\": 1, \"y\": 1}]}": `line 1: "y" comes twice`,
		"[]":                              "line 1: no JSON object",
		"null":                            "line 1: no JSON object",
		"{\"a\": 3}":                      "line 1: no object",
		"// comment\n{}":                  "line 1: invalid character '/' looking for beginning of value",
		"\ufeff{}":                        "line 1: invalid character 'ï' looking for beginning of value",
		`{} {}`:                           "line 1: invalid character '{' after top-level value",
	} {
		if _, err := setJSON([]byte(doc), "1", "a", "b"); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", doc, err, want)
		}
	}
}

func TestDropJSON(t *testing.T) {
	for _, row := range []struct{ doc, want string }{
		{`{"a": {"b": 1}}`, `{"a": {}}`},
		{"{\n  \"a\": {\n    \"b\": 1,\n    \"c\": 2\n  }\n}", "{\n  \"a\": {\n    \"c\": 2\n  }\n}"},
		{"{\n  \"a\": {\n    \"c\": 2,\n    \"b\": 1\n  }\n}", "{\n  \"a\": {\n    \"c\": 2\n  }\n}"},
		{`{"x": 1}`, `{"x": 1}`},
		{`{"a": [1]}`, `{"a": [1]}`},
		{"", ""},
	} {
		if got, err := dropJSON([]byte(row.doc), "a", "b"); err != nil || string(got) != row.want {
			t.Errorf("%q: %q, %v, want %q", row.doc, got, err, row.want)
		}
	}
}

// FuzzSpliceJSON: setting and dropping a member that was not there gives the same bytes, and what is in the document
// is never changed: setJSON compares the trees itself.
func FuzzSpliceJSON(f *testing.F) {
	for _, doc := range []string{"{}", "{\"a\": {\"b\": 1}}", "{\r\n\t\"x\" : [1, {\"a\": 2}]\r\n}\r\n", "{\"a\":{ \"c\" : 1e400 }, \"d\":\"\\u0000\"}", "", "[", "{\"a\":[[[{}]]]}"} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := setJSON(doc, `{"path": "p"}`, "runtimes", "gpu-preflight")
		if err != nil {
			return
		}
		root, err := parseJSON(doc)
		if err != nil || len(root.members) == 0 || root.member("runtimes") >= 0 {
			return
		}
		back, err := dropJSON(set, "runtimes")
		if err != nil || !bytes.Equal(back, doc) {
			t.Errorf("%q became %q and then %q, %v", doc, set, back, err)
		}
	})
}
