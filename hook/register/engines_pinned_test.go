package register_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// pinned is an engine that Debian 12 lacks, as its Go module has it.
type pinned struct {
	name, version string
	packages      []string // of one module
	flags, env    []string // of go install, beside the usual ones; cgo is off unless env says otherwise
}

// build installs the programs, once for this machine, and returns their folder. Where they cannot be built the test is
// left out, loudly.
func (p pinned) build(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "gpu-preflight-tests")
	folder := filepath.Join(cache, p.name+"-"+p.version)
	if _, err = os.Stat(folder); err == nil {
		return folder
	}
	must(t, os.MkdirAll(cache, 0o755))
	temp, err := os.MkdirTemp(cache, "build") //nolint:usetesting // the rename below needs the cache's file system
	must(t, err)
	defer os.RemoveAll(temp)
	args := append([]string{"install", "-trimpath", "-ldflags", "-s -w"}, p.flags...)
	for _, name := range p.packages {
		args = append(args, name+"@"+p.version)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), append(p.env, "GOBIN="+temp)...)
	if out, failed := cmd.CombinedOutput(); failed != nil {
		t.Skipf("%s %s cannot be built here: %v: %s", p.name, p.version, failed, out)
	}
	if err = os.Rename(temp, folder); err != nil {
		_, err = os.Stat(folder) // another test process was faster
	}
	must(t, err)
	return folder
}
