package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks"
	"gpu-preflight/hook/record"
)

// children are what the test binary does when it is started again as another process.
var children = map[string]func() error{
	"append":  appendChild,
	"journal": journalChild,
}

func TestMain(m *testing.M) {
	child, ok := children[os.Getenv("RECORD_TEST_CHILD")]
	if !ok {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func launch(id string) record.Record {
	return record.Record{
		Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Verdict: "allow", Program: "hook",
		Container: record.Container{ID: id, Name: "web", Image: "pytorch/pytorch:2.9"},
	}
}

// read gives the records of a log and its broken lines; any other error ends the test.
func read(t *testing.T, path string) (records []record.Record, broken []error) {
	t.Helper()
	for r, err := range record.Scan(path, false) {
		if err != nil {
			broken = append(broken, err)
			continue
		}
		records = append(records, r)
	}
	return records, broken
}

func TestAppendMakesFolderAndFile(t *testing.T) {
	old := unix.Umask(0o077) // as some engines have it
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "log", "gpu-preflight", "launches.jsonl")
	for _, id := range []string{"a", "b"} {
		if err := record.Append(path, launch(id)); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v, want -rw-r--r--", info.Mode(), err)
	}
	records, broken := read(t, path)
	if len(records) != 2 || len(broken) != 0 || records[1].Container.ID != "b" || records[0].Schema != record.Schema {
		t.Errorf("read %+v, %v", records, broken)
	}
}

// TestAppendHostile: what an image's author writes stays inside its line and reaches no terminal.
func TestAppendHostile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "launches.jsonl")
	evil := "x\n{\"schema\":\"gpu-preflight.record/v1\",\"verdict\":\"allow\"}\x1b[2J\u009b31m\u202e\x00\xff\u2028"
	r := launch(evil)
	r.Container.Name, r.Container.Image, r.Requirement, r.Message, r.Ignored = evil, evil, evil, evil, []string{evil}
	r.Results = []checks.Result{{ID: "cuda-requirement", Status: checks.StatusFail, What: evil, Unmet: []string{evil}}}
	if err := record.Append(path, r); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(data, []byte("\n")) != 1 {
		t.Errorf("%d lines in %q", bytes.Count(data, []byte("\n")), data)
	}
	for _, c := range strings.TrimSuffix(string(data), "\n") {
		if !unicode.IsPrint(c) {
			t.Errorf("%U stands in the line as it is", c)
		}
	}
	records, _ := read(t, path)
	want := strings.ToValidUTF8(evil, "\ufffd")
	if len(records) != 1 || records[0].Container.Name != want || records[0].Results[0].Unmet[0] != want {
		t.Errorf("read %+v", records)
	}
}

func TestAppendBoundsTheLine(t *testing.T) {
	huge := strings.Repeat("\x01é", 1<<20)
	many := make([]string, 100000)
	for i := range many {
		many[i] = "cuda>=99"
	}
	result := checks.Result{ID: "cuda-requirement", Title: huge, Status: checks.StatusFail, What: "needs 13.0", Why: huge, Unmet: many, Fix: many}
	rows := map[string]struct {
		change func(*record.Record)
		whole  func(record.Record) bool // what must have been left alone
	}{
		"unmet terms": {
			func(r *record.Record) { r.Results = []checks.Result{result} },
			func(r record.Record) bool {
				return r.Results[0].What == "needs 13.0" && r.Container == launch("huge").Container && r.Message == "refused"
			},
		},
		"results": {
			func(r *record.Record) { r.Results = make([]checks.Result, 50000) },
			func(r record.Record) bool { return r.Message == "refused" },
		},
		"foreign names": {
			func(r *record.Record) {
				r.Container.Image, r.Container.Bundle, r.Container.Name, r.Requirement = huge, huge, huge, huge
			},
			func(r record.Record) bool { return r.Container.ID == "huge" && r.Message == "refused" },
		},
		"all": {
			func(r *record.Record) {
				r.GPUs, r.Ignored, r.Problem, r.Driver, r.Container.ID, r.Message = many, many, huge, huge, huge, huge
				for range 100 {
					r.Results = append(r.Results, result)
				}
			},
			func(r record.Record) bool { return r.Results[0].Status == checks.StatusFail && r.Verdict == "refuse" },
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			r := launch("huge")
			r.Verdict, r.Message = "refuse", "refused"
			row.change(&r)
			if got := bounded(t, r); !row.whole(got) {
				t.Errorf("read %.300v", got)
			}
		})
	}
}

// bounded appends one record, measures its line and reads it again.
func bounded(t *testing.T, r record.Record) record.Record {
	t.Helper()
	path := filepath.Join(t.TempDir(), "launches.jsonl")
	if err := record.Append(path, r); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	records, broken := read(t, path)
	if info.Size() > 64<<10 || len(records) != 1 || len(broken) != 0 {
		t.Fatalf("%d bytes, %d records, %v", info.Size(), len(records), broken)
	}
	return records[0]
}

