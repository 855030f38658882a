package host

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func writeFacts(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "facts.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReadFactsReturnsWhatWasWritten: facts that are printed, kept and read again are the same facts.
func TestReadFactsReturnsWhatWasWritten(t *testing.T) {
	want, err := Assume("driver=535.183.06,arch=8.9,brand=GeForce,gpus=2")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadFacts(writeFacts(t, string(text)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(got[0].Facts, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].After != 0 || string(again) != string(text) {
		t.Errorf("got %s", again)
	}
}

func TestReadFactsTimeline(t *testing.T) {
	got, err := ReadFacts(writeFacts(t, `[{"facts":{}},{"after":"3s","facts":{"uptime_s":{"value":5}}}]`))
	if err != nil {
		t.Fatal(err)
	}
	times := []time.Duration{got[0].After, got[1].After}
	if !reflect.DeepEqual(times, []time.Duration{0, 3 * time.Second}) || got[1].Facts.Uptime.Value != 5 {
		t.Errorf("got %+v", got)
	}
}

// TestReadFactsErrors: each names the file, and the line and column where the text is to blame.
func TestReadFactsErrors(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"nothing", " \n", "it is empty"},
		{"no JSON", "{\n \"schema\": nope}", ":2:13: invalid character 'o'"},
		{"cut off", `{"nvml":{`, ":1:9: unexpected end"},
		{"text behind it", "{}\n{}", ":2:1: invalid character '{'"},
		{"another shape", "{\n\"nvml\":\n  7}", ":3:3: "},
		{"a fact of another type", "{\"nvml\":{\n  \"init\": {\"value\": \"zero\"}}}", ":2:11: fact: "},
		{"a fact that is none", "{\n\"kernel\": \"6.1\"}", ":2:11: fact: "},
		{"another schema", `{"schema":"gpu-preflight.facts/v2"}`, `schema "gpu-preflight.facts/v2"`},
		{"another file of ours", `{"schema":"gpu-preflight.record/v1"}`, `schema "gpu-preflight.record/v1"`},
		{"no entries", "[]", "the array has no entry"},
		{"an entry without facts", `[{"after":"3s"}]`, `entry 1: no "facts"`},
		{"a bad time", `[{"after":"soon","facts":{}}]`, `entry 1: after "soon"`},
		{"times that fall", `[{"after":"3s","facts":{}},{"after":"1s","facts":{}}]`, "entry 2: after 1s comes behind 3s"},
		{"another schema later", `[{"facts":{}},{"facts":{"schema":"x"}}]`, `entry 2: schema "x"`},
	} {
		path := writeFacts(t, row.text)
		_, err := ReadFacts(path)
		if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
}

// TestReadFactsOpensRegularFiles: a FIFO without a writer must not hold the program.
func TestReadFactsOpensRegularFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxFactsFile+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		fifo: "not a regular file", dir: "not a regular file", large: "more than 16777216 bytes", dir + "/absent": "facts " + dir + "/absent: ",
	} {
		if _, err := ReadFacts(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// FuzzParseFacts: what can be read of a facts file can be written and read again, and is the same.
func FuzzParseFacts(f *testing.F) {
	f.Add([]byte(`{"nvml":{"cuda":{"value":"12.2","source":"x"},"gpus":[{"bus":"x","brand":{"unknown":"y"}}]}}`))
	f.Add([]byte(`[{"after":"1s","facts":{}},{"after":"2s","facts":{"gpus":[0]}}]`))
	f.Add([]byte(`{"schema":"gpu-preflight.facts/v2"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseFacts(data)
		if err != nil {
			place(data, err)
			return
		}
		for _, e := range entries {
			once, err := json.Marshal(e.Facts)
			if err != nil {
				t.Fatal(err)
			}
			again, err := parseFacts(once)
			if err != nil || len(again) != 1 {
				t.Fatalf("%s: %v", once, err)
			}
			if twice, err := json.Marshal(again[0].Facts); err != nil || string(twice) != string(once) {
				t.Errorf("%s\n%s\n%v", once, twice, err)
			}
		}
	})
}
