package register

import (
	"bytes"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var (
	hooksPath = []string{"containerEdits", "hooks"}
	ourItem   = `{"hookName": "createRuntime", "path": "/usr/local/bin/gpu-preflight-hook", "args": ["a, b", "[ $? -ne 1 ]"]}`
)

func isOurItem(n *yaml.Node) bool {
	i := member(n, "path")
	return i >= 0 && strings.HasSuffix(n.Content[i+1].Value, hookName)
}

// TestAddYAML: the item is put where it belongs in the file's own style, and taking it out gives the same bytes.
func TestAddYAML(t *testing.T) {
	for _, row := range []struct {
		name, before, after string
		left                string // when taking out gives other bytes, which mean the same
	}{
		{name: "a list, indented by 2, items at the key", before: "kind: k\ncontainerEdits:\n  hooks:\n  - path: /a\n", after: "kind: k\ncontainerEdits:\n  hooks:\n  - ITEM\n  - path: /a\n"},
		{name: "a list, indented by 4", before: "kind: k\ncontainerEdits:\n    hooks:\n        - path: /a\n        - path: /b\n", after: "kind: k\ncontainerEdits:\n    hooks:\n        - ITEM\n        - path: /a\n        - path: /b\n"},
		{name: "CRLF, comments, no last line break", before: "# top\r\n---\r\nkind: k # kind\r\ncontainerEdits: # edits\r\n  # hooks\r\n  hooks:\r\n  # first\r\n  - path: /a # a", after: "# top\r\n---\r\nkind: k # kind\r\ncontainerEdits: # edits\r\n  # hooks\r\n  hooks:\r\n  # first\r\n  - ITEM\r\n  - path: /a # a"},
		{name: "no list", before: "containerEdits:\n    env:\n    - A=b\nkind: k\n", after: "containerEdits:\n    hooks:\n      - ITEM\n    env:\n    - A=b\nkind: k\n"},
		{name: "no section", before: "---\nkind: k\ndevices:\n- name: all\n...\n", after: "---\ncontainerEdits:\n  hooks:\n    - ITEM\nkind: k\ndevices:\n- name: all\n...\n"},
		{name: "no section, byte order mark", before: "\ufeffkind: k", after: "\ufeffcontainerEdits:\n  hooks:\n    - ITEM\nkind: k"},
		{name: "all indented", before: "  kind: k\n  a: 1\n", after: "  containerEdits:\n    hooks:\n      - ITEM\n  kind: k\n  a: 1\n"},
		{name: "an empty section", before: "kind: k\ncontainerEdits: {}\n", after: "kind: k\ncontainerEdits: {\"hooks\": [ITEM]}\n"},
		{name: "a section without value", before: "containerEdits:\nkind: k\n", after: "containerEdits: {\"hooks\": [ITEM]}\nkind: k\n", left: "containerEdits: {}\nkind: k\n"},
		{name: "a section of null", before: "containerEdits: null # none\nkind: k\n", after: "containerEdits: {\"hooks\": [ITEM]} # none\nkind: k\n", left: "containerEdits: {} # none\nkind: k\n"},
		{name: "a list without value", before: "containerEdits:\n  \"hooks\" :\n  env: []\n", after: "containerEdits:\n  \"hooks\" : [ITEM]\n  env: []\n", left: "containerEdits:\n  \"hooks\" : []\n  env: []\n"},
		{name: "flow style", before: "containerEdits: { hooks: [ { path: /a } ], env: [A=b] }\n", after: "containerEdits: { hooks: [ ITEM, { path: /a } ], env: [A=b] }\n"},
		{name: "flow style in a list of block style", before: "containerEdits:\n  hooks:\n  - { path: /a,\n      args: [a] }\n", after: "containerEdits:\n  hooks:\n  - ITEM\n  - { path: /a,\n      args: [a] }\n"},
		{name: "JSON", before: "{\n\t\"kind\": \"k\",\n\t\"containerEdits\": {\n\t\t\"hooks\": [\n\t\t\t{\"path\": \"/a\"}\n\t\t]\n\t}\n}\n", after: "{\n\t\"kind\": \"k\",\n\t\"containerEdits\": {\n\t\t\"hooks\": [\n\t\t\tITEM,\n\t\t\t{\"path\": \"/a\"}\n\t\t]\n\t}\n}\n"},
		{name: "JSON without section", before: "{\n  \"kind\": \"k\"\n}", after: "{\n  \"containerEdits\": {\"hooks\": [ITEM]},\n  \"kind\": \"k\"\n}"},
		{name: "JSON without list", before: `{"containerEdits":{"env":["A=b"]},"kind":"k"}`, after: `{"containerEdits":{"hooks": [ITEM], "env":["A=b"]},"kind":"k"}`, left: `{"containerEdits":{"env":["A=b"]},"kind":"k"}`},
		{name: "characters of several bytes", before: "{é: ü, containerEdits: {hooks: [{path: /ä}]}}", after: "{é: ü, containerEdits: {hooks: [ITEM, {path: /ä}]}}"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := addYAML([]byte(row.before), hooksPath, ourItem)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(row.after, "ITEM", ourItem); string(got) != want {
				t.Errorf("added:\n%s\nwant:\n%s", got, want)
			}
			back, err := dropYAML(got, hooksPath, isOurItem)
			if err != nil {
				t.Fatal(err)
			}
			if row.left == "" {
				row.left = row.before
			}
			if string(back) != row.left {
				t.Errorf("taken out:\n%s\nwant:\n%s", back, row.left)
			}
		})
	}
}

