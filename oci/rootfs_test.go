package oci

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRootfsAttacks lays out what an image's author can put into a root file system. Every row must end, and
// none may give out what lies outside.
func TestRootfsAttacks(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(target string) func(string) error {
		return func(path string) error { return os.Symlink(target, path) }
	}
	for _, tt := range []struct {
		about string
		make  func(path string) error
		path  string // default /etc/f
		want  string // content, or
		err   string
	}{
		{"a file", func(p string) error { return os.WriteFile(p, []byte("inside"), 0o600) }, "", "inside", ""},
		{"absolute link, taken from the root", link("/etc/real"), "", "real", ""},
		{"absolute link out", link(secret), "", "", "no such file"},
		{"link of many .. to a file inside", link("../../../../../../../../etc/real"), "", "real", ""},
		{"link of many .. out", link("../../../../../../../.." + secret), "", "", "no such file"},
		{".. in the path", link("real"), "/etc/../../../../.." + secret, "", "no such file"},
		{"a folder that is a link out", link(outside), "/etc/f/secret", "", "no such file"},
		{"a loop", link("f"), "", "", "too many levels of symbolic links"},
		{"a FIFO", func(p string) error { return unix.Mkfifo(p, 0o600) }, "", "", "neither a regular file nor a folder"},
		{"a link to a device outside", link("/dev/zero"), "", "", "no such file"},
		{"a socket", func(p string) error { return unix.Mknod(p, unix.S_IFSOCK|0o600, 0) }, "", "", "neither a regular file nor a folder"},
		{"a folder", func(p string) error { return os.Mkdir(p, 0o700) }, "", "", "not a regular file"},
		{"a magic link of /proc", link("/proc/self/root" + secret), "", "", "no such file"},
		{"a magic link to our own descriptors", link("/proc/self/fd/0"), "", "", "no such file"},
		{"huge", func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o600), os.Truncate(p, 1<<40))
		}, "", "", "more than 64 bytes"},
		{"a name too long", link("real"), "/etc/" + strings.Repeat("n", 300), "", "file name too long"},
		{"a path of 3,000 folders", link("real"), strings.Repeat("/d", 3000), "", ""},
	} {
		t.Run(tt.about, func(t *testing.T) {
			top := t.TempDir()
			must(t, os.Mkdir(filepath.Join(top, "etc"), 0o700))
			must(t, os.WriteFile(filepath.Join(top, "etc", "real"), []byte("real"), 0o600))
			must(t, tt.make(filepath.Join(top, "etc", "f")))
			root := openRootfs(t, top)
			path := tt.path
			if path == "" {
				path = "/etc/f"
			}
			data, err := root.ReadFile(path, 64)
			switch {
			case tt.want != "" && (err != nil || string(data) != tt.want):
				t.Errorf("%q, %v, want %q", data, err, tt.want)
			case tt.want == "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("%q, error %v, want %s", data, err, tt.err)
			}
		})
	}
}

// The kernel's own file systems may be mounted in a root file system; their magic links lead nowhere.
func TestRootfsMagicLinks(t *testing.T) {
	root := openRootfs(t, "/")
	for _, path := range []string{"/proc/self/root/etc/hostname", "/proc/self/cwd/rootfs_test.go"} {
		if data, err := root.ReadFile(path, 4096); err == nil {
			t.Errorf("%s: read %d bytes through a magic link", path, len(data))
		}
	}
}

// A folder that becomes a link out while it is read must never show what the link leads to.
func TestRootfsSwappedFolder(t *testing.T) {
	outside, top := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "f"), []byte("secret"), 0o600))
	must(t, os.Mkdir(filepath.Join(top, "real"), 0o700))
	must(t, os.WriteFile(filepath.Join(top, "real", "f"), []byte("inside"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(top, "out")))
	root := openRootfs(t, top)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(top, "real"), unix.AT_FDCWD, filepath.Join(top, "out"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	inside := 0
	for range 500 {
		data, err := root.ReadFile("/real/f", 64)
		if err == nil && string(data) != "inside" {
			t.Fatalf("read %q", data)
		}
		if err == nil {
			inside++
		}
	}
	close(stop)
	<-done
	if inside == 0 {
		t.Error("the file was never read")
	}
}

func TestRootfsReadDir(t *testing.T) {
	top := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(filepath.Join(top, name), nil, 0o600))
	}
	must(t, os.Mkdir(filepath.Join(top, "empty"), 0o700))
	root := openRootfs(t, top)
	if names, err := root.ReadDir("/", 4); err != nil || len(names) != 4 {
		t.Errorf("%q, %v", names, err)
	}
	var tooLarge *TooLargeError
	if names, err := root.ReadDir("/", 3); !errors.As(err, &tooLarge) || len(names) != 3 {
		t.Errorf("%q, %v", names, err)
	}
	if names, err := root.ReadDir("/empty", 3); err != nil || len(names) != 0 {
		t.Errorf("%q, %v", names, err)
	}
	if _, err := root.ReadDir("/absent", 3); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := root.ReadDir("/a", 3); err == nil {
		t.Error("a file was read as a folder")
	}
}

func openRootfs(t *testing.T, path string) *Rootfs {
	t.Helper()
	root, err := OpenRootfs(path)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
