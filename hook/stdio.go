package hook

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// stdinTimeout is how long a runtime may take to give the container's state. It is written before the hook starts,
// or at once; a terminal or a pipe that nobody writes to must not hold the hook.
const stdinTimeout = 5 * time.Second

// Stdin reads a file that may never end: what has not come within 5 s after began is an error.
func Stdin(file *os.File, began time.Time) io.Reader {
	return &stdin{file: file, until: began.Add(stdinTimeout)}
}

type stdin struct {
	file  *os.File
	until time.Time
}

// Read waits for input until the time is over.
func (s *stdin) Read(into []byte) (int, error) {
	for {
		left := max(0, time.Until(s.until))
		ready := []unix.PollFd{{Fd: int32(s.file.Fd()), Events: unix.POLLIN}} //nolint:gosec // a descriptor is a small number
		n, err := unix.Poll(ready, int(left.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, fmt.Errorf("wait for input: %w", err)
		case n == 0:
			return 0, fmt.Errorf("no input within %s", stdinTimeout)
		}
		return s.file.Read(into)
	}
}

// Stderr writes to descriptor 2. A write to a broken pipe through os.Stderr would end the program by SIGPIPE, and a
// hook that a signal ended refuses a container.
type Stderr struct{}

// Write writes all of data, or as much as can be written.
func (Stderr) Write(data []byte) (int, error) {
	written := 0
	for written < len(data) {
		n, err := unix.Write(unix.Stderr, data[written:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return written, fmt.Errorf("write to stderr: %w", err)
		}
		written += n
	}
	return written, nil
}

// wantDescriptors are those that a judgement may need at one time.
const wantDescriptors = 16

// mayOpen tells whether the limit of descriptors lets files be read at all. getrlimit(2) is one call, for every launch.
func mayOpen() bool {
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur >= wantDescriptors
}

// spareDescriptors tells whether a judgement has the descriptors that it needs: where none is left, the Go runtime
// ends the program when it starts to wait for a child, and the exit code would refuse the container.
func spareDescriptors() bool {
	var taken []int
	defer func() {
		for _, fd := range taken {
			_ = unix.Close(fd)
		}
	}()
	for range wantDescriptors {
		fd, err := unix.FcntlInt(uintptr(unix.Stdin), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return false
		}
		taken = append(taken, fd)
	}
	return true
}
