package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const testChildName = "gpu-preflight-test-child"

func TestMain(m *testing.M) {
	if code, handled := ChildMain(os.Args); handled {
		os.Exit(code)
	}
	if os.Args[0] == testChildName {
		testChild(os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

// testChild is the child under test: it says what its arguments are and does what the first one says.
func testChild(args []string) {
	say := func(text string) { _, _ = os.Stdout.WriteString(text) }
	forever := func() {
		for {
			unix.Pause() //nolint:errcheck // it only returns after a signal
		}
	}
	switch args[0] {
	case "lines":
		say("one\ntwo\nthree\n")
	case "hang":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
		say(fmt.Sprintf("%d\n", os.Getpid()))
		forever()
	case "late":
		time.Sleep(3 * lookAfter)
		say("one\ntwo\n")
	case "flood":
		for line := strings.Repeat("x", 1000) + "\n"; ; {
			if _, err := os.Stdout.WriteString(line); err != nil {
				forever()
			}
		}
	case "long":
		say(strings.Repeat("x", maxLine+10))
		forever()
	case "exit":
		say("before\n")
		code, _ := strconv.Atoi(args[1])
		os.Exit(code)
	case "segv":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		forever()
	case "fds":
		CloseInherited()
		names, _ := tree{}.names("/proc/self/fd")
		say(strings.Join(names, " ") + "\n")
	case "about":
		dir, _ := os.Getwd()
		sid, _ := unix.Getsid(0)
		say(dir + "\n" + strconv.FormatBool(sid == os.Getpid()) + "\n" + strings.Join(os.Environ(), "\n") + "\n")
	case "timers":
		slack := func() string {
			n, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
			return fmt.Sprintln(n, err)
		}
		say(slack())
		ExactTimers()
		say(slack())
	case "grandchild":
		cmd := exec.CommandContext(context.Background(), "/proc/self/exe")
		cmd.Args = []string{testChildName, "hang"}
		cmd.Stdout = os.Stdout
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: 0}
		_ = cmd.Start()
		say("left\n")
	}
}

// run runs the test child with a deadline and returns the lines it said.
func run(t *testing.T, timeout time.Duration, c Child, args ...string) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if c.Path == "" {
		c.Path = "/proc/self/exe"
	}
	if c.Name == "" {
		c.Name = "test"
	}
	c.Argv0, c.Args = testChildName, args
	var said []string
	err := RunChild(ctx, c, func(line []byte) { said = append(said, string(line)) })
	return said, err
}

const long, short = 20 * time.Second, 300 * time.Millisecond

func TestRunChildEnds(t *testing.T) {
	for name, test := range map[string]struct {
		args    []string
		path    string
		timeout time.Duration
		said    []string
		err     error
		exit    ExitError
	}{
		"good end":    {args: []string{"lines"}, timeout: long, said: []string{"one", "two", "three"}},
		"exit status": {args: []string{"exit", "3"}, timeout: long, said: []string{"before"}, exit: ExitError{Code: 3}},
		"missing symbol": {
			args: []string{"exit", "127"}, timeout: long, said: []string{"before"}, exit: ExitError{Code: 127},
		},
		"killed":       {args: []string{"segv"}, timeout: long, exit: ExitError{Code: -1, Signal: syscall.SIGKILL}},
		"not there":    {args: []string{"lines"}, path: "/nowhere", timeout: long, err: fs.ErrNotExist},
		"not runnable": {args: []string{"lines"}, path: "/etc/passwd", timeout: long, err: fs.ErrPermission},
		"long line":    {args: []string{"long"}, timeout: long, err: ErrFlood},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := run(t, test.timeout, Child{Path: test.path}, test.args...)
			if !slices.Equal(said, test.said) {
				t.Errorf("said %q, want %q", said, test.said)
			}
			exit, isExit := errors.AsType[*ExitError](err)
			switch {
			case test.exit != ExitError{}:
				if !isExit || *exit != test.exit {
					t.Errorf("got %v, want %v", err, &test.exit)
				}
			case test.err != nil:
				if !errors.Is(err, test.err) {
					t.Errorf("got %v, want %v", err, test.err)
				}
			case err != nil:
				t.Error(err)
			}
			if (test.path != "") != errors.Is(err, ErrNotStarted) {
				t.Errorf("%v: could not be started?", err)
			}
		})
	}
}

