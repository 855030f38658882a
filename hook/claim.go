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

// aClaim tells whether this launch path may wait for the container: where two judge one launch (shim and CDI
// hook) only the first waits.
type aClaim struct{ dir, path string }

// newClaim is the claim of a container in the folder where they lie.
func newClaim(runDir, id string) aClaim {
	if id == "" {
		return aClaim{}
	}
	return aClaim{dir: runDir, path: filepath.Join(runDir, "launch-"+shortName(id))}
}

// take is true for the first path. A claim older than window belongs to an earlier launch of the same container.
// Where the folder cannot be written everybody may wait.
func (c aClaim) take(window time.Duration) bool {
	if c.path == "" {
		return true
	}
	info, err := os.Lstat(c.path)
	if err == nil && time.Since(info.ModTime()) < window {
		return false
	}
	if err == nil {
		_ = os.Remove(c.path)
	} else if os.MkdirAll(c.dir, 0o755) != nil {
		return true
	}
	f, err := os.OpenFile(c.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return !errors.Is(err, fs.ErrExist)
	}
	_ = f.Close()
	return true
}

// release ends the claim of a launch that is over.
func (c aClaim) release() {
	if c.path != "" {
		_ = os.Remove(c.path)
	}
}

// shortName stands for an id or a path in a file name. A clash costs a wait or a look, never a verdict.
func shortName(text string) string {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(text))
	return strconv.FormatUint(sum.Sum64(), 16)
}
