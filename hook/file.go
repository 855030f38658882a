package hook

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// readBounded reads a regular file of ours; it does not wait for a FIFO and does not read without end.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("no regular file (%s)", info.Mode().Type())
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%d bytes, more than %d", info.Size(), limit)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