func TestRunChildKeepsWhatArrived(t *testing.T) {
	said, err := run(t, short, Child{}, "hang")
	if !errors.Is(err, ErrTimeout) || len(said) != 1 {
		t.Fatalf("said %q, error %v; want one line and a time-out", said, err)
	}
	pid, _ := strconv.Atoi(said[0])
	if startOf(pid) != "" {
		t.Errorf("process %d, which ignores SIGTERM, still lives", pid)
	}
}

// What a child says between our listening and its end is heard too: with many launches at once that happens.
func TestRunChildHearsTheLastWords(t *testing.T) {
	untilEnded := func(pid int) (status syscall.WaitStatus, ended bool, err error) {
		for err == nil && !ended {
			status, ended, err = reap(pid)
		}
		return status, ended, err
	}
	said, err := run(t, long, Child{ended: untilEnded}, "late")
	if err != nil || !slices.Equal(said, []string{"one", "two"}) {
		t.Errorf("said %q, error %v", said, err)
	}
}

func TestRunChildStopsAFlood(t *testing.T) {
	total := 0
	err := RunChild(t.Context(), Child{
		Path: "/proc/self/exe", Argv0: testChildName, Args: []string{"flood"}, Name: "test",
	}, func(line []byte) { total += len(line) + 1 })
	if !errors.Is(err, ErrFlood) || total > maxSaid {
		t.Errorf("%d bytes handed over, error %v", total, err)
	}
}

func TestRunChildSurvivesAPanic(t *testing.T) {
	err := RunChild(t.Context(), Child{
		Path: "/proc/self/exe", Argv0: testChildName, Args: []string{"hang"}, Name: "test",
	}, func([]byte) { panic("ours") })
	if !errors.Is(err, errPanic) {
		t.Errorf("got %v", err)
	}
}

func TestRunChildWaitsForNoGrandchild(t *testing.T) {
	begin := time.Now()
	said, err := run(t, long, Child{}, "grandchild")
	if err != nil || len(said) == 0 {
		t.Fatalf("said %q, error %v", said, err)
	}
	if took := time.Since(begin); took > long/2 {
		t.Errorf("waited %v for a process that held the pipe", took)
	}
	for _, line := range said {
		if pid, err := strconv.Atoi(line); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func TestChildIsAlone(t *testing.T) {
	t.Setenv("LD_LIBRARY_PATH", "/hostile")
	t.Setenv("NVIDIA_VISIBLE_DEVICES", "all")
	said, err := run(t, long, Child{}, "about")
	if err != nil || len(said) < 3 {
		t.Fatal(said, err)
	}
	if said[0] != "/" || said[1] != "true" || !slices.Equal(said[2:], childEnv()) {
		t.Errorf("directory, session leader, environment: %q", said)
	}
}

// TestChildTimers: a child's timers are coarse until it wants exact ones, and this program's stay as they were.
func TestChildTimers(t *testing.T) {
	said, err := run(t, long, Child{}, "timers")
	if err != nil || !slices.Equal(said, []string{"2000000 <nil>", "50000 <nil>"}) {
		t.Errorf("%q, %v", said, err)
	}
	files, err := filepath.Glob("/proc/self/task/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if slack, err := os.ReadFile(filepath.Join("/proc", filepath.Base(file), "timerslack_ns")); err == nil && strings.TrimSpace(string(slack)) == "2000000" {
			t.Errorf("%s has a child's timers", file)
		}
	}
}

func TestChildInheritsNoDescriptor(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	leak, err := unix.FcntlInt(write.Fd(), unix.F_DUPFD, 100) // without close-on-exec, as a runtime may leave one
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	said, err := run(t, long, Child{}, "fds")
	if err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(said[0]); len(fields) != 4 { // 0 1 2 and the folder that is being listed
		t.Errorf("descriptors %q", said[0])
	}
}

func TestAbandonedChildBlocksItsKind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	stuck := Child{RunDir: dir, ended: func(int) (syscall.WaitStatus, bool, error) {
		return 0, false, nil // it cannot be reaped, as in uninterruptible sleep
	}}
	living := exec.CommandContext(t.Context(), "/proc/self/exe")
	living.Args = []string{testChildName, "hang"}
	if err := living.Start(); err != nil {
		t.Fatal(err)
	}
	_, err := run(t, short, stuck, "hang")
	if !errors.Is(err, ErrTimeout) {
		t.Fatalf("got %v, want a time-out", err)
	}
	note(Child{Name: "test", RunDir: dir}, living.Process.Pid) // the test's own child died; a living one takes its place
	if _, err := run(t, long, Child{RunDir: dir}, "lines"); !errors.Is(err, ErrAbandoned) {
		t.Errorf("a second one was started: %v", err)
	}
	if _, err := run(t, long, Child{RunDir: dir, Name: "other"}, "lines"); err != nil {
		t.Errorf("another kind was not started: %v", err)
	}
	_ = living.Process.Kill()
	_ = living.Wait()
	if _, err := run(t, long, Child{RunDir: dir}, "lines"); err != nil {
		t.Errorf("its end was not noticed: %v", err)
	}
	if names, _ := (tree{}).names(dir); len(names) != 0 {
		t.Errorf("the note stayed: %v", names)
	}
}

