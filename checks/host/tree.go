package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
)

// Bounds of what is read. A file of the kernel or of the driver is far below them; what is longer is not ours.
const (
	maxText  = 256 << 10 // one text file of /proc, /sys or /etc
	maxCache = 4 << 20   // ld.so.cache
	maxNames = 32 << 10  // names in one folder
)

// errNotRegular tells that a path is there and is no regular file.
var errNotRegular = errors.New("not a regular file")

// tree is the host's file system seen from its top. The empty tree is this machine's own. Below any other top
// links are followed as if that folder were /, so that a tree handed in by somebody cannot point out of itself.
type tree struct {
	top string
	fd  *os.File // the top, opened; nil where that was not possible
}

func newTree(top string) tree {
	if top == "" {
		return tree{}
	}
	if top = filepath.Clean(top); top == "/" {
		return tree{}
	}
	fd, err := unix.Open(top, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return tree{top: top}
	}
	return tree{top: top, fd: os.NewFile(uintptr(fd), top)}
}

// dir is the opened top, or a descriptor that is none.
func (t tree) dir() int {
	if t.fd == nil {
		return -1
	}
	return int(t.fd.Fd())
}

// at returns the path as it is named on this machine, for messages and sources.
func (t tree) at(path string) string { return t.top + path }

// open returns a descriptor of path, which the caller closes. Nothing is waited for (O_NONBLOCK): a pipe or a
// device put in a file's place cannot stop the reader.
func (t tree) open(path string, flags int) (int, error) {
	flags |= unix.O_CLOEXEC
	if flags&unix.O_PATH == 0 { // openat2 allows nothing more with it
		flags |= unix.O_NONBLOCK | unix.O_NOCTTY
	}
	if t.top == "" {
		fd, err := unix.Open(path, flags, 0)
		if err != nil {
			return -1, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return fd, nil
	}
	fd, err := unix.Openat2(t.dir(), strings.TrimPrefix(path, "/"), &unix.OpenHow{
		Flags: uint64(flags), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS, //nolint:gosec // flags are not negative
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EBADF) {
		return t.openSlowly(path, flags) // before Linux 5.6, or a filter that does not know the call, or a race
	}
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// openSlowly resolves below the top without openat2's help.
func (t tree) openSlowly(path string, flags int) (int, error) {
	handle, err := pathrs.OpenInRoot(t.top, path)
	if err != nil {
		return -1, err
	}
	defer handle.Close()
	if flags&unix.O_PATH == 0 {
		reopened, err := pathrs.Reopen(handle, flags)
		if err != nil {
			return -1, err
		}
		defer reopened.Close()
		return unix.FcntlInt(reopened.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	}
	return unix.FcntlInt(handle.Fd(), unix.F_DUPFD_CLOEXEC, 3)
}

// openRegular opens a regular file for reading and tells its size.
func (t tree) openRegular(path string) (fd int, size int64, err error) {
	if fd, err = t.open(path, unix.O_RDONLY); err != nil {
		return -1, 0, err
	}
	var stat unix.Stat_t
	if err = unix.Fstat(fd, &stat); err == nil && stat.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errNotRegular
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, 0, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return fd, stat.Size, nil
}

// read returns a regular file's bytes; a file longer than limit is an error.
func (t tree) read(path string, limit int) ([]byte, error) {
	fd, size, err := t.openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	data := make([]byte, 0, min(int(size)+1024, limit+1))
	for len(data) <= limit {
		data = slices.Grow(data, 512)
		n, err := readRetry(fd, data[len(data):min(cap(data), limit+1)])
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return data, nil
		}
		data = data[:len(data)+n]
	}
	return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("longer than %d bytes", limit)}
}

func readRetry(fd int, buf []byte) (int, error) {
	for {
		n, err := unix.Read(fd, buf)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// text returns a small file's content without the white space around it.
func (t tree) text(path string) (string, error) {
	data, err := t.read(path, maxText)
	return strings.TrimSpace(string(data)), err
}

// names returns the names in a folder, unsorted, without "." and "..", and not many more than maxNames.
func (t tree) names(path string) ([]string, error) {
	fd, err := t.open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	names := []string{}
	buf := make([]byte, 32<<10)
	for len(names) < maxNames {
		n, err := unix.ReadDirent(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	return names, nil
}

// stat describes what path leads to.
func (t tree) stat(path string) (unix.Stat_t, error) {
	var stat unix.Stat_t
	if t.top == "" {
		if err := unix.Stat(path, &stat); err != nil {
			return stat, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		return stat, nil
	}
	fd, err := t.open(path, unix.O_PATH)
	if err != nil {
		return stat, err
	}
	defer func() { _ = unix.Close(fd) }()
	return stat, unix.Fstat(fd, &stat)
}

// exists tells whether path is there. Anything but "absent" that stops the look is an error.
func (t tree) exists(path string) (bool, error) {
	_, err := t.stat(path)
	if absent(err) {
		return false, nil
	}
	return err == nil, err
}

// readlink returns the text of the link at path; links on the way to it are followed.
func (t tree) readlink(path string) (string, error) {
	if t.top == "" {
		return os.Readlink(path)
	}
	dir, err := t.open(filepath.Dir(path), unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(dir) }()
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, filepath.Base(path), buf)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(buf[:n]), nil
}

// absent tells that the error proves a path's absence; no other error does.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// reason shortens an error to what a reader of a fact needs: the cause without the path, which is its source.
func reason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}
