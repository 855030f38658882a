package register

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"
)

// maxFile bounds what is read of a configuration file or a state, in bytes.
const maxFile = 16 << 20

// binFolders are where a program is looked for, in the order of a systemd service's PATH.
var binFolders = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// at is the path of a host's file on this machine, links followed below the root.
func (s Site) at(path string) (string, error) {
	root := s.Root
	if root == "" {
		root = "/"
	}
	return securejoin.SecureJoin(root, path)
}

// read returns a host's file and its mode; nil bytes: it is absent.
func (s Site) read(path string) ([]byte, fs.FileMode, error) {
	here, err := s.at(path)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(here, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0o644, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: no regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, err
	}
	if len(data) > maxFile {
		return nil, 0, fmt.Errorf("%s: larger than %d bytes", path, maxFile)
	}
	return append([]byte{}, data...), info.Mode().Perm(), nil
}

// program finds an executable in the usual folders of the host, or where its absolute path says; "" if there is none.
func (s Site) program(name string) string {
	paths := []string{name}
	if !strings.Contains(name, "/") {
		paths = nil
		for _, folder := range binFolders {
			paths = append(paths, filepath.Join(folder, name))
		}
	}
	for _, path := range paths {
		here, err := s.at(path)
		if err != nil || !filepath.IsAbs(path) {
			continue
		}
		if info, err := os.Stat(here); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// step asks a test whether the write that comes next may happen.
func (s Site) step(format string, args ...any) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(fmt.Sprintf(format, args...))
}

// replace gives a file other bytes in one step; nil bytes take it away. Mode, owner, labels and the links that lead
// to it stay. The file must still hold what the edit was made from.
func (s Site) replace(e Edit) error {
	now, _, err := s.read(e.Path)
	if err != nil {
		return err
	}
	if (now == nil) != (e.Before == nil) || !bytes.Equal(now, e.Before) {
		return fmt.Errorf("%s: it was changed meanwhile; nothing was written", e.Path)
	}
	here, err := s.at(e.Path)
	if err != nil {
		return err
	}
	if err := s.step("write %s", e.Path); err != nil {
		return err
	}
	if e.After == nil {
		return errors.Join(os.Remove(here), syncFolder(filepath.Dir(here)))
	}
	if err := os.MkdirAll(filepath.Dir(here), 0o755); err != nil {
		return err
	}
	return s.swap(here, e)
}

// swap writes beside the file and renames.
func (s Site) swap(here string, e Edit) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(here), "."+filepath.Base(here)+".gpu-preflight-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	_, err = temporary.Write(e.After)
	err = errors.Join(err, temporary.Chmod(e.Mode), alike(temporary, here, e.Before != nil), temporary.Sync(), temporary.Close())
	if err == nil {
		err = s.step("rename %s", e.Path)
	}
	if err == nil {
		err = os.Rename(temporary.Name(), here)
	}
	return errors.Join(err, syncFolder(filepath.Dir(here)))
}

// alike gives a new file the owner and the extended attributes (SELinux labels, access lists) of the old one.
func alike(f *os.File, old string, exists bool) error {
	if !exists {
		return nil
	}
	info, err := os.Stat(old)
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && (int(owner.Uid) != os.Geteuid() || int(owner.Gid) != os.Getegid()) {
		if err = f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	names := make([]byte, 1<<16)
	n, err := unix.Listxattr(old, names)
	if err != nil {
		return unsupported(err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(names[:n]), "\x00"), "\x00") {
		value := make([]byte, 1<<16)
		n, err = unix.Getxattr(old, name, value)
		if err == nil {
			err = unix.Fsetxattr(int(f.Fd()), name, value[:n], 0)
		}
		if err = unsupported(err); name != "" && err != nil {
			return fmt.Errorf("%s: attribute %s: %w", old, name, err)
		}
	}
	return nil
}

// unsupported drops the errors of a file system without such attributes.
func unsupported(err error) error {
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENODATA) {
		return nil
	}
	return err
}

// syncFolder makes a rename durable. Some file systems cannot, and the rename is atomic without it.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	_ = dir.Sync()
	return dir.Close()
}