// A frozen process (cgroup v1 freezer) does not die of SIGKILL, as one in uninterruptible sleep.
func TestFrozenChildIsLeftBehind(t *testing.T) {
	group := "/sys/fs/cgroup/freezer/gpu-preflight-test-" + strconv.Itoa(os.Getpid())
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skip("no cgroup v1 freezer here: ", err)
	}
	defer os.Remove(group)
	state := filepath.Join(group, "freezer.state")
	if _, err := os.Stat(state); err != nil {
		t.Skip("no cgroup v1 freezer here: ", err)
	}
	set := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	dir, pid := t.TempDir(), 0
	ctx, cancel := context.WithCancel(t.Context())
	begin := time.Now()
	err := RunChild(ctx, Child{Path: "/proc/self/exe", Argv0: testChildName, Args: []string{"hang"}, Name: "frozen", RunDir: dir},
		func(line []byte) {
			pid, _ = strconv.Atoi(string(line))
			set(filepath.Join(group, "cgroup.procs"), string(line))
			set(state, "FROZEN")
			cancel()
		})
	t.Logf("given up %v after the start: %v", time.Since(begin), err)
	if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "left behind") {
		t.Errorf("got %v, want a time-out with the process left behind", err)
	}
	if _, err := run(t, long, Child{RunDir: dir, Name: "frozen"}, "lines"); !errors.Is(err, ErrAbandoned) {
		t.Errorf("process %d hangs, and a second one was started: %v", pid, err)
	}
	set(state, "THAWED")
	for startOf(pid) != "" {
		runtime.Gosched()
	}
	if _, err := run(t, long, Child{RunDir: dir, Name: "frozen"}, "lines"); err != nil {
		t.Errorf("its end was not noticed: %v", err)
	}
}

func TestNoteOfAnotherProcessIsIgnored(t *testing.T) {
	dir := t.TempDir()
	own, boot := startOf(os.Getpid()), bootID()
	if own == "" || boot == "" {
		t.Fatal("own start time or boot is unknown")
	}
	for name, text := range map[string]string{
		"another start":   fmt.Sprintf("%d %s0 %s", os.Getpid(), own, boot),
		"another boot":    fmt.Sprintf("%d %s x", os.Getpid(), own),
		"garbage":         "hello",
		"negative":        fmt.Sprintf("-1 %s %s", own, boot),
		"a whole process": strings.Repeat("9", 400),
	} {
		c := Child{Name: "test", RunDir: dir}
		if err := os.WriteFile(c.noteFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid := hanging(c); pid != 0 {
			t.Errorf("%s: process %d counts as hanging", name, pid)
		}
	}
}

func TestUnwritableRunDirNeverMatters(t *testing.T) {
	for _, dir := range []string{"", "/proc/nowhere", "/dev/null"} {
		if _, err := run(t, long, Child{RunDir: dir}, "lines"); err != nil {
			t.Errorf("%q: %v", dir, err)
		}
		note(Child{Name: "test", RunDir: dir}, os.Getpid())
	}
}
