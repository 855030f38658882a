package shim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadNext: one absolute path in a regular file that nobody else may write; anything else is not run as root.
func TestReadNext(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		about, text string
		mode        os.FileMode
		want        string // the path, empty: refused
	}{
		{"a path", "/usr/bin/runc", 0o644, "/usr/bin/runc"},
		{"with a newline", "/usr/bin/runc\n", 0o600, "/usr/bin/runc"},
		{"others may write it", "/usr/bin/runc", 0o646, ""},
		{"its group may write it", "/usr/bin/runc", 0o664, ""},
		{"relative", "runc", 0o644, ""},
		{"empty", "", 0o644, ""},
		{"two paths", "/usr/bin/runc\n/usr/bin/crun\n", 0o644, ""},
		{"a zero byte", "/usr/bin/runc\x00", 0o644, ""},
		{"too long", "/" + strings.Repeat("x", maxNext), 0o644, ""},
	} {
		file := filepath.Join(dir, "next")
		write(t, file, tt.text)
		must(t, os.Chmod(file, tt.mode))
		if got, err := readNext(file); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v", tt.about, got, err)
		}
		must(t, os.Remove(file))
	}
	if os.Geteuid() == 0 {
		file := filepath.Join(dir, "foreign")
		write(t, file, "/usr/bin/runc")
		must(t, os.Chown(file, 65534, 65534))
		if got, err := readNext(file); err == nil {
			t.Errorf("a file of another user: %q", got)
		}
	}
	link := filepath.Join(dir, "link")
	must(t, os.Symlink("/etc/hostname", link))
	for _, file := range []string{link, dir, mkfifo(t), "/dev/null"} {
		if got, err := readNext(file); err == nil {
			t.Errorf("%s: %q", file, got)
		}
	}
	if _, err := readNext(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

// TestRegisteredChain: a shim behind a shim is passed over, and one that leads back to itself starts nothing.
func TestRegisteredChain(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	shimIn := func(name, next string) string {
		folder := filepath.Join(dir, name)
		write(t, filepath.Join(folder, "next"), next)
		must(t, os.Symlink(self, filepath.Join(folder, Name)))
		return filepath.Join(folder, Name)
	}
	last := shimIn("last", "/bin/true")
	first := shimIn("first", last)
	if got, err := next(first, "/nowhere"); err != nil || got != "/bin/true" {
		t.Errorf("two shims: %q, %v", got, err)
	}
	loop := filepath.Join(dir, "loop", Name)
	if got, err := next(shimIn("loop", loop), "/nowhere"); err == nil {
		t.Errorf("a loop leads to %q", got)
	}
	config, noProgram := filepath.Join(dir, "config.toml"), filepath.Join(dir, "no-program")
	write(t, noProgram, "")
	write(t, config, "[runtime]\nruntimes = [\""+self+"\", \"/nowhere\", \""+noProgram+"\", \"/bin\", \"/bin/true\"]\n")
	if got, err := next(filepath.Join(dir, "unregistered", Name), config); err != nil || got != "/bin/true" {
		t.Errorf("by the policy: %q, %v", got, err)
	}
	write(t, config, "[runtime]\nruntimes = [\""+self+"\"]\n")
	if got, err := next(Name, config); err == nil {
		t.Errorf("only ourselves: %q", got)
	}
}

func mkfifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(path, 0o600))
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
