package hook

import (
	"errors"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// claim tells whether this launch path may wait for the container: where two judge one launch (shim and CDI
// hook) only the first waits. A claim older than window belongs to an earlier launch of the same container.
// Where the folder cannot be written everybody may wait.
func claim(runDir, id string, window time.Duration) bool {
	if id == "" {
		return true
	}
	path := filepath.Join(runDir, "launch-"+shortName(id))
	info, err := os.Lstat(path)
	if err == nil && time.Since(info.ModTime()) < window {
		return false
	}
	if err == nil {
		_ = os.Remove(path)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return !errors.Is(err, fs.ErrExist)
	}
	_ = f.Close()
	return true
}

// shortName stands for an id or a path in a file name. A clash costs a wait or a look, never a verdict.
func shortName(text string) string {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(text))
	return strconv.FormatUint(sum.Sum64(), 16)
}