// TestAppendAfterCutLine: a crash or a full disk left half a record; the next one is whole.
func TestAppendAfterCutLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "launches.jsonl")
	if err := record.Append(path, launch("a")); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"schema":"gpu-preflight.record/v1","ver`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := record.Append(path, launch("b")); err != nil {
		t.Fatal(err)
	}
	records, broken := read(t, path)
	if len(records) != 2 || len(broken) != 1 || records[1].Container.ID != "b" {
		t.Fatalf("read %+v, %v", records, broken)
	}
	if !strings.HasPrefix(broken[0].Error(), path+":2: ") {
		t.Errorf("broken line reported as %q", broken[0])
	}
}

// TestAppendWhileOneWrites: a line that another launch is writing is not taken for one that a crash cut off; somebody
// who holds the log for good is not waited for, and costs no record.
func TestAppendWhileOneWrites(t *testing.T) {
	const begun = `{"half`
	for name, tt := range map[string]struct {
		how  int
		ends bool
		want string // what stands before our record
	}{
		"writes": {unix.LOCK_SH, true, begun + "\n"}, "holds it alone": {unix.LOCK_EX, false, begun + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "launches.jsonl")
			other, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if err = errors.Join(unix.Flock(int(other.Fd()), tt.how), writeText(other, begun)); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				time.Sleep(30 * time.Millisecond) // longer than a look or two
				if tt.ends {
					ended <- errors.Join(writeText(other, "\n"), unix.Flock(int(other.Fd()), unix.LOCK_UN))
					return
				}
				ended <- nil
			}()
			if err = errors.Join(record.Append(path, launch("a")), <-ended); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if rest, ok := strings.CutPrefix(string(data), tt.want); !ok || !json.Valid([]byte(rest)) || strings.Count(rest, "\n") != 1 {
				t.Errorf("%q", data)
			}
		})
	}
}

func writeText(f *os.File, text string) error {
	_, err := f.WriteString(text)
	return err
}

// TestAppendWhereItCannot: an error at once, never a wait.
func TestAppendWhereItCannot(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{
		"FIFO": fifo, "folder": dir, "no name": "", "below a file": filepath.Join(dir, "file", "launches.jsonl"),
		"link to itself": filepath.Join(dir, "loop"), "not to be made": "/proc/none/launches.jsonl", "device": "/dev/full",
	}
	for name, path := range rows {
		t.Run(name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() { done <- record.Append(path, launch("a")) }()
			select {
			case err := <-done:
				if err == nil || !strings.HasPrefix(err.Error(), "record") {
					t.Errorf("Append to %q: %v", path, err)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("Append to %q waits", path)
			}
		})
	}
}

func appendChild() error {
	name := os.Getenv("RECORD_TEST_NAME")
	r := launch(name)
	r.Message = strings.Repeat(name+" ", 1000) // over a page, so that a torn write would show
	return record.Append(os.Getenv("RECORD_TEST_PATH"), r)
}

// TestAppendTogether: 200 processes at once, none lost, every record whole.
func TestAppendTogether(t *testing.T) {
	const processes = 200
	path := filepath.Join(t.TempDir(), "new", "launches.jsonl")
	var running []*exec.Cmd
	for i := range processes {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "RECORD_TEST_CHILD=append", "RECORD_TEST_PATH="+path, "RECORD_TEST_NAME="+strconv.Itoa(i))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for i, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
	records, broken := read(t, path)
	if len(broken) != 0 {
		t.Errorf("broken lines: %v", broken)
	}
	seen := map[string]int{}
	for _, r := range records {
		if r.Message != strings.Repeat(r.Container.ID+" ", 1000) {
			t.Errorf("record %s is mixed up", r.Container.ID)
		}
		seen[r.Container.ID]++
	}
	for i := range processes {
		if seen[strconv.Itoa(i)] != 1 {
			t.Errorf("record %d is there %d times", i, seen[strconv.Itoa(i)])
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("id", "needs \x1b", 3)
	f.Add(strings.Repeat("\x00", 70000), "\xff", 4000)
	f.Fuzz(func(t *testing.T, name, what string, n int) {
		r := launch(name)
		r.Container.Bundle = what
		for range min(max(n, 0), 4000) {
			r.Results = append(r.Results, checks.Result{ID: name, What: what, Unmet: []string{name, what}})
		}
		path := filepath.Join(t.TempDir(), "launches.jsonl")
		if err := record.Append(path, r); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 64<<10 || bytes.Count(data, []byte("\n")) != 1 || !json.Valid(data) {
			t.Errorf("%d bytes, %d lines, valid %v", len(data), bytes.Count(data, []byte("\n")), json.Valid(data))
		}
	})
}
