package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"gpu-preflight/hook"
)

// maxNext bounds the file that names the next runtime, in bytes.
const maxNext = 4096

// next finds the runtime that this shim stands in front of: the file next of its registration's folder, else
// the first of the policy's runtimes that is not this program.
func next(argv0, config string) (string, error) {
	for _, folder := range folders(argv0) {
		path, err := registered(filepath.Join(folder, "next"))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return path, err
		}
	}
	return fromPolicy(hook.LoadPolicy(config).Runtime.Runtimes)
}

// folders are where the registration may lie: beside the name the shim was called by, else beside its file.
func folders(argv0 string) []string {
	var list []string
	if filepath.IsAbs(argv0) {
		list = append(list, filepath.Dir(argv0))
	}
	if self, err := os.Readlink("/proc/self/exe"); err == nil {
		list = append(list, filepath.Dir(self))
	}
	return list
}

// maxChain bounds how many registrations may stand one before the other.
const maxChain = 8

// registered follows a registration's file to a runtime that is not this program: one shim before another judges
// nothing new, and one before itself would start itself for ever.
func registered(file string) (string, error) {
	self := ourself()
	for range maxChain {
		path, err := readNext(file)
		if err != nil {
			return "", err
		}
		if !isFile(path, self) {
			return path, nil
		}
		file = filepath.Join(filepath.Dir(path), "next")
	}
	return "", fmt.Errorf("%s: names gpu-preflight-runtime itself as the next runtime", file)
}

// ourself is this program's file, nil where /proc does not tell.
func ourself() os.FileInfo {
	info, err := os.Stat("/proc/self/exe")
	if err != nil {
		return nil
	}
	return info
}

// isFile tells whether a path leads to a file; one that cannot be seen does not.
func isFile(path string, file os.FileInfo) bool {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, file)
}

// readNext reads the one absolute path in a registration's file. What is run as root must not be named by anybody
// else.
func readNext(file string) (string, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || info.Size() > maxNext || info.Mode().Perm()&0o022 != 0 || !ok || !trusted(owner.Uid) {
		return "", fmt.Errorf("%s: no regular file that only root can write", file)
	}
	data := make([]byte, info.Size())
	n, err := f.Read(data)
	path := strings.TrimSpace(string(data[:n]))
	if !filepath.IsAbs(path) || strings.ContainsAny(path, "\n\x00") {
		return "", fmt.Errorf("%s: not one absolute path: %.60q (%w)", file, path, errors.Join(err, fs.ErrInvalid))
	}
	return path, nil
}

// trusted: root, or the user that a rootless engine runs as.
func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// fromPolicy takes the first runtime that is there and is not this program.
func fromPolicy(names []string) (string, error) {
	self := ourself()
	for _, name := range names {
		for _, path := range candidates(name) {
			info, err := os.Stat(path)
			if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 && !os.SameFile(info, self) {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("no next runtime: none of %q is there", names)
}

func candidates(name string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	var paths []string
	if found, err := exec.LookPath(name); err == nil {
		paths = append(paths, found)
	}
	for _, folder := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		paths = append(paths, filepath.Join(folder, name))
	}
	return paths
}
