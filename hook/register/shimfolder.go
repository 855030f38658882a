package register

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// trial bounds how long a runtime may take to say its version.
const trial = 10 * time.Second

// ShimPath is the path of a registration's shim, as the engines see it.
func (s Site) ShimPath(name string) string {
	return filepath.Join(s.shimFolder(name), "gpu-preflight-runtime")
}

func (s Site) shimFolder(name string) string {
	return filepath.Join(s.Prefix, "libexec/gpu-preflight", name)
}

// place makes the folder of a registration: the file next first, because a shim without one chooses by itself.
func (s Site) place(ctx context.Context, shim Shim) error {
	path := filepath.Join(s.shimFolder(shim.Name), "next")
	before, _, err := s.read(path)
	if err != nil {
		return err
	}
	if after := []byte(shim.Next + "\n"); !bytes.Equal(before, after) {
		if err = s.replace(Edit{Path: path, Before: before, After: after, Mode: 0o644}); err != nil {
			return err
		}
	}
	program, err := s.at(filepath.Join(s.Prefix, "bin/gpu-preflight-hook"))
	if err != nil {
		return err
	}
	if err := s.linkTo(shim, program, os.Link); err != nil {
		return err
	}
	return s.try(ctx, shim)
}

// leave lets a registration's shim lead straight to its next runtime. Running containers and daemons that have not
// read their files again still call it by its path.
func (s Site) leave(shim Shim) error {
	next := s.program(shim.Next)
	if next == "" {
		next = s.program(filepath.Base(shim.Next)) // a package may have moved it since
	}
	if next == "" {
		return fmt.Errorf("%s: %w", shim.Next, fs.ErrNotExist)
	}
	return s.linkTo(shim, next, os.Symlink)
}

// linkTo puts a link in place by rename, so that there is no moment without one.
func (s Site) linkTo(shim Shim, target string, link func(string, string) error) error {
	folder, err := s.at(s.shimFolder(shim.Name))
	if err != nil {
		return err
	}
	path := filepath.Join(folder, "gpu-preflight-runtime")
	there, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if wanted, failed := os.Stat(target); err == nil && failed == nil && os.SameFile(there, wanted) {
		return nil // the same hard link; renaming one onto the other does nothing
	}
	if err = s.step("link %s", shim.Name); err != nil {
		return err
	}
	if err = os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.new.%d", path, os.Getpid())
	_ = os.Remove(temporary)
	if err = link(target, temporary); err != nil {
		return err
	}
	if err = os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return syncFolder(folder)
}

// try asks the shim for its runtime's version before an engine depends on it: a file system that is mounted noexec,
// a binary of another architecture or a missing next runtime would stop every container. Where the runtime itself
// cannot tell its version, nothing is learnt. On another host's root nothing is run.
func (s Site) try(ctx context.Context, shim Shim) error {
	if s.Root != "" && s.Root != "/" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*trial)
	defer cancel()
	if exec.CommandContext(ctx, shim.Next, "--version").Run() != nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, s.ShimPath(shim.Name), "--version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s --version: %w: %.200q", s.ShimPath(shim.Name), err, out)
	}
	return nil
}
