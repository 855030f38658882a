package host

import (
	"bufio"
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
	Stdin  *os.File // /dev/null when nil

	// gone waits for the process's end; reap unless a test stands in for it.
	gone func(pid int) (syscall.WaitStatus, error)
}

// childEnv is all of a child's environment: nothing of a container or of the caller's shell goes into it. One
// thread at a time (a call that blocks for long hands over to others all the same), and no descriptors of the Go runtime's own on cgroup files (Go 1.25 keeps them open otherwise).
func childEnv() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"GOMAXPROCS=1",
		"GODEBUG=containermaxprocs=0,updatemaxprocs=0",
		"GOTRACEBACK=none",
	}
}

// RunChild starts a child in a session of its own, hands each line that it writes to line, and returns when it
// has ended or ctx is done. Lines that came before the deadline have been handed over by then, and line is not
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
	r := &running{child: c, pid: pid, out: out, said: make(chan error, 1), ended: make(chan ending, 1)}
	go r.listen(line)
	go r.wait()
	return r.follow(ctx)
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
	stdin, argv0 := c.Stdin, c.Argv0
	if stdin == nil {
		stdin = null
	}
	if argv0 == "" {
		argv0 = c.Path
	}
	pid, err := syscall.ForkExec(c.Path, append([]string{argv0}, c.Args...), &syscall.ProcAttr{
		Dir:   "/",
		Env:   childEnv(),
		Files: []uintptr{stdin.Fd(), in.Fd(), null.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		_ = out.Close()
		return 0, nil, &os.PathError{Op: "start", Path: c.Path, Err: err}
	}
	return pid, out, nil
}

// reap waits for a process's end.
func reap(pid int) (syscall.WaitStatus, error) {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			return status, err
		}
	}
}

type ending struct {
	status syscall.WaitStatus
	err    error
}

// running is a child between its start and its end.
type running struct {
	child Child
	pid   int
	out   *os.File
	said  chan error  // the end of its output
	ended chan ending // the end of the process
}

// listen hands over the lines. A panic of ours in line must not end the program: a hook's exit status would refuse a
// container.
func (r *running) listen(line func([]byte)) {
	defer func() {
		if trouble := recover(); trouble != nil {
			r.said <- fmt.Errorf("%w: %v", errPanic, trouble)
		}
	}()
	scanner := bufio.NewScanner(io.LimitReader(r.out, maxSaid+1))
	scanner.Buffer(nil, maxLine)
	total := 0
	for scanner.Scan() {
		if total += len(scanner.Bytes()) + 1; total > maxSaid {
			break
		}
		line(scanner.Bytes())
	}
	if total > maxSaid || errors.Is(scanner.Err(), bufio.ErrTooLong) {
		r.said <- ErrFlood
		return
	}
	r.said <- nil
}

func (r *running) wait() {
	gone := r.child.gone
	if gone == nil {
		gone = reap
	}
	status, err := gone(r.pid)
	r.ended <- ending{status, err}
}

// follow waits for output, end and deadline, in whatever order they come.
func (r *running) follow(ctx context.Context) error {
	defer r.out.Close()
	var said error
	for listening := true; ; {
		var output <-chan error
		if listening {
			output = r.said
		}
		select {
		case said = <-output:
			if said != nil {
				return r.kill(said, false)
			}
			listening = false
		case end := <-r.ended:
			_ = r.drain(listening) // the process's own end says more
			return verdict(r.child.Name, end)
		case <-ctx.Done():
			return r.kill(ErrTimeout, listening)
		}
	}
}

// kill ends the child's whole process group and leaves behind what does not die.
func (r *running) kill(why error, listening bool) error {
	_ = syscall.Kill(-r.pid, syscall.SIGKILL) // not reaped yet, or its number would have come through ended
	timer := time.NewTimer(lastWait)
	defer timer.Stop()
	select {
	case <-r.ended:
		_ = r.drain(listening) // the process's own end says more
		return fmt.Errorf("%s: %w", r.child.Name, why)
	case <-timer.C:
		_ = r.drain(listening) // the process's own end says more
		note(r.child, r.pid)
		return fmt.Errorf("%s: %w: process %d does not die and was left behind", r.child.Name, why, r.pid)
	}
}

// drain takes what is still in the pipe, but waits for nobody who holds its other end.
func (r *running) drain(listening bool) error {
	if !listening {
		return nil
	}
	_ = r.out.SetReadDeadline(time.Now().Add(lastWait / 10))
	return <-r.said
}

func verdict(name string, end ending) error {
	if end.err != nil {
		return fmt.Errorf("%s: %w", name, end.err)
	}
	exit := &ExitError{Code: end.status.ExitStatus()}
	if end.status.Signaled() {
		exit.Signal = end.status.Signal()
	}
	if *exit == (ExitError{}) {
		return nil
	}
	return fmt.Errorf("%s: %w", name, exit)
}
