package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gpu-preflight/hook/record"
	"gpu-preflight/testdata/fixture"
)

// refused is a host, a policy and a bundle whose launch is refused: the GPU's node comes without /dev/nvidiactl.
type refused struct {
	root, config, log, bundle string
}

func newRefused(t *testing.T) refused {
	t.Helper()
	files, links := fixture.HealthyHost(1)
	dir := t.TempDir()
	r := refused{
		root: fixture.Tree(t, files, links), config: filepath.Join(dir, "config.toml"), log: filepath.Join(dir, "launches.jsonl"),
		bundle: dir,
	}
	r.write(t, r.config, fmt.Sprintf("timeout = \"2s\"\n[log]\nfile = %q\njournald = false\n", r.log))
	r.write(t, filepath.Join(dir, "config.json"), `{"process":{"env":["CUDA_VERSION=12.2.0"]},"root":{"path":"rootfs"},
		"linux":{"devices":[{"path":"/dev/nvidia0","type":"c","major":195,"minor":0}]}}`)
	return r
}

func (refused) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// command is the hook on this host; its state comes on stdin.
func (r refused) command(t *testing.T, via ...string) *exec.Cmd {
	t.Helper()
	words := append(via, fixture.Build(t, "cmd/gpu-preflight-hook"), "--root="+r.root, "--config="+r.config)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Stdin = strings.NewReader(r.state("c1"))
	return cmd
}

func (r refused) state(id string) string {
	return fmt.Sprintf(`{"ociVersion":"1.0.2","id":%q,"status":"creating","pid":1,"bundle":%q}`, id, r.bundle)
}

// records reads the log; every line must be whole.
func (r refused) records(t *testing.T) []record.Record {
	t.Helper()
	data, err := os.ReadFile(r.log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var list []record.Record
	for line := range strings.Lines(string(data)) {
		var one record.Record
		if err := json.Unmarshal([]byte(line), &one); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("record %q: %v", line, err)
		}
		list = append(list, one)
	}
	return list
}

// TestBrokenStderr: that nobody reads the reason changes no verdict; by os.Stderr the hook would end by SIGPIPE.
func TestBrokenStderr(t *testing.T) {
	r := newRefused(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	defer write.Close()
	cmd := r.command(t)
	cmd.Stderr = write
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v", err)
	}
	if n := len(r.records(t)); n != 1 {
		t.Errorf("%d records", n)
	}
}

// TestClosedDescriptors: a caller may leave any of the first three closed.
func TestClosedDescriptors(t *testing.T) {
	for closing, want := range map[string]int{"1>&-": 1, "2>&-": 1, "<&- ": 0, "<&- 1>&- 2>&-": 0} {
		r := newRefused(t)
		cmd := r.command(t, "/bin/sh", "-c", `exec "$0" "$@" `+closing)
		err := cmd.Run()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
			t.Errorf("%s: %v, want exit code %d", closing, err, want)
		}
	}
}

// TestSignals: a signal ends the judgement, not the program: by a signal's end a runtime would refuse.
func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT} {
		r := newRefused(t)
		fixture.NVML(t, filepath.Join(r.root, "usr/lib/x86_64-linux-gnu"), "hang=init\n")
		r.write(t, r.config, fmt.Sprintf("timeout = \"20s\"\nnvml_timeout = \"20s\"\n[log]\nfile = %q\njournald = false\n", r.log))
		cmd := r.command(t)
		cmd.Path = filepath.Join(installed(t), "gpu-preflight-hook")
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		untilChild(t, cmd.Process.Pid)
		_ = cmd.Process.Signal(sig) // nearly every launch is over before signals are listened to: ignored
		untilListening(t, cmd.Process.Pid, sig)
		_ = cmd.Process.Signal(sig)
		err := cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 0 && code != 1 {
			t.Errorf("%s: %v", sig, err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%s: ended after %s", sig, took)
		}
		if list := r.records(t); len(list) != 1 || !strings.Contains(list[0].Problem, "ended by a signal") {
			t.Errorf("%s: %+v", sig, list)
		}
	}
}

// untilListening waits until a process catches a signal (SigCgt of /proc/PID/status).
func untilListening(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	for range 1000 {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(data), "SigCgt:\t")
		word, _, _ := strings.Cut(rest, "\n")
		if mask, err := strconv.ParseUint(word, 16, 64); err == nil && mask>>(uint(sig)-1)&1 == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("process %d never listens to %s", pid, sig)
}

// untilChild waits until a process has a child that asks NVML.
func untilChild(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, task := range tasks {
			children, _ := os.ReadFile(task)
			for child := range strings.FieldsSeq(string(children)) {
				if comm, _ := os.ReadFile("/proc/" + child + "/comm"); strings.HasPrefix(string(comm), "gpu-preflight-n") {
					return
				}
			}
		}
	}
	t.Fatal("NVML was not asked within 10 s")
}

// TestFewDescriptors: with any limit of descriptors the hook ends in 0 or 1; the Go runtime of itself exits with 2
// when it finds none to wait for a child with.
func TestFewDescriptors(t *testing.T) {
	judged := 0
	for limit := 3; limit < 40; limit++ {
		r := newRefused(t)
		out, err := r.command(t, "/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit)).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 1 || !strings.HasPrefix(string(out), "gpu-preflight refused")) { //nolint:errorlint // Run returns it bare
			t.Errorf("limit %d: %v: %s", limit, err, out)
		} else if ok {
			judged++
		}
	}
	if judged == 0 {
		t.Error("it was never judged")
	}
}

// TestManyAtOnce: none is lost, none is wrong, and every record is whole.
func TestManyAtOnce(t *testing.T) {
	const launches = 200
	r := newRefused(t)
	// However slow the machine: what is not known in time would let a launch start.
	r.write(t, r.config, fmt.Sprintf("timeout = \"2m\"\nnvml_timeout = \"2m\"\n[log]\nfile = %q\njournald = false\n", r.log))
	var all sync.WaitGroup
	for i := range launches {
		cmd := r.command(t)
		cmd.Stdin = strings.NewReader(r.state(fmt.Sprintf("c%d", i)))
		all.Go(func() {
			out, _ := cmd.CombinedOutput()
			if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(out), "gpu-preflight refused") {
				t.Errorf("launch %d: %v: %s", i, cmd.ProcessState, out)
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	for _, one := range r.records(t) {
		if seen[one.Container.ID] || one.Verdict != "refuse" {
			t.Errorf("%s: %s, seen before: %t", one.Container.ID, one.Verdict, seen[one.Container.ID])
		}
		seen[one.Container.ID] = true
	}
	if len(seen) != launches {
		t.Errorf("%d records of %d launches", len(seen), launches)
	}
}
