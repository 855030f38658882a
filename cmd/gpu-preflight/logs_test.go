package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks"
	"gpu-preflight/hook/record"
)

// logsOf runs gpu-preflight logs with a policy that names the log.
func logsOf(t *testing.T, log string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(config, []byte("[log]\nfile = '"+log+"'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"gpu-preflight", "--config", config, "logs"}, args...), nil, &out, &errs)
	return out.String(), errs.String(), code
}

// recorded writes a log of four launches: allowed, refused, would be refused (judged by shim and hook), and old.
func recorded(t *testing.T) string {
	t.Helper()
	log := filepath.Join(t.TempDir(), "launches.jsonl")
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	found := []checks.Result{
		{ID: "nvml-responds", Status: checks.StatusUnknown, What: "not asked"},
		{ID: "cuda-requirement", Status: checks.StatusFail, What: "it needs CUDA 13.0"},
	}
	would := record.Record{
		Time: at.Add(2 * time.Second), Verdict: "warn", WouldRefuse: true, Program: "runtime", Duration: 8, Results: found,
		Container: record.Container{ID: strings.Repeat("c", 64), Name: "train", Namespace: "ml", Image: "torch:2"},
	}
	again := would
	again.Program, again.Time = "hook", would.Time.Add(time.Second)
	for _, r := range []record.Record{
		{Time: at.AddDate(-1, 0, 0), Verdict: "allow", Program: "hook", Container: record.Container{ID: "old"}, Duration: 2},
		{Time: at, Verdict: "allow", Program: "hook", Container: record.Container{ID: "aaaa", Image: "cuda:12"}, Duration: 4},
		{
			Time: at.Add(time.Second), Verdict: "refuse", Program: "hook", Container: record.Container{ID: "bbbb", Image: "torch:2"},
			Duration: 6, Results: found, Message: "gpu-preflight refused this container: it needs CUDA 13.0",
		},
		would, again,
	} {
		if err := record.Append(log, r); err != nil {
			t.Fatal(err)
		}
	}
	return log
}

const (
	oldLine     = "2025-11-23T12:00:00Z  allow         old  -  []\n"
	allowedLine = "2026-11-23T12:00:00Z  allow         aaaa  cuda:12  []\n"
	refusedLine = "2026-11-23T12:00:01Z  refuse        bbbb  torch:2  [nvml-responds cuda-requirement]  gpu-preflight refused this container: it needs CUDA 13.0\n"
	wouldLine   = "2026-11-23T12:00:02Z  would refuse  ml/train (cccccccccccc)  torch:2  [nvml-responds cuda-requirement]  it needs CUDA 13.0\n"
)

func TestLogs(t *testing.T) {
	log := recorded(t)
	rows := []struct{ args, want string }{
		{"", oldLine + allowedLine + refusedLine + wouldLine},
		{"--refused", refusedLine + wouldLine},
		{"--container bb", refusedLine},
		{"--container train", wouldLine},
		{"--container nobody", ""},
		{"--since 2026-01-01T00:00:00Z", allowedLine + refusedLine + wouldLine},
		{"--since 2026-11-23T12:00:01Z --container torch", ""},
		{"--since 0s", ""},
		{"--no-color --format text --refused --since 2026-11-23T12:00:02Z", wouldLine},
	}
	for _, row := range rows {
		out, errs, code := logsOf(t, log, strings.Fields(row.args)...)
		if out != row.want || errs != "" || code != exitOK {
			t.Errorf("logs %s: exit %d, %q\n%s\nwant\n%s", row.args, code, errs, out, row.want)
		}
	}
}

func TestLogsJSON(t *testing.T) {
	log := recorded(t)
	want, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--json"}, {"--format", "json"}, {"--json", "--file", log}} {
		out, errs, code := logsOf(t, log, args...)
		if out != string(want) || errs != "" || code != exitOK {
			t.Errorf("logs %q: exit %d, %q\n%s\nwant the file:\n%s", args, code, errs, out, want)
		}
	}
}

func TestLogsStats(t *testing.T) {
	const want = `launches      4  from 2025-11-23T12:00:00Z to 2026-11-23T12:00:02Z
allow         2
warn          1
refuse        1
exempt        0
would refuse  1
our errors    0
judgement     4.0 ms  median
              8.0 ms  99th percentile

check             fail  warn  unknown
cuda-requirement  2     0     0
nvml-responds     0     0     2

image    launches  refused
torch:2  2         2
-        1         0
cuda:12  1         0
`
	log := recorded(t)
	if out, errs, code := logsOf(t, log, "--stats"); out != want || errs != "" || code != exitOK {
		t.Errorf("logs --stats: exit %d, %q\n%s\nwant\n%s", code, errs, out, want)
	}
	if out, _, code := logsOf(t, log, "--stats", "--json", "--refused"); !strings.Contains(out, `"launches": 2,`) || code != exitOK {
		t.Errorf("logs --stats --json --refused: exit %d\n%s", code, out)
	}
	if out, _, code := logsOf(t, log, "--stats", "--container", "nobody"); out != "no launches\n" || code != exitOK {
		t.Errorf("logs --stats of nobody: exit %d, %q", code, out)
	}
}

// TestLogsHostile: a container's name and a broken line command no terminal and forge no line.
func TestLogsHostile(t *testing.T) {
	log := filepath.Join(t.TempDir(), "launches.jsonl")
	evil := "x\n2026-11-23T12:00:00Z  allow  all is well\x1b[2J\u009b31m\u202e\x7f"
	r := record.Record{
		Verdict: evil, Program: evil, Problem: evil, Message: evil, Results: []checks.Result{{ID: evil, What: evil}},
		Container: record.Container{ID: evil, Name: evil, Image: evil, Namespace: evil},
	}
	if err := os.WriteFile(log, []byte("\x1b[2J broken\n{\"schema\":\"\x1b]0;t\\u0007\\u001b[2J\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := record.Append(log, r); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"--json"}, {"--stats"}, {"--stats", "--json"}} {
		out, errs, code := logsOf(t, log, args...)
		if code != exitOK || strings.Count(errs, "\n") != 2 || !strings.Contains(errs, log+":1: ") || !strings.Contains(errs, log+":2: ") {
			t.Errorf("logs %q: exit %d, %q", args, code, errs)
		}
		for _, c := range out + errs {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Errorf("logs %q shows %U: %q", args, c, out+errs)
				break
			}
		}
	}
	if out, _, _ := logsOf(t, log); strings.Count(out, "\n") != 1 {
		t.Errorf("one record became %q", out)
	}
}

func TestLogsWithoutLog(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	rotated := filepath.Join(dir, "rotated")
	if err := os.Rename(recorded(t), rotated+".1"); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		log, args string
		code      int
		out, errs string // what stands in the output
	}{
		{filepath.Join(dir, "none"), "", exitOK, "", "no launch is recorded yet in " + dir},
		{rotated, "--refused", exitOK, refusedLine, ""},
		{filepath.Join(dir, "none"), "--file " + dir + "/none", exitUsage, "", dir + "/none"},
		{fifo, "", exitUsage, "", "is no regular file"},
		{dir, "", exitUsage, "", "is no regular file"},
		{fifo, "--follow", exitUsage, "", "is no regular file"},
		{rotated, "--since yesterday", exitUsage, "", "neither a time span"},
		{rotated, "--since -1h", exitUsage, "", "neither a time span"},
		{rotated, "--follow --stats", exitUsage, "", "does not end"},
		{rotated, "--format xml", exitUsage, "", "xml"},
		{rotated, "more", exitUsage, "", "more"},
	}
	t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "none"))
	for _, row := range rows {
		out, errs, code := logsOf(t, row.log, strings.Fields(row.args)...)
		if code != row.code || !strings.Contains(out, row.out) || !strings.Contains(errs, row.errs) || (row.out == "") != (out == "") {
			t.Errorf("log %s, logs %s: exit %d, %q, %q, want %d, %q, %q", row.log, row.args, code, out, errs, row.code, row.out, row.errs)
		}
	}
}

// TestLogsFollow: launches show as they are recorded, across a rotation, until the user interrupts.
func TestLogsFollow(t *testing.T) {
	log := recorded(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"gpu-preflight", "logs", "--file", log, "--follow", "--refused"}, nil, in, io.Discard)
		_ = in.Close()
	}()
	read := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(out, got); err != nil || string(got) != want {
			t.Fatalf("followed %q, %v, want %q", got, err, want)
		}
	}
	read(refusedLine + wouldLine)
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	if err := record.Append(log, record.Record{Verdict: "refuse", Container: record.Container{ID: "new"}}); err != nil {
		t.Fatal(err)
	}
	read("0001-01-01T00:00:00Z  refuse        new  -  []\n")
	interrupt()
	if rest, err := io.ReadAll(out); err != nil || len(rest) != 0 {
		t.Errorf("after the interrupt: %q, %v", rest, err)
	}
	if got := <-code; got != exitOK {
		t.Errorf("exit %d", got)
	}
}
