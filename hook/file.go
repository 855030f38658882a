package hook

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const oNonblock = unix.O_NONBLOCK

func readRegular(f *os.File, limit int64) ([]byte, error) {
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