// TestAddYAMLRefuses: what is written in an odd way is not changed, and the error names the line.
func TestAddYAMLRefuses(t *testing.T) {
	for name, row := range map[string][2]string{
		"two documents":      {"kind: k\n---\nkind: l\n", "more than one document"},
		"no mapping":         {"- a\n", "line 1"},
		"empty":              {"", "EOF"},
		"no YAML":            {"kind: k\n  a: [\n", "line 2"},
		"an alias":           {"a: &a\n  hooks: []\ncontainerEdits: *a\n", "line 3"},
		"an anchored list":   {"containerEdits:\n  hooks: &h\n  - path: /a\nother: *h\n", "line"},
		"a list of one word": {"containerEdits:\n  hooks: none\n", "line 2"},
		"an explicit key":    {"? containerEdits\n: ? env\n  : []\n", "line 2"},
		"a key twice":        {"kind: k\nkind: l\n", "already defined"},
		"UTF-16":             {"\xff\xfek\x00", "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := addYAML([]byte(row[0]), hooksPath, ourItem)
			if err == nil || !strings.Contains(err.Error(), row[1]) {
				t.Errorf("%q, %v: want an error with %q", got, err, row[1])
			}
		})
	}
}

// TestDropYAML: only items that match go, also when others changed the file's form.
func TestDropYAML(t *testing.T) {
	for _, row := range []struct{ name, before, after string }{
		{"written anew by another tool", "containerEdits:\n  hooks:\n  - path: /a\n  - args:\n    - gpu-preflight-hook\n    hookName: createRuntime\n    path: /x/gpu-preflight-hook\n  - path: /b\n", "containerEdits:\n  hooks:\n  - path: /a\n  - path: /b\n"},
		{"the last of a flow list", `{"containerEdits": {"hooks": [{"path": "/a"}, {"path": "/gpu-preflight-hook"}]}}`, `{"containerEdits": {"hooks": [{"path": "/a"}]}}`},
		{"twice", "containerEdits:\n  hooks:\n  - {path: /gpu-preflight-hook}\n  - {path: /a}\n  - {path: /gpu-preflight-hook}", "containerEdits:\n  hooks:\n  - {path: /a}\n"},
		{"a comment beside it", "containerEdits:\n  hooks:\n  - {path: /gpu-preflight-hook}\n  # of a\n  - {path: /a}\n", "containerEdits:\n  hooks:\n  # of a\n  - {path: /a}\n"},
		{"not there", "containerEdits:\n  hooks:\n  - {path: /a}\n", "containerEdits:\n  hooks:\n  - {path: /a}\n"},
		{"no list", "kind: k\n", "kind: k\n"},
		{"no section", "containerEdits: 3\n", "containerEdits: 3\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := dropYAML([]byte(row.before), hooksPath, isOurItem)
			if err != nil || string(got) != row.after {
				t.Errorf("%v\n%s\nwant:\n%s", err, got, row.after)
			}
		})
	}
}

// FuzzAddYAML: whatever the file, an edit is refused or does what was meant; twice is refused nowhere that once was
// not, and taking both out leaves a file that means the same.
func FuzzAddYAML(f *testing.F) {
	for _, seed := range []string{
		"kind: k\ncontainerEdits:\n  hooks:\n  - path: /a\n", "\ufeff---\r\nkind: k\r\n", `{"containerEdits": {"hooks": []}}`,
		"containerEdits: {hooks: ['it''s', \"a\\\"]\"]}\n", "containerEdits:\n  env: # c\n  - é\u0085\n", "a: |\n  text\ncontainerEdits: ~\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		once, err := addYAML(src, hooksPath, ourItem)
		if err != nil {
			return
		}
		if bytes.Count(once, []byte(ourItem)) != bytes.Count(src, []byte(ourItem))+1 {
			t.Fatalf("%q became %q", src, once)
		}
		twice, err := addYAML(once, hooksPath, ourItem)
		if err != nil {
			t.Fatalf("%q: %v", once, err)
		}
		before, err := decodeYAML(src)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(src, []byte(hookName)) {
			return
		}
		back, err := dropYAML(twice, hooksPath, isOurItem)
		if err != nil {
			t.Fatalf("%q: %v", twice, err)
		}
		if err := sameYAML(back, hooksPath, before); err != nil {
			t.Fatalf("%q became %q: %v", src, back, err)
		}
	})
}
