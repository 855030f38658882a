package register_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// moreCalls is how many system calls a launch without a GPU may cost beyond a Go program that does nothing.
const moreCalls = 60

// TestEngineOpensLittle: a launch without a GPU opens these files and no others, and makes few system calls more
// than a program that does nothing. Most launches are such.
func TestEngineOpensLittle(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	if out, failed := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-o", os.DevNull, "/bin/true").CombinedOutput(); failed != nil {
		t.Skipf("strace cannot trace here: %v: %s", failed, out)
	}
	bin, dir := programs(t), t.TempDir()
	write(t, filepath.Join(dir, "config.json"), `{"ociVersion":"1.0.2","process":{"args":["sh"],"env":["NVIDIA_VISIBLE_DEVICES=all"]},"root":{"path":"rootfs"}}`)
	write(t, filepath.Join(dir, "next"), "/bin/true\n")
	state, err := json.Marshal(map[string]any{"ociVersion": "1.0.2", "id": "c1", "status": "creating", "pid": 1, "bundle": dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(bin, "gpu-preflight-runtime"), filepath.Join(dir, "gpu-preflight-runtime")); err != nil {
		copyTo(t, filepath.Join(bin, "gpu-preflight-runtime"), filepath.Join(dir, "gpu-preflight-runtime"))
	}
	base, own := trace(t, strace, string(state), noop(t))
	for about, tt := range map[string]struct {
		words []string
		opens []string
	}{
		"hook": {[]string{filepath.Join(bin, "gpu-preflight-hook")}, []string{"DIR/config.json"}},
		"shim": {
			[]string{filepath.Join(dir, "gpu-preflight-runtime"), "create", "--bundle", dir, "c1"},
			[]string{"DIR/next", "DIR/config.json"},
		},
	} {
		calls, opened := trace(t, strace, string(state), tt.words...)
		opened = slices.DeleteFunc(opened, func(path string) bool { return slices.Contains(own, path) }) // the Go runtime's
		for i := range opened {
			opened[i] = strings.Replace(opened[i], dir+"/", "DIR/", 1)
		}
		if !slices.Equal(opened, tt.opens) {
			t.Errorf("%s: opened %q, want %q", about, opened, tt.opens)
		}
		if calls > base+moreCalls {
			t.Errorf("%s: %d system calls, a program that does nothing makes %d", about, calls, base)
		}
		t.Logf("%s: %d system calls, a program that does nothing makes %d", about, calls, base)
	}
}

// noop builds the static Go program that does nothing.
func noop(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "noop")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./noop")
	cmd.Dir = filepath.Join(fixture.Root(), "testdata", "tools")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build noop: %v: %s", err, out)
	}
	return path
}

// trace runs a program under strace until it execs another, and returns how many system calls all its threads made,
// the fewest of five runs (threads come and go), and which files it opened.
func trace(t *testing.T, strace, stdin string, words ...string) (calls int, opened []string) {
	t.Helper()
	for range 5 {
		log := filepath.Join(t.TempDir(), "trace")
		cmd := exec.CommandContext(t.Context(), strace, append([]string{"-f", "-qq", "-o", log, "--"}, words...)...)
		cmd.Stdin, cmd.Env = strings.NewReader(stdin), []string{"PATH=/usr/bin:/bin", "GOMAXPROCS=1"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", words, err, out)
		}
		data, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		n, files := readTrace(string(data))
		if calls == 0 || n < calls {
			calls = n
		}
		opened = files
	}
	return calls, opened
}

// readTrace counts the calls of a trace up to a second execve, and lists the opened files.
func readTrace(text string) (calls int, opened []string) {
	execs := 0
	for line := range strings.Lines(text) {
		_, call, _ := strings.Cut(strings.TrimSpace(line), " ")
		call = strings.TrimSpace(call)
		name, rest, isCall := strings.Cut(call, "(")
		if !isCall || strings.HasPrefix(call, "<...") || strings.HasPrefix(call, "---") {
			continue
		}
		if name == "execve" {
			if execs++; execs > 1 {
				return calls, opened
			}
		}
		calls++
		if strings.HasPrefix(name, "open") {
			_, path, _ := strings.Cut(rest, `"`)
			path, _, _ = strings.Cut(path, `"`)
			opened = append(opened, path)
		}
	}
	return calls, opened
}
