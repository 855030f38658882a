package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// Bounds of what a child may say.
const (
	maxLine  = 256 << 10
	maxSaid  = 4 << 20
	lastWait = 100 * time.Millisecond // for a killed child to be gone
)

// What can become of a child, apart from a good end and an ExitError.
var (
	ErrNotStarted = errors.New("could not be started")
	ErrTimeout    = errors.New("no answer in time")
	ErrAbandoned  = errors.New("an earlier one still hangs in the kernel")
	ErrFlood      = errors.New("said too much")
)

var errPanic = errors.New("its line ended in a panic")

// ExitError is a child's bad end: its exit status, or the signal that killed it.
type ExitError struct {
	Code   int
	Signal syscall.Signal
}

// Error names the end; 127 is the loader's word for a symbol that no library has.
func (e *ExitError) Error() string {
	switch {
	case e.Signal != 0:
		return fmt.Sprintf("killed by signal %d (%s)", int(e.Signal), e.Signal)
	case e.Code == 2:
		return "exit status 2 (how a Go program ends that crashes)"
	case e.Code == 127:
		return "exit status 127 (a symbol or a library that it needs is missing)"
	default:
		return fmt.Sprintf("exit status %d", e.Code)
	}
}

// Child is a program that reads what may hang in the kernel.
type Child struct {
	Path   string   // the program
	Argv0  string   // argv[0]; Path when empty
	Args   []string // the rest of argv
	Name   string   // names its kind in the note of an abandoned one; kinds block each other only by equal names
	RunDir string   // where an abandoned child is noted; a folder that cannot be written never matters

	// ended asks whether the process has ended; reap unless a test stands in for it.
	ended func(pid int) (status syscall.WaitStatus, ended bool, err error)
}

// childEnv is all of a child's environment: nothing of a container or of the caller's shell goes into it. One
// thread at a time (a call that blocks for long hands over to others all the same), and no descriptors of the Go
// runtime's own on cgroup files (Go 1.25 keeps them open otherwise).
func childEnv() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"GOMAXPROCS=1",
		"GODEBUG=containermaxprocs=0,updatemaxprocs=0",
		"GOTRACEBACK=none",
	}
}

// endLine is the last line of a child that has said everything. Its end need not be waited for then: the kernel takes
// a while to take a process apart, longer with the driver's files open.
const endLine = "end"

// RunChild starts a child in a session of its own, hands each line that it writes to line, and returns when it
// has ended, has said endLine, or ctx is done. Lines that came before the deadline have been handed over by then, and line is not
// called afterwards. A child that outlives its kill by 100 ms (uninterruptible sleep) is left behind and noted
// in RunDir; while that very process lives no other of the same Name is started.
//
// Errors: ErrNotStarted, ErrTimeout (wrapped, also when abandoned), ErrAbandoned (an earlier one lives),
// ErrFlood, or an *ExitError.
func RunChild(ctx context.Context, c Child, line func([]byte)) error {
	if pid := hanging(c); pid != 0 {
		return fmt.Errorf("%s: process %d: %w", c.Name, pid, ErrAbandoned)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", c.Name, ErrTimeout)
	}
	pid, out, err := c.start()
	if err != nil {
		return fmt.Errorf("%s: %w: %w", c.Name, ErrNotStarted, err)
	}
	defer out.Close()
	r := &running{child: c, pid: pid, out: out}
	if err := r.follow(ctx, line); err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	return nil
}

