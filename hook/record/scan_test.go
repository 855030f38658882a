package record_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks"
	"gpu-preflight/hook/record"
)

func add(t *testing.T, path string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := record.Append(path, launch(id)); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// TestScanBrokenLines: each is reported with its place, and the records around it are all there.
func TestScanBrokenLines(t *testing.T) {
	const good = `{"schema":"gpu-preflight.record/v1","time":"2026-11-23T12:00:00Z","verdict":"allow","program":"hook","container":{"id":"G"},"duration_ms":1}`
	rows := []struct {
		name, text, want string // want: G for a record, the words of the report for a broken line
	}{
		{"empty file", "", ""},
		{"one", good + "\n", "G"},
		{"no newline at the end", good, "G"},
		{"blank lines", "\n\n" + good + "\r\n\n", "G"},
		{"half a line", good + "\n" + good[:30] + "\n" + good + "\n", "G; 2: unexpected end of JSON input; G"},
		{"zeros of a crash", "\x00\x00\x00" + good + "\n" + strings.Repeat("\x00", 5000), "G"},
		{"two on one line", good + good + "\n" + good, "1: invalid character '{' after top-level value; G"},
		{"another schema", `{"schema":"gpu-preflight.record/v9"}` + "\n" + good, `1: schema "gpu-preflight.record/v9" is not gpu-preflight.record/v1; G`},
		{"other JSON", "{}\n[]\nnull\n7\n", `1: schema "" is not; 2: cannot unmarshal array; 3: schema "" is not; 4: cannot unmarshal number`},
		{"wrong type", `{"schema":"gpu-preflight.record/v1","time":7}` + "\n" + good, "1: ; G"},
		{"huge line", strings.Repeat("x", 3<<20) + "\n" + good + "\n" + strings.Repeat("y", 3<<20), "1: longer than 1048576 bytes; G; 3: longer than"},
		{"deep", strings.Repeat("[", 100000) + "\n" + good, "1: exceeded max depth; G"},
		{"binary", "\xff\xfe\x1b[2J\n" + good, "1: invalid character; G"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "launches.jsonl")
			write(t, path, row.text)
			var want []string
			if row.want != "" {
				want = strings.Split(row.want, "; ")
			}
			got := 0
			for r, err := range record.Scan(path, false) {
				text := r.Container.ID
				var line *record.LineError
				if err != nil {
					if !errors.As(err, &line) || errors.Unwrap(err) == nil {
						t.Fatalf("%v is no LineError", err)
					}
					text = strings.TrimPrefix(err.Error(), path+":")
				}
				place, words, _ := strings.Cut(want[min(got, len(want)-1)], ": ")
				if got >= len(want) || !strings.HasPrefix(text, place) || !strings.Contains(text, words) {
					t.Errorf("entry %d is %q, want %q", got, text, want)
				}
				got++
			}
			if got != len(want) {
				t.Errorf("%d entries, want %d", got, len(want))
			}
		})
	}
}

func TestScanRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "launches.jsonl")
	want := func(when string, rotated bool, want ...string) {
		t.Helper()
		var got []string
		for r, err := range record.Scan(path, rotated) {
			if err != nil {
				t.Errorf("%s: %v", when, err)
			}
			got = append(got, r.Container.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: read %q, want %q", when, got, want)
		}
	}
	for _, err := range record.Scan(path, true) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no file: %v", err)
		}
	}
	add(t, path, "a", "b")
	want("not rotated yet", true, "a", "b")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	want("just rotated", true, "a", "b")
	add(t, path, "c")
	want("rotated", true, "a", "b", "c")
	want("the current one alone", false, "c")
	for r, err := range record.Scan(path, true) { // a reader that has enough
		if err != nil || r.Container.ID != "a" {
			t.Errorf("read on to %s, %v", r.Container.ID, err)
		}
		break
	}
}

func TestScanWhereItCannot(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, "/dev/zero"} {
		entries := 0
		for _, err := range record.Scan(path, false) {
			entries++
			var line *record.LineError
			if err == nil || errors.As(err, &line) {
				t.Fatalf("%s: %v", path, err)
			}
		}
		if entries != 1 {
			t.Errorf("%s: %d entries, want one error", path, entries)
		}
	}
}

func TestFilter(t *testing.T) {
	at := launch("0123abcd").Time
	r := launch("0123abcd")
	refused, would := r, r
	refused.Verdict = "refuse"
	would.Verdict, would.WouldRefuse = "warn", true
	rows := []struct {
		filter record.Filter
		record record.Record
		want   bool
	}{
		{record.Filter{}, r, true},
		{record.Filter{}, record.Record{}, true},
		{record.Filter{Refused: true}, r, false},
		{record.Filter{Refused: true}, refused, true},
		{record.Filter{Refused: true}, would, true},
		{record.Filter{Since: at}, r, true},
		{record.Filter{Since: at.Add(time.Nanosecond)}, r, false},
		{record.Filter{Container: "0123"}, r, true},
		{record.Filter{Container: "123"}, r, false},
		{record.Filter{Container: "web"}, r, true},
		{record.Filter{Container: "we"}, r, false},
		{record.Filter{Container: "web", Refused: true}, r, false},
	}
	for _, row := range rows {
		if got := row.filter.Match(row.record); got != row.want {
			t.Errorf("%+v matches %+v: %v, want %v", row.filter, row.record, got, row.want)
		}
	}
}

