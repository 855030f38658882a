package record_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks"
	"gpu-preflight/hook/record"
)

// TestJournal speaks to a journald socket in a mount namespace of its own, in another process.
func TestJournal(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "RECORD_TEST_CHILD=journal", "RECORD_TEST_PATH="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func journalChild() error {
	// Nothing of this reaches the machine: the mount namespace is this process's own.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	none := func(string) string { return "" }
	if err := record.Journal(context.Background(), launch("a"), ""); !errors.Is(err, record.ErrNoJournal) {
		return fmt.Errorf("without journald: %w", err)
	}
	if err := os.MkdirAll("/run/systemd/journal", 0o700); err != nil {
		return err
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/run/systemd/journal/socket", Net: "unixgram"})
	if err != nil {
		return err
	}
	defer socket.Close()
	if place := record.Place("/proc/none/launches.jsonl", false, none); !place.Journal || place.File != "" {
		return fmt.Errorf("rootless place %+v, want the journal", place)
	}
	if record.Root() {
		return errors.New("root of a user namespace was taken for root of the machine")
	}
	if err := copied(socket); err != nil {
		return err
	}
	return stuck()
}

// copied: message, priority, fields and the whole record arrive; foreign text makes no fields of its own.
func copied(socket *net.UnixConn) error {
	r := launch(strings.Repeat("f", 64))
	r.Verdict, r.Container.Name = "refuse", "x\nMESSAGE=all is well\x1b[2J"
	r.Results = []checks.Result{{ID: "cuda-requirement", Status: checks.StatusFail, What: strings.Repeat("w", 20000)}}
	if err := record.Journal(context.Background(), r, "gpu-preflight refused this container"); err != nil {
		return err
	}
	buffer := make([]byte, 1<<20)
	n, err := socket.Read(buffer)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(buffer[:n]), "\n"), "\n")
	want := []string{
		"PRIORITY=3", "MESSAGE=gpu-preflight refused this container", "SYSLOG_IDENTIFIER=gpu-preflight", "GPU_PREFLIGHT_VERDICT=refuse",
		"GPU_PREFLIGHT_WOULD_REFUSE=false", "GPU_PREFLIGHT_CHECKS=cuda-requirement", "CONTAINER_ID=ffffffffffff",
		"CONTAINER_ID_FULL=" + r.Container.ID, `CONTAINER_NAME=x\nMESSAGE=all is well\x1b[2J`, "IMAGE_NAME=" + r.Container.Image,
	}
	found := map[string]bool{}
	for _, line := range lines {
		found[line] = true
	}
	for _, line := range want {
		if !found[line] {
			return fmt.Errorf("no line %q in %.3000q", line, lines)
		}
	}
	if len(lines) != len(want)+1 {
		return fmt.Errorf("%d lines, want %d and the record: %.3000q", len(lines), len(want), lines)
	}
	return nil
}

// stuck: nobody empties the socket, so that a send soon waits without end; Journal does not.
func stuck() error {
	began := time.Now()
	for range 10000 {
		if err := record.Journal(context.Background(), launch("a"), ""); err != nil {
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 20*time.Second {
				return fmt.Errorf("after %v: %w", took, err)
			}
			return nil
		}
	}
	return errors.New("the socket was never full")
}

func TestPlace(t *testing.T) {
	home := t.TempDir()
	env := func(values ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(values); i += 2 {
				if values[i] == name {
					return values[i+1]
				}
			}
			return ""
		}
	}
	const policy = "/proc/none/launches.jsonl" // nobody can write there
	own := filepath.Join(home, "own.jsonl")
	rows := []struct {
		name, policy string
		root         bool
		env          func(string) string
		want         string
	}{
		{"root", policy, true, env("HOME", home), policy},
		{"no file wanted", "", false, env("HOME", home), ""},
		{"rootless, file of one's own", own, false, env("HOME", "/x"), own},
		{"rootless, state", policy, false, env("XDG_STATE_HOME", "/s", "HOME", "/h"), "/s/gpu-preflight/launches.jsonl"},
		{"rootless, relative state", policy, false, env("XDG_STATE_HOME", "s", "HOME", "/h"), "/h/.local/state/gpu-preflight/launches.jsonl"},
		{"rootless, home", policy, false, env("HOME", "/h"), "/h/.local/state/gpu-preflight/launches.jsonl"},
		{"rootless, a hook's empty environment", policy, false, env(), ""},
	}
	_, err := os.Stat("/run/systemd/journal/socket")
	for _, row := range rows {
		want := record.Target{File: row.want}
		if err == nil && row.want != row.policy {
			want = record.Target{Journal: true}
		}
		if got := record.Place(row.policy, row.root, row.env); got != want {
			t.Errorf("%s: %+v, want %+v", row.name, got, want)
		}
	}
}

func TestKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "launches.jsonl")
	if err := record.Keep(t.Context(), path, true, launch("a")); err != nil {
		t.Fatal(err)
	}
	if records, broken := read(t, path); len(records) != 1 || len(broken) != 0 {
		t.Errorf("read %+v, %v", records, broken)
	}
	if err := record.Keep(t.Context(), "", false, launch("a")); err != nil {
		t.Errorf("no file wanted: %v", err)
	}
	if err := record.Keep(t.Context(), filepath.Join(path, "below"), false, launch("a")); err == nil && record.Root() {
		t.Error("below a file: no error")
	}
}
