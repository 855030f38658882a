package host

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links a path may lead through, as in the kernel (path_resolution(7)).
const maxLinks = 40

var (
	errUntrusted = errors.New("others may write it")
	errLinks     = errors.New("too many links")
)

// trusted follows path below top, a folder that an administrator named, as if top were /. Each folder, link and
// file on the way must belong to root or to us and be writable by nobody else; a folder that its group may write
// is accepted with the sticky bit (the store of NixOS), since what it holds is judged as well. It returns the
// path without links: what leads there can only be changed by those whom we trust.
func trusted(top, name string) (string, error) {
	current, pending, links := top, strings.Split(name, "/"), 0
	for len(pending) > 0 {
		next := pending[0]
		pending = pending[1:]
		switch next {
		case "", ".":
			continue
		case "..":
			if current != top {
				current = filepath.Dir(current)
			}
			continue
		}
		step := current + "/" + next
		if current == "/" {
			step = "/" + next
		}
		link, err := judge(step)
		if err != nil {
			return "", err
		}
		if link == "" {
			current = step
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: step, Err: errLinks}
		}
		if path.IsAbs(link) {
			current = top
		}
		pending = append(strings.Split(link, "/"), pending...)
	}
	return current, nil
}

// judge refuses what others may write; of a link it returns the text.
func judge(path string) (link string, err error) {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return "", &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	own := stat.Uid == 0 || int(stat.Uid) == os.Geteuid()
	if stat.Mode&unix.S_IFMT == unix.S_IFLNK && own {
		return os.Readlink(path)
	}
	sticky := stat.Mode&unix.S_IFMT == unix.S_IFDIR && stat.Mode&unix.S_ISVTX != 0
	if !own || stat.Mode&unix.S_IWOTH != 0 || (stat.Mode&unix.S_IWGRP != 0 && !sticky) {
		return "", &fs.PathError{Op: "trust", Path: path, Err: errUntrusted}
	}
	return "", nil
}

// errForeign tells a file that this machine's loader would not take.
var errForeign = errors.New("no library for this machine")

// loadable checks that path is a regular ELF file of our own program's class, byte order and machine (elf(5)):
// 32-bit libraries lie beside the others.
func loadable(path string) error {
	ours, err := elfIdent("/proc/self/exe")
	if err != nil {
		return err
	}
	ident, err := elfIdent(path)
	if err != nil {
		return err
	}
	if ident != ours {
		return &fs.PathError{Op: "load", Path: path, Err: errForeign}
	}
	return nil
}

// elfIdent returns a file's class, byte order and machine.
func elfIdent(path string) (ident [4]byte, err error) {
	fd, _, err := tree{}.openRegular(path)
	if err != nil {
		return ident, err
	}
	defer func() { _ = unix.Close(fd) }()
	head := make([]byte, 20)
	n, err := readRetry(fd, head)
	if err != nil {
		return ident, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	if n == len(head) && string(head[:4]) == "\x7fELF" {
		ident = [4]byte{head[4], head[5], head[18], head[19]}
	}
	return ident, nil
}
