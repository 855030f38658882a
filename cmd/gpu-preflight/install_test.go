package main_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gpu-preflight/testdata/fixture"

	"github.com/pelletier/go-toml/v2"
)

// installNeeds are the programs that install.sh may use; with Go and git it can build.
var installNeeds = []string{"sh", "cat", "chmod", "cp", "dirname", "find", "head", "id", "ln", "mkdir", "mktemp", "mv", "rm", "sed"}

// pathOf makes a folder for PATH that holds only these programs.
func pathOf(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		found, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(found, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// install runs install.sh of a folder and returns what it printed and its exit code.
func install(t *testing.T, from, path string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(from, "install.sh"), args...)
	cmd.Env = append(os.Environ(), "PATH="+path, "CC=gcc")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// mustInstall is install where anything but exit code 0 ends the test.
func mustInstall(t *testing.T, from, path string, args ...string) string {
	t.Helper()
	out, code := install(t, from, path, args...)
	if code != 0 {
		t.Fatalf("install.sh %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// release makes a folder as it is unpacked from a release: install.sh, deploy and programs beside each other.
func release(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS(filepath.Join(fixture.Root(), "deploy"))); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(fixture.Root(), "install.sh"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "install.sh"), string(script), 0o755)
	for _, name := range programs {
		write(t, filepath.Join(dir, name), "#!/bin/sh\necho \"$(basename \"$0\") $*\"\n", 0o755)
	}
	return dir
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// tree lists what is below a folder: mode, path, and where a symbolic link points.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := info.Mode().String() + " " + strings.TrimPrefix(path, dir)
		if target, err := os.Readlink(path); err == nil {
			line += " -> " + target
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		t.Fatalf("stat %s: %v", path, err)
	}
	return stat.Ino
}

var allPrograms = []string{"gpu-preflight", "gpu-preflight-hook", "gpu-preflight-nvml"}

func TestInstallFromRelease(t *testing.T) {
	from, path, dest := release(t, allPrograms...), pathOf(t, installNeeds...), t.TempDir()
	mustInstall(t, from, path, "--destdir", dest)
	want := []string{
		"drwxr-xr-x /etc",
		"drwxr-xr-x /etc/gpu-preflight",
		"-rw-r--r-- /etc/gpu-preflight/config.toml",
		"drwxr-xr-x /etc/logrotate.d",
		"-rw-r--r-- /etc/logrotate.d/gpu-preflight",
		"drwxr-xr-x /usr",
		"drwxr-xr-x /usr/local",
		"drwxr-xr-x /usr/local/bin",
		"-rwxr-xr-x /usr/local/bin/gpu-preflight",
		"-rwxr-xr-x /usr/local/bin/gpu-preflight-hook",
		"-rwxr-xr-x /usr/local/bin/gpu-preflight-nvml",
		"-rwxr-xr-x /usr/local/bin/gpu-preflight-runtime",
		"drwxr-xr-x /var",
		"drwxr-xr-x /var/log",
		"drwxr-xr-x /var/log/gpu-preflight",
	}
	if got := tree(t, dest); !slices.Equal(got, want) {
		t.Errorf("installed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	hook, shim := dest+"/usr/local/bin/gpu-preflight-hook", dest+"/usr/local/bin/gpu-preflight-runtime"
	if inode(t, hook) != inode(t, shim) {
		t.Error("gpu-preflight-runtime is no hard link to gpu-preflight-hook")
	}
}

// TestReinstall: the policy stays as it was edited, and programs are new files (a running one is never written over).
func TestReinstall(t *testing.T) {
	from, path, dest := release(t, allPrograms...), pathOf(t, installNeeds...), t.TempDir()
	mustInstall(t, from, path, "--destdir", dest)
	hook, shim := dest+"/usr/local/bin/gpu-preflight-hook", dest+"/usr/local/bin/gpu-preflight-runtime"
	config := dest + "/etc/gpu-preflight/config.toml"
	write(t, config, "mode = \"warn\"\n", 0o644)
	old, err := os.Open(hook)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	before := inode(t, hook)
	mustInstall(t, from, path, "--destdir", dest)
	if text, err := os.ReadFile(config); err != nil || string(text) != "mode = \"warn\"\n" {
		t.Errorf("the edited policy became %q (%v)", text, err)
	}
	if after := inode(t, hook); after == before || inode(t, shim) != after {
		t.Errorf("inodes: hook %d, then %d, shim %d", before, after, inode(t, shim))
	}
	for _, line := range tree(t, dest) {
		if strings.Contains(line, ".new.") {
			t.Errorf("left behind: %s", line)
		}
	}
}

func TestInstallDryRunChangesNothing(t *testing.T) {
	from, path, dest := release(t, allPrograms...), pathOf(t, installNeeds...), t.TempDir()
	out := mustInstall(t, from, path, "--dry-run", "--destdir", dest)
	if got := tree(t, dest); len(got) != 0 {
		t.Errorf("a dry run made %v", got)
	}
	for _, action := range []string{"/usr/local/bin/gpu-preflight-hook", "ln", "/etc/gpu-preflight/config.toml", "/etc/logrotate.d/gpu-preflight"} {
		if !strings.Contains(out, action) {
			t.Errorf("a dry run does not name %s:\n%s", action, out)
		}
	}
	mustInstall(t, from, path, "--destdir", dest)
	before := tree(t, dest)
	out = mustInstall(t, from, path, "--uninstall", "--purge", "--dry-run", "--destdir", dest)
	if got := tree(t, dest); !slices.Equal(got, before) {
		t.Errorf("a dry run of --uninstall left %v of %v", got, before)
	}
	if !strings.Contains(out, "rm -f "+dest+"/usr/local/bin/gpu-preflight-hook") {
		t.Errorf("a dry run of --uninstall does not name the hook:\n%s", out)
	}
}

func TestUninstall(t *testing.T) {
	from, path := release(t, allPrograms...), pathOf(t, append([]string{"basename"}, installNeeds...)...)
	installed := func(t *testing.T) string {
		dest := t.TempDir()
		mustInstall(t, from, path, "--destdir", dest)
		return dest
	}
	t.Run("keeps the policy and the records", func(t *testing.T) {
		dest := installed(t)
		out := mustInstall(t, from, path, "--uninstall", "--destdir", dest)
		files := strings.Join(tree(t, dest), "\n")
		if strings.Contains(files, "bin/gpu-preflight") || strings.Contains(files, "logrotate.d/gpu-preflight") {
			t.Errorf("left behind:\n%s", files)
		}
		if !strings.Contains(files, "/etc/gpu-preflight/config.toml") || !strings.Contains(files, "/var/log/gpu-preflight") || !strings.Contains(out, "--purge") {
			t.Errorf("it printed\n%sand left\n%s", out, files)
		}
	})
	t.Run("--purge leaves nothing", func(t *testing.T) {
		dest := installed(t)
		mustInstall(t, from, path, "--uninstall", "--purge", "--destdir", dest)
		if files := strings.Join(tree(t, dest), "\n"); strings.Contains(files, "gpu-preflight") {
			t.Errorf("left behind:\n%s", files)
		}
	})
}

// TestUninstallUnregistersFirst: an engine that names a program which is gone starts no container.
func TestUninstallUnregistersFirst(t *testing.T) {
	from, path, dest := release(t, allPrograms...), pathOf(t, installNeeds...), t.TempDir()
	mustInstall(t, from, path, "--destdir", dest)
	write(t, dest+"/var/lib/gpu-preflight/register/docker.json", "{}", 0o600)
	program, err := os.ReadFile(dest + "/usr/local/bin/gpu-preflight")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dest+"/usr/local/bin/gpu-preflight", "#!/bin/sh\nexit 1\n", 0o755)
	before := tree(t, dest)
	out, code := install(t, from, path, "--uninstall", "--destdir", dest)
	if code != 1 || !slices.Equal(tree(t, dest), before) {
		t.Errorf("exit code %d, left %v of %v\n%s", code, tree(t, dest), before, out)
	}
	write(t, dest+"/usr/local/bin/gpu-preflight", string(program), 0o755)
	if out := mustInstall(t, from, path, "--uninstall", "--destdir", dest); !strings.Contains(out, "gpu-preflight --root "+dest+" unregister --prefix /usr/local\n") {
		t.Errorf("gpu-preflight unregister did not run:\n%s", out)
	}
}

func TestInstallRefusesWrongUse(t *testing.T) {
	from, path := release(t), pathOf(t, installNeeds...)
	rows := []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--bogus"}, 2, "unknown option --bogus"},
		{[]string{"file"}, 2, "unknown option file"},
		{[]string{"--prefix"}, 2, "--prefix wants a folder"},
		{[]string{"--prefix", "relative"}, 2, "absolute"},
		{[]string{"--purge"}, 2, "--uninstall"},
		{[]string{"--destdir", t.TempDir()}, 1, "no programs beside this script"},
		{[]string{"--register"}, 2, "--register wants auto, none or engines"},
		{[]string{"--help"}, 0, "Examples:"},
	}
	for _, row := range rows {
		out, code := install(t, from, path, row.args...)
		if code != row.code || !strings.Contains(out, row.says) {
			t.Errorf("install.sh %v: exit code %d, want %d and %q:\n%s", row.args, code, row.code, row.says, out)
		}
	}
}

func TestInstallBuilds(t *testing.T) {
	path := pathOf(t, append([]string{"go"}, installNeeds...)...)
	dest := t.TempDir()
	out := mustInstall(t, fixture.Root(), path, "--destdir", dest, "--prefix", "/opt/gp")
	if _, err := os.Stat(dest + "/opt/gp/bin/gpu-preflight-nvml"); err == nil || !strings.Contains(out, "WITHOUT gpu-preflight-nvml: no C compiler (gcc)") {
		t.Errorf("no C compiler in PATH (stat of the helper: %v), and it printed\n%s", err, out)
	}
	for _, name := range []string{"gpu-preflight", "gpu-preflight-hook"} {
		if text, err := os.ReadFile(dest + "/opt/gp/bin/" + name); err != nil || !bytes.HasPrefix(text, []byte("\x7fELF")) {
			t.Errorf("%s is no program (%v)", name, err)
		}
	}
	if text, err := exec.CommandContext(t.Context(), dest+"/opt/gp/bin/gpu-preflight", "--help").Output(); err != nil || len(text) == 0 {
		t.Errorf("the installed gpu-preflight --help: %v, %q", err, text)
	}
}

func TestDefaultConfig(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(fixture.Root(), "deploy", "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var asShipped, uncommented map[string]any
	if err := toml.Unmarshal(text, &asShipped); err != nil || len(asShipped) != 0 {
		t.Errorf("as shipped it sets %v (%v), want nothing", asShipped, err)
	}
	var lines []byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("# ")) {
			lines = append(lines, bytes.TrimPrefix(line, []byte("#"))...)
		}
	}
	if err := toml.Unmarshal(lines, &uncommented); err != nil {
		t.Fatalf("with every default in force: %v", err)
	}
	for _, key := range []string{"mode", "requirement", "evidence", "unknown", "timeout", "nvml_timeout", "settle", "overrides", "checks", "exempt", "host", "runtime", "log"} {
		if _, ok := uncommented[key]; !ok {
			t.Errorf("the default of %s is not shown", key)
		}
	}
}