// start runs the program with its output on a pipe, whose read end is returned. It forks by itself: os.StartProcess
// would first start another process to learn about pidfds.
func (c Child) start() (int, *os.File, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	out, in, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	defer in.Close()
	argv0 := c.Argv0
	if argv0 == "" {
		argv0 = c.Path
	}
	defer coarseTimers()()
	pid, err := syscall.ForkExec(c.Path, append([]string{argv0}, c.Args...), &syscall.ProcAttr{
		Dir:   "/",
		Env:   childEnv(),
		Files: []uintptr{null.Fd(), in.Fd(), null.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		_ = out.Close()
		return 0, nil, &os.PathError{Op: "start", Path: c.Path, Err: err}
	}
	return pid, out, nil
}

// reap takes a process's end, if it has ended.
func reap(pid int) (status syscall.WaitStatus, ended bool, err error) {
	for {
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		if !errors.Is(err, syscall.EINTR) {
			return status, got == pid, err
		}
	}
}

// running is a child between its start and its end. It is followed in one goroutine: at a launch every other thread
// competes with the children for the processors.
type running struct {
	child  Child
	pid    int
	out    *os.File
	status syscall.WaitStatus
}

// lookAfter is how long a silent child is listened to before the process is looked at: something that it has started
// may hold the pipe longer than it lives.
const lookAfter = 20 * time.Millisecond

// follow hears the child out, and takes its end.
func (r *running) follow(ctx context.Context, line func([]byte)) error {
	ended, err := r.listen(ctx, line)
	for pause := 20 * time.Microsecond; err == nil && !ended; pause = min(2*pause, 2*time.Millisecond) {
		if ended, err = r.hasEnded(); err == nil && !ended {
			time.Sleep(pause)
			err = timeOut(ctx)
		}
	}
	switch {
	case errors.Is(err, errSaidAll):
		go func() { _, _ = syscall.Wait4(r.pid, nil, 0, nil) }() // a program that lives on keeps no zombies
		return nil
	case err != nil && !ended:
		return r.kill(err)
	}
	return errors.Join(err, r.verdict())
}

// listen hands over the lines until the output ends, the process has ended, or an error: the deadline's, a flood's, or
// a panic of ours in line, which must not end the program (a hook's exit status would refuse a container).
func (r *running) listen(ctx context.Context, line func([]byte)) (ended bool, err error) {
	defer func() {
		if trouble := recover(); trouble != nil {
			err = fmt.Errorf("%w: %v", errPanic, trouble)
		}
	}()
	chunk, total := make([]byte, 8<<10), 0
	var rest []byte
	for err == nil {
		_ = r.out.SetReadDeadline(time.Now().Add(lookAfter))
		n, failed := r.out.Read(chunk)
		if total += n; total > maxSaid {
			return false, ErrFlood
		}
		if rest, err = handOver(append(rest, chunk[:n]...), line); err != nil {
			return false, err
		}
		switch {
		case errors.Is(failed, io.EOF):
			if len(rest) > 0 {
				line(rest)
			}
			return ended, nil
		case errors.Is(failed, os.ErrDeadlineExceeded) && ended:
			return true, nil // its last words were read after its end; what it has started holds the pipe
		case errors.Is(failed, os.ErrDeadlineExceeded):
			ended, err = r.hasEnded()
		default:
			err = failed
		}
		err = errors.Join(err, timeOut(ctx))
	}
	return ended, err
}

// errSaidAll is the good end of a child that has said endLine.
var errSaidAll = errors.New("has said everything")

// handOver gives the whole lines to line and returns the begun one, with errSaidAll after endLine.
func handOver(data []byte, line func([]byte)) (rest []byte, err error) {
	for {
		whole, rest, found := bytes.Cut(data, []byte("\n"))
		switch {
		case found && string(whole) == endLine:
			return nil, errSaidAll
		case !found && len(data) > maxLine:
			return nil, ErrFlood
		case !found:
			return data, nil
		}
		line(whole)
		data = rest
	}
}

func timeOut(ctx context.Context) error {
	if ctx.Err() != nil {
		return ErrTimeout
	}
	return nil
}

func (r *running) hasEnded() (bool, error) {
	ask := r.child.ended
	if ask == nil {
		ask = reap
	}
	status, ended, err := ask(r.pid)
	r.status = status
	return ended, err
}

// kill ends the child's whole process group and leaves behind what does not die.
func (r *running) kill(why error) error {
	_ = syscall.Kill(-r.pid, syscall.SIGKILL) // not reaped yet, so its number is its own
	for end := time.Now().Add(lastWait); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ended, err := r.hasEnded(); ended || err != nil {
			return why
		}
	}
	note(r.child, r.pid)
	return fmt.Errorf("%w: process %d does not die and was left behind", why, r.pid)
}

func (r *running) verdict() error {
	exit := &ExitError{Code: r.status.ExitStatus()}
	if r.status.Signaled() {
		exit.Signal = r.status.Signal()
	}
	if *exit == (ExitError{}) {
		return nil
	}
	return exit
}
