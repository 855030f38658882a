package oci

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	pathrs "github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
)

// Rootfs reads files below a container's root file system, whose author is not trusted: links are resolved as if
// the root were /, so that no path, ".." or link leads out, even while the tree changes; only regular files and
// folders are opened, after a look through O_PATH, so that no FIFO or device is ever touched; reads are bounded.
// It can block where the file system can (FUSE, NFS): use it in a child.
type Rootfs struct {
	dir *os.File
}

// OpenRootfs opens the root folder. The path itself is the runtime's and may hold links.
func OpenRootfs(path string) (*Rootfs, error) {
	dir, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("open rootfs %s: %w", path, bareError(err))
	}
	return &Rootfs{dir: dir}, nil
}

// Close releases the root folder.
func (r *Rootfs) Close() error { return r.dir.Close() }

// Stat describes what a path leads to, following links, without opening it.
func (r *Rootfs) Stat(path string) (fs.FileInfo, error) {
	handle, info, err := r.look(path)
	if err != nil {
		return nil, err
	}
	return info, handle.Close()
}

// Real returns a path below the root with every link of it resolved.
func (r *Rootfs) Real(path string) (string, error) {
	handle, _, err := r.look(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = handle.Close() }()
	root, err := os.Readlink(descriptor(r.dir))
	if err != nil {
		return "", fmt.Errorf("find the rootfs: %w", bareError(err))
	}
	file, err := os.Readlink(descriptor(handle))
	if err != nil {
		return "", fmt.Errorf("resolve %q in the rootfs: %w", path, bareError(err))
	}
	below, err := filepath.Rel(root, file)
	if err != nil || !filepath.IsLocal(below) {
		return "", fmt.Errorf("resolve %q in the rootfs: it was moved away", path)
	}
	return filepath.Join("/", below), nil
}

func descriptor(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// Open opens a regular file or a folder below the root.
func (r *Rootfs) Open(path string) (*os.File, error) {
	handle, info, err := r.look(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = handle.Close() }()
	if mode := info.Mode(); !mode.IsRegular() && !mode.IsDir() {
		return nil, fmt.Errorf("open %q in the rootfs: neither a regular file nor a folder (%s)", path, mode.Type())
	}
	f, err := pathrs.Reopen(handle, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open %q in the rootfs: %w", path, bareError(err))
	}
	return f, nil
}

// look takes hold of a path with O_PATH, which opens nothing.
func (r *Rootfs) look(path string) (*os.File, fs.FileInfo, error) {
	handle, err := pathrs.OpenatInRoot(r.dir, path)
	if err != nil {
		return nil, nil, fmt.Errorf("find %q in the rootfs: %w", path, bareError(err))
	}
	info, err := handle.Stat()
	if err != nil {
		_ = handle.Close()
		return nil, nil, fmt.Errorf("stat %q in the rootfs: %w", path, bareError(err))
	}
	return handle, info, nil
}

// ReadFile reads a regular file of at most limit bytes; beyond that the error is a *TooLargeError.
func (r *Rootfs) ReadFile(path string, limit int64) ([]byte, error) {
	f, err := r.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := readBounded(f, limit)
	if err != nil {
		return nil, fmt.Errorf("read %q in the rootfs: %w", path, err)
	}
	return data, nil
}

// ReadDir reads the names in a folder, in the order of the file system, at most limit. With more the error is a
// *TooLargeError and the names read so far come with it.
func (r *Rootfs) ReadDir(path string, limit int) ([]string, error) {
	f, err := r.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(limit + 1)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read folder %q in the rootfs: %w", path, bareError(err))
	case len(names) > limit:
		tooLarge := &TooLargeError{Limit: int64(limit), Unit: "entries"}
		return names[:limit], fmt.Errorf("read folder %q in the rootfs: %w", path, tooLarge)
	}
	return names, nil
}
