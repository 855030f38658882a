package host

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// coarseTimers lets what this thread starts from now on sleep longer than it asked for, until the returned function is
// called. Each Go program has a thread that wakes every 20 microseconds at first, which keeps a processor from taking
// over other work: a launch with two children takes 7 % longer by it (PR_SET_TIMERSLACK(2const); it is inherited).
func coarseTimers() (undo func()) {
	runtime.LockOSThread()
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, childTimerSlack, 0, 0, 0) != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(before), 0, 0, 0)
		runtime.UnlockOSThread()
	}
}

// Timer slack in nanoseconds: a child's, and Linux's default.
const (
	childTimerSlack   = 2_000_000
	defaultTimerSlack = 50_000
)

// ExactTimers gives the calling thread, which stays the goroutine's, Linux's own timer slack again: a library that is called
// from it sleeps as long as it wants.
func ExactTimers() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, defaultTimerSlack, 0, 0, 0)
}
