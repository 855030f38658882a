package explain_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gpu-preflight/checks/explain"
	"gpu-preflight/testdata/fixture"
)

type expectation struct{ text, keys, follows string }

// expectations are the rows of testdata/explain.tsv.
func expectations(t testing.TB) []expectation {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fixture.Root(), "testdata", "explain.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var list []expectation
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 3 {
			t.Fatalf("testdata/explain.tsv: %d fields in %q", len(fields), line)
		}
		list = append(list, expectation{fields[0], fields[1], fields[2]})
	}
	return list
}

func keysOf(a explain.Answer) string {
	var keys []string
	for _, e := range a.Entries {
		keys = append(keys, e.Key)
	}
	if keys == nil {
		return "-"
	}
	return strings.Join(append(keys, a.More...), " ")
}

// TestSaid: the texts that stand in the table itself.
func TestSaid(t *testing.T) {
	said := 0
	for _, want := range expectations(t) {
		text, ok := strings.CutPrefix(want.text, "say: ")
		if !ok {
			continue
		}
		said++
		if got := keysOf(explain.Text(strings.ReplaceAll(text, "⏎", "\n"))); got != want.keys {
			t.Errorf("%s\n is explained as %s, want %s (%s)", text, got, want.keys, want.follows)
		}
	}
	if said < 40 {
		t.Errorf("only %d texts were found", said)
	}
}

func messagesOf(t *testing.T, corpus, host string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpus, "hosts", host+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Messages []string }
	if err := json.Unmarshal(data, &h); err != nil {
		t.Fatalf("%s: %v", host, err)
	}
	return h.Messages
}

// TestCorpus: every message of every reported host, and every text of an engine, is explained as the table says.
func TestCorpus(t *testing.T) {
	corpus := fixture.Corpus(t)
	seen := map[string]bool{}
	for _, want := range expectations(t) {
		var text string
		switch kind, name, _ := strings.Cut(want.text, "/"); kind {
		case "errors":
			data, err := os.ReadFile(filepath.Join(corpus, "bundles", "errors", name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			text = string(data)
		case "hosts":
			host, which, _ := strings.Cut(name, "#")
			messages := messagesOf(t, corpus, host)
			text = strings.Join(messages, "\n")
			if n, err := strconv.Atoi(which); err == nil {
				text = messages[n]
			}
		default:
			continue
		}
		seen[want.text] = true
		a := explain.Text(text)
		if got := keysOf(a); got != want.keys {
			t.Errorf("%s is explained as %s, want %s (%s):\n%s", want.text, got, want.keys, want.follows, text)
		}
		if strings.Contains(want.follows, "does not tell") || strings.Contains(want.follows, "stayed open") || strings.Contains(want.follows, "proves the cause") {
			for _, e := range a.Entries {
				if e.Unproven == "" {
					t.Errorf("%s: %s does not say what is not proven", want.text, e.Key)
				}
			}
		}
	}
	wantEvery(t, corpus, seen)
}

// wantEvery: no message and no text of the corpus is left out of the table.
func wantEvery(t *testing.T, corpus string, seen map[string]bool) {
	t.Helper()
	hosts, err := filepath.Glob(filepath.Join(corpus, "hosts", "*.json"))
	if err != nil || len(hosts) < 100 {
		t.Fatalf("%d hosts, %v", len(hosts), err)
	}
	for _, file := range hosts {
		host := strings.TrimSuffix(filepath.Base(file), ".json")
		messages := messagesOf(t, corpus, host)
		for i := range messages {
			if ref := "hosts/" + host + "#" + strconv.Itoa(i); !seen[ref] {
				t.Errorf("%s is not in testdata/explain.tsv", ref)
			}
		}
		if ref := "hosts/" + host + "#all"; len(messages) > 1 && !seen[ref] {
			t.Errorf("%s is not in testdata/explain.tsv", ref)
		}
	}
	texts, err := filepath.Glob(filepath.Join(corpus, "bundles", "errors", "*.txt"))
	if err != nil || len(texts) < 47 {
		t.Fatalf("%d texts, %v", len(texts), err)
	}
	for _, file := range texts {
		if ref := "errors/" + strings.TrimSuffix(filepath.Base(file), ".txt"); !seen[ref] {
			t.Errorf("%s is not in testdata/explain.tsv", ref)
		}
	}
}
