package main_test

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// opensOutside is all that the reader of an image opens outside of it once it has begun, N standing for numbers: the resolver
// of paths (filepath-securejoin) has a /proc of its own, by which it opens what it holds, and asks what the kernel can do.
var opensOutside = []string{
	"/N/task/N/fd",
	"/N/task/N/fd/N",
	`openat2(AT_FDCWD</>, ".", {flags=O_RDONLY|O_CLOEXEC|O_PATH, resolve=RESOLVE_NO_SYMLINKS|RESOLVE_IN_ROOT}, N) = N</>`,
}

// TestOpensNothingOutside: of an image full of ways out the reader opens what lies in it, and nothing of it is executed or
// mapped to be executed.
func TestOpensNothingOutside(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	if out, failed := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-o", os.DevNull, "/bin/true").CombinedOutput(); failed != nil {
		t.Skipf("strace cannot trace here: %v: %s", failed, out)
	}
	i, outside := newImage(t), t.TempDir()
	i.write(t, filepath.Join(outside, "version.py"), "cuda = '"+secret+"'\n")
	for name, target := range map[string]string{
		torch: outside + "/version.py", site + "/tensorflow": outside, site + "/onnxruntime": "/proc/self/root" + outside, site + "/jax": "/proc/1/root",
		"etc/ld.so.conf.d/x.conf": "/etc/ld.so.conf", "etc/ld.so.conf.d/y.conf": "/proc/self/fd/0", "etc/passwd": "/etc/passwd",
		"usr/local/cuda": strings.Repeat("../", 40) + outside, "usr/local/cuda-13.0/compat/libcuda.so.580.65.06": i.bin + "/gpu-preflight-hook",
		"usr/local/lib": "/usr/lib", "opt/conda": "/", "usr/lib": "lib", "app": "/proc/self/cwd", "usr/lib64": "/lib64", "venv": "/dev",
	} {
		path := i.path(name)
		if err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.RemoveAll(path), os.Symlink(target, path)); err != nil {
			t.Fatal(err)
		}
	}
	i.put(t, site+"/torch-2.9.1+cu130.dist-info/METADATA", "Name: torch\n")

	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.CommandContext(t.Context(), strace, "-ff", "-y", "-qq", "-s", "4096", "-e", "trace=execve,execveat,open,openat,openat2,mmap,mprotect,clone,clone3,vfork,fork",
		"-o", trace, filepath.Join(i.bin, "gpu-preflight-hook"), "--root="+i.root, "--config="+i.config)
	cmd.Env, cmd.Stdin = []string{"PATH=/usr/bin:/bin"}, strings.NewReader(i.state("c1"))
	if out, failed := cmd.CombinedOutput(); failed != nil {
		t.Fatalf("%v: %s", failed, out)
	}
	if list := i.records(t); len(list) != 1 || !strings.Contains(ofImage(list[0]).What, built130) {
		t.Fatalf("it was not looked into: %+v", list)
	}
	rootfs, err := filepath.EvalSymlinks(i.rootfs)
	if err != nil {
		t.Fatal(err)
	}
	calls := readerCalls(t, trace)
	inside, outsideSeen := 0, map[string]bool{}
	for _, call := range calls {
		m := opens.FindStringSubmatch(call)
		switch {
		case strings.Contains(call, "PROT_EXEC"), strings.HasPrefix(call, "execve"):
			t.Errorf("executed, or mapped to be executed: %s", call)
		case m == nil:
		case m[1] == rootfs, strings.HasPrefix(m[1], rootfs+"/"):
			inside++
		case m[1] == "/":
			outsideSeen[numbers.ReplaceAllString(call, "N")] = true
		default:
			outsideSeen[numbers.ReplaceAllString(m[1], "N")] = true
		}
	}
	if got := slices.Sorted(maps.Keys(outsideSeen)); !slices.Equal(got, opensOutside) {
		t.Errorf("opened outside: %q, want %q", got, opensOutside)
	}
	if inside < 10 {
		t.Errorf("%d files of the image were opened", inside)
	}
}

var (
	startsOther = regexp.MustCompile(`^(?:clone3?|v?fork)\(.* = (\d+)$`)
	numbers     = regexp.MustCompile(`\b[0-9]+\b`)
	opens       = regexp.MustCompile(`^open(?:at2?)?\(.* = \d+<(.*)>$`)
)

// readerCalls are the calls of the reader of the image, in all of its threads, from the start of the second thread on: what the Go
// runtime opens before that is the host's own.
func readerCalls(t *testing.T, trace string) []string {
	t.Helper()
	files, err := filepath.Glob(trace + ".*")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string][]string{}
	var readers []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines, pid := strings.Split(strings.TrimSpace(string(data)), "\n"), strings.TrimPrefix(filepath.Ext(file), ".")
		at := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, `["gpu-preflight-rootfs", `) })
		if at >= 0 {
			readers = append(readers, pid)
		}
		calls[pid] = lines
	}
	if len(readers) != 1 {
		t.Fatalf("%d readers", len(readers))
	}
	var all []string
	for at := 0; at < len(readers); at++ {
		for _, call := range calls[readers[at]] {
			if m := startsOther.FindStringSubmatch(call); m != nil {
				readers = append(readers, m[1])
			}
			if len(readers) > 1 {
				all = append(all, call)
			}
		}
	}
	return all
}