// TestFollow plays the life of a log file by a fake clock.
func TestFollow(t *testing.T) {
	rename := func(from, to string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			if err := os.Rename(path+from, path+to); err != nil {
				t.Fatal(err)
			}
		}
	}
	text := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) { t.Helper(); write(t, path, text) }
	}
	records := func(ids ...string) func(*testing.T, string) {
		return func(t *testing.T, path string) { t.Helper(); add(t, path, ids...) }
	}
	truncate := func(t *testing.T, path string) {
		t.Helper()
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	const half, rest = `{"schema":"gpu-preflight.record/v1","container":{"id":"h`, `alf"}}` + "\n"
	look := func(*testing.T, string) {}
	rows := []struct {
		name  string
		from  int64
		steps []func(*testing.T, string) // nil: let the follower look
		want  string
	}{
		{"all", 0, []func(*testing.T, string){records("a"), nil, records("b", "c"), nil}, "a b c"},
		{"new ones alone", -1, []func(*testing.T, string){records("a"), nil, records("b")}, "b"},
		{"the file comes later", -1, []func(*testing.T, string){nil, records("a")}, "a"},
		{"a line in two pieces", 0, []func(*testing.T, string){text(half), nil, nil, text(rest)}, "half"},
		{"broken line", 0, []func(*testing.T, string){text("{\n"), records("a")}, "broken a"},
		{"rotation", 0, []func(*testing.T, string){records("a"), nil, records("b"), rename("", ".1"), records("c"), nil, records("d")}, "a b c d"},
		{"rotation, the new file later", 0, []func(*testing.T, string){records("a"), nil, records("b"), rename("", ".1"), nil, nil, records("c")}, "a b c"},
		{"rotation, the old file is written once more", 0, []func(*testing.T, string){
			records("a"), nil, rename("", ".1"), nil, func(t *testing.T, path string) { t.Helper(); add(t, path+".1", "b") }, nil, records("c"),
		}, "a b c"},
		{"rotation twice between two looks", 0, []func(*testing.T, string){
			records("a"), nil, rename("", ".1"), records("b"), rename(".1", ".2"), rename("", ".1"), records("c"),
		}, "a c"},
		{"rotation inside a line", 0, []func(*testing.T, string){text(half), nil, rename("", ".1"), records("b")}, "broken b"},
		{"truncation", 0, []func(*testing.T, string){records("a", "b", "c"), nil, truncate, nil, records("d")}, "a b c d"},
		{"truncation and a record between two looks", 0, []func(*testing.T, string){records("a", "b", "c"), nil, truncate, records("d")}, "a b c d"},
		{"truncation inside a line", 0, []func(*testing.T, string){text(half + half + half + half + half + half), nil, truncate, records("d")}, "d"},
		{"nothing", 0, []func(*testing.T, string){look}, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "launches.jsonl")
			if row.from < 0 && row.steps[0] != nil {
				row.steps[0](t, path)
				row.steps = row.steps[1:]
			}
			var got []string
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					for r, err := range record.Follow(ctx, path, row.from) {
						if err != nil {
							r.Container.ID = "broken"
						}
						got = append(got, r.Container.ID)
					}
				}()
				synctest.Wait()
				for _, step := range append(row.steps, nil) {
					if step != nil {
						step(t, path)
						continue
					}
					time.Sleep(250 * time.Millisecond) // the bubble's clock
					synctest.Wait()
				}
				cancel()
				<-done
			})
			if strings.Join(got, " ") != row.want {
				t.Errorf("followed %q, want %q", got, row.want)
			}
		})
	}
}

func TestFollowEndsOnWhatIsNoLog(t *testing.T) {
	entries := 0
	for _, err := range record.Follow(t.Context(), t.TempDir(), 0) {
		entries++
		if err == nil {
			t.Error("a folder was followed")
		}
	}
	if entries != 1 {
		t.Errorf("%d entries, want one error", entries)
	}
}

func TestSummarize(t *testing.T) {
	var records []record.Record
	for i := range 100 {
		r := launch("a")
		r.Time = r.Time.Add(-time.Duration(i) * time.Minute)
		r.Duration = float64(100 - i)
		switch {
		case i < 3:
			r.Verdict, r.Container.Image = "refuse", "old"
			r.Results = []checks.Result{{ID: "driver-loaded", Status: checks.StatusFail}, {ID: "fabric-state", Status: checks.StatusUnknown}}
		case i < 5:
			r.Verdict, r.WouldRefuse = "warn", true
			r.Results = []checks.Result{{ID: "cuda-requirement", Status: checks.StatusFail}, {ID: "fabric-state", Status: checks.StatusWarn}}
		case i == 5:
			r.Problem = "panic"
		}
		records = append(records, r)
	}
	got := record.Summarize(slices.Values(records))
	want := record.Stats{
		Schema: record.StatsSchema, Launches: 100, First: records[99].Time, Last: records[0].Time,
		Verdicts: map[string]int{"allow": 95, "refuse": 3, "warn": 2}, WouldRefuse: 2, Problems: 1,
		Checks: []record.CheckCount{
			{ID: "driver-loaded", Fail: 3}, {ID: "cuda-requirement", Fail: 2}, {ID: "fabric-state", Warn: 2, Unknown: 3},
		},
		Images: []record.ImageCount{{Image: "pytorch/pytorch:2.9", Launches: 97, Refused: 2}, {Image: "old", Launches: 3, Refused: 3}},
		Median: 50, P99: 99,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Summarize gives %+v\nwant %+v", got, want)
	}
	if none := record.Summarize(slices.Values([]record.Record(nil))); none.Launches != 0 || none.Median != 0 || none.Verdicts == nil {
		t.Errorf("no records give %+v", none)
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("{}\n\x00\n{\"schema\":\"gpu-preflight.record/v1\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "launches.jsonl")
		write(t, path, string(data)+"\n")
		add(t, path, "last")
		last := ""
		for r, err := range record.Scan(path, false) {
			if err == nil {
				last = r.Container.ID
			}
		}
		if last != "last" {
			t.Errorf("the record after %.200q was not read", data)
		}
	})
}
