package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks"
	"gpu-preflight/hook/record"
)

// secret stands in files outside the image; nobody may ever say it.
const secret = "77.7"

const conf = "etc/ld.so.conf.d/x.conf"

// What the check on the image's CUDA says; nothing where it passes or is skipped.
const (
	starts  = checks.Status("")
	unknown = checks.StatusUnknown
	warns   = checks.StatusWarn
	refuses = checks.StatusFail
	doubts  = checks.Status("not fail") // anything but a refusal
)

const built130 = "torch was built for CUDA 13.0"

// attack is one thing that an image's author may do, and what becomes of the launch.
type attack struct {
	about string
	do    func(i image, outside string) error
	want  checks.Status
	what  string // words of the result
}

// attacks put something in the place of a file or a folder of the image.
func attacks() []attack {
	in := func(file string, do func(path string) error) func(image, string) error {
		return func(i image, _ string) error {
			path := i.path(file)
			return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.RemoveAll(path), do(path))
		}
	}
	linked := func(file, target string) func(image, string) error {
		return func(i image, outside string) error {
			path := i.path(file)
			return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.RemoveAll(path), os.Symlink(strings.ReplaceAll(target, "OUTSIDE", outside), path))
		}
	}
	named := func(name string) func(image, string) error { // instead of torch
		return func(i image, _ string) error {
			return errors.Join(os.RemoveAll(i.path(site)), os.MkdirAll(i.path(site+"/"+name), 0o755))
		}
	}
	fifo := func(path string) error { return unix.Mkfifo(path, 0o666) }
	socket := func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o666, 0) }
	zero := func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) }
	folder := func(path string) error { return os.Mkdir(path, 0o755) }
	up := strings.Repeat("../", 40)
	text := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o755) }
	}
	return []attack{
		{"the file a link out", linked(torch, "OUTSIDE/version.py"), starts, ""},
		{"the file a link out by ..", linked(torch, up+"OUTSIDE/version.py"), starts, ""},
		{"a folder a link out", linked(site+"/torch", "OUTSIDE"), starts, ""},
		{"a folder a link to /", linked(site+"/torch", "/"), starts, ""},
		{"a folder a link to ../../..", linked(site+"/torch", up), starts, ""},
		{"the site-packages a link to /", linked(site, "/"), starts, ""},
		{"the site-packages a link out", linked(site, "OUTSIDE/.."), starts, ""},
		{"/opt a link to itself", linked("opt", "opt"), unknown, "too many levels of symbolic links"},
		{"/usr/local a link to itself", linked("usr/local", "local"), warns, built130},
		{"/usr a link to /", linked("usr", "/"), refuses, built130},
		{"two links in a circle", func(i image, _ string) error {
			return errors.Join(linked(torch, "other.py")(i, ""), linked(site+"/torch/other.py", "version.py")(i, ""))
		}, unknown, "too many levels of symbolic links"},
		{"through /proc/self/root", linked(torch, "/proc/self/rootOUTSIDE/version.py"), starts, ""},
		{"through /proc/1/root", linked(torch, "/proc/1/rootOUTSIDE/version.py"), starts, ""},
		{"through /proc/self/cwd", linked(site+"/torch", "/proc/self/cwd"), starts, ""},
		{"through our descriptors", linked(torch, "/proc/self/fd/0"), starts, ""},
		{"to /dev/stdin", linked(torch, "/dev/stdin"), starts, ""},
		{"to the host's /dev/zero", linked(torch, "/dev/zero"), starts, ""},
		{"the interpreter a link out", linked("opt/venv/bin/python3", "OUTSIDE/python3"), warns, built130},
		{"pyvenv.cfg a link out", linked("opt/venv/pyvenv.cfg", "OUTSIDE/version.py"), refuses, built130},

		{"version.py a FIFO", in(torch, fifo), unknown, "neither a regular file nor a folder"},
		{"version.py a socket", in(torch, socket), unknown, "neither a regular file nor a folder"},
		{"version.py a device", in(torch, zero), unknown, "neither a regular file nor a folder"},
		{"version.py a folder", in(torch, folder), unknown, "not a regular file"},
		{"pyvenv.cfg a FIFO", in("opt/venv/pyvenv.cfg", fifo), warns, built130},
		{"pyvenv.cfg a socket", in("opt/venv/pyvenv.cfg", socket), warns, built130},
		{"pyvenv.cfg a device", in("opt/venv/pyvenv.cfg", zero), warns, built130},
		{"pyvenv.cfg a folder", in("opt/venv/pyvenv.cfg", folder), warns, built130},
		{"METADATA a FIFO", in(site+"/torch-2.9.1.dist-info/METADATA", fifo), refuses, built130},
		{"METADATA a socket", in(site+"/torch-2.9.1.dist-info/METADATA", socket), refuses, built130},
		{"METADATA a device", in(site+"/torch-2.9.1.dist-info/METADATA", zero), refuses, built130},
		{"METADATA a folder", in(site+"/torch-2.9.1.dist-info/METADATA", folder), refuses, built130},
		{"the loader's configuration a FIFO", in(conf, fifo), warns, built130},
		{"the loader's configuration a socket", in(conf, socket), warns, built130},
		{"the loader's configuration a device", in(conf, zero), warns, built130},
		{"the loader's configuration a folder", in(conf, folder), warns, built130},
		{"libcuda a FIFO", in("usr/local/cuda/compat/libcuda.so.580.65.06", fifo), refuses, built130},
		{"libcuda a device", in("usr/local/cuda/compat/libcuda.so.580.65.06", zero), refuses, built130},
		{"libcuda a folder", in("usr/local/cuda/compat/libcuda.so.580.65.06", folder), refuses, built130},
		{"libcuda a link out", linked("usr/local/cuda/compat/libcuda.so.580.65.06", "OUTSIDE/version.py"), refuses, built130},
		{"passwd a FIFO", in("etc/passwd", fifo), refuses, built130},
		{"the interpreter a FIFO", in("opt/venv/bin/python3", fifo), warns, built130},
		{"the site-packages a FIFO", in(site, fifo), unknown, "neither a regular file nor a folder"},

		{"version.py of 1 GB with holes", in(torch, func(path string) error {
			return errors.Join(text("cuda = '13.0'\n")(path), os.Truncate(path, 1<<30))
		}), unknown, "more than 65536 bytes"},
		{"version.py of 1 GB", in(torch, gigabyte), unknown, "more than 65536 bytes"},
		{"pyvenv.cfg of 1 GB with holes", in("opt/venv/pyvenv.cfg", func(path string) error {
			return errors.Join(text("version = 3.11\n")(path), os.Truncate(path, 1<<30))
		}), warns, built130},
		{"an interpreter of 1 GB with holes", in("opt/venv/bin/python3", func(path string) error {
			return errors.Join(text("#!/x\n")(path), os.Truncate(path, 1<<30))
		}), refuses, built130},
		{"a version of 1 MB", in(torch, text("cuda = '"+strings.Repeat("9", 1<<20)+".0'\n")), unknown, "more than 65536 bytes"},
		{"a version of 50 KB", in(torch, text("cuda = '"+strings.Repeat("9", 50<<10)+".0'\n")), starts, ""},
		{"a version with control characters", in(torch, text("cuda = '13.0\x1b[2J\n'\n")), starts, ""},
		{"a version that is no UTF-8", in(torch, text("cuda = '\xff\xfe13.0'\n")), starts, ""},
		{"a version with digits of other scripts", in(torch, text("cuda = '١٣.٠'\n")), starts, ""},
		{"zero bytes", in(torch, text(strings.Repeat("\x00", 1000)+"\ncuda = '12.2'\x00\n")), starts, ""},

		{"folders in folders", func(i image, _ string) error { return deep(i.path("srv"), 500) }, refuses, built130},
		{"a shebang that names itself", in("opt/venv/bin/python3", text("#!/opt/venv/bin/python3\n")), warns, built130},
		{"two scripts in a circle", func(i image, _ string) error {
			return errors.Join(in("opt/venv/bin/python3", text("#!/a\n"))(i, ""), in("a", text("#!/opt/venv/bin/python3\n"))(i, ""))
		}, warns, built130},
		{"python -> python3 -> python", func(i image, _ string) error {
			return errors.Join(linked("opt/venv/bin/python3", "python")(i, ""), linked("opt/venv/bin/python", "python3")(i, ""))
		}, warns, built130},
		{"a shebang without an end", in("opt/venv/bin/python3", text("#!"+strings.Repeat("/x", 30<<10))), refuses, built130},
		{"a name with control characters", named("jax_cuda14_plugin-\x1b[31m\n\r\xff1.dist-info"), refuses, "jax was built for CUDA 14.0"},
		{"a name that docker acts on", named("jax_cuda14_plugin-Permission\ndenied, is a directory.dist-info"), refuses, "jax was built for CUDA 14.0"},
		{"a long name", named("jax_cuda14_plugin-" + strings.Repeat("no such file or directory ", 8) + ".dist-info"), refuses, "jax was built for CUDA 14.0"},
		{"libcuda with a hostile name", in("usr/local/cuda/compat/libcuda.so.580.65.06\x1b[2J is a directory", text("x")), warns, built130},
		{"libcuda with hostile headers", in("usr/local/cuda/compat/libcuda.so.580.65.06", hostileELF), doubts, ""},
		{"nothing may be read", func(i image, _ string) error {
			return errors.Join(os.Chmod(i.path(torch), 0), os.Chmod(i.path("opt"), 0), os.Chmod(i.rootfs, 0))
		}, refuses, built130},

		{"the root a link", func(i image, outside string) error {
			return errors.Join(os.Rename(i.rootfs, outside+"/real"), os.Symlink(outside+"/real", i.rootfs))
		}, refuses, built130},
		{"no root", func(i image, _ string) error { return os.RemoveAll(i.rootfs) }, unknown, "open rootfs"},
		{"the root a file", func(i image, _ string) error {
			return errors.Join(os.RemoveAll(i.rootfs), os.WriteFile(i.rootfs, nil, 0o600))
		}, unknown, "open rootfs"},
		{"the root a FIFO", func(i image, _ string) error { return errors.Join(os.RemoveAll(i.rootfs), fifo(i.rootfs)) }, unknown, "open rootfs"},
		{"the root empty", func(i image, _ string) error {
			return errors.Join(os.RemoveAll(i.rootfs), os.Mkdir(i.rootfs, 0o755))
		}, unknown, "it is not mounted"},
	}
}

// gigabyte writes a file of 1 GB that has no holes.
func gigabyte(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	piece := bytes.Repeat([]byte("cuda = '13.0'\n# "), 1<<16)
	for written := 0; written < 1<<30; written += len(piece) {
		if _, err := f.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// deep makes folders in folders, deeper than a path can say.
func deep(top string, levels int) error {
	if err := os.Mkdir(top, 0o755); err != nil {
		return err
	}
	at, err := unix.Open(top, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range levels {
		if err != nil {
			return err
		}
		if err = unix.Mkdirat(at, strings.Repeat("d", 200), 0o755); err != nil {
			break
		}
		var next int
		next, err = unix.Openat(at, strings.Repeat("d", 200), unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		_ = unix.Close(at)
		at = next
	}
	_ = unix.Close(at)
	return err
}

// hostileELF writes the head of an ELF library whose tables lie and have sizes beyond every bound.
func hostileELF(path string) error {
	head := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	head = append(head, 3, 0, 62, 0, 1, 0, 0, 0)
	head = append(head, bytes.Repeat([]byte{0xff}, 40)...)
	return os.WriteFile(path, append(head, bytes.Repeat([]byte{0xff}, 4096)...), 0o755)
}

// TestHostileImages: whatever lies in an image, the launch ends, with the right verdict, and nothing from outside is said.
func TestHostileImages(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root: devices are made")
	}
	for _, a := range attacks() {
		t.Run(a.about, func(t *testing.T) {
			i, outside := newImage(t), filepath.Join(t.TempDir(), "torch")
			for _, name := range []string{"version.py", "python3"} {
				if err := errors.Join(os.MkdirAll(outside, 0o755), os.WriteFile(filepath.Join(outside, name), []byte("cuda = '"+secret+"'\n"), 0o755)); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.do(i, outside); err != nil {
				t.Fatal(err)
			}
			i.wants(t, a.want, a.what)
		})
	}
}

// TestManyFiles: 200,000 files beside what is read cost nothing; in a folder that is read they are too many.
func TestManyFiles(t *testing.T) {
	i := newImage(t)
	full := filepath.Join(t.TempDir(), "full")
	mount := func(source, target, fstype string, flags uintptr) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(target, 0o755), unix.Mount(source, target, fstype, flags, "")); err != nil {
			t.Skipf("mount: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	}
	mount("many", full, "tmpfs", 0)
	for n := range 200_000 {
		if err := unix.Mknod(fmt.Sprintf("%s/a%07d", full, n), unix.S_IFREG|0o644, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, place := range []string{"usr/share/files", "home", "opt/venv/share", site + "/numpy", site + "/torch/lib"} {
		mount(full, i.path(place), "", unix.MS_BIND)
	}
	i.wants(t, refuses, built130)
	for _, place := range []string{"usr/local/cuda", "usr/local/lib", "etc/ld.so.conf.d"} { // where libraries are looked for
		mount(full, i.path(place), "", unix.MS_BIND)
	}
	i.wants(t, warns, built130)
	mount(full, i.path(site), "", unix.MS_BIND)
	i.wants(t, unknown, "more than 4096 entries")
}

// TestFilesThatChange: an image that changes while it is looked into gives one answer or the other, and never a file outside.
func TestFilesThatChange(t *testing.T) {
	i, outside := newImage(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "version.py"), []byte("cuda = '"+secret+"'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link(t, outside, i.path(site+"/other"))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = unix.Renameat2(unix.AT_FDCWD, i.path(site+"/torch"), unix.AT_FDCWD, i.path(site+"/other"), unix.RENAME_EXCHANGE)
			_ = os.Truncate(i.path("opt/venv/pyvenv.cfg"), int64(n%2)<<30)
		}
	}()
	for range 40 {
		_, stderr, r := i.launch(t)
		harmless(t, stderr, r, "")
	}
	close(stop)
	<-done
}

// TestUnknownRefused: a policy may refuse what is not known; then, too, the message is harmless.
func TestUnknownRefused(t *testing.T) {
	i := newImage(t)
	i.policy(t, "unknown = \"refuse\"\n[checks]\ncuda-driver-version = \"refuse\"\n")
	if err := os.RemoveAll(i.rootfs); err != nil {
		t.Fatal(err)
	}
	code, stderr, r := i.launch(t)
	if harmless(t, stderr, r, ""); code != 1 || !strings.Contains(stderr, "open rootfs") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// wants launches, and judges the same bundle on the command line.
func (i image) wants(t *testing.T, want checks.Status, what string) {
	t.Helper()
	code, stderr, r := i.launch(t)
	got := ofImage(r)
	if want == doubts && got.Status != refuses {
		want = got.Status
	}
	if got.Status != want || (code == 1) != (want == refuses) || !strings.Contains(got.What, what) {
		t.Errorf("exit code %d, %q: %s, want %q with %q", code, got.Status, got.What, want, what)
	}
	report, err := i.check(t)
	if (err != nil) != (want == refuses) || !strings.Contains(report, what) {
		t.Errorf("check: %v, want %s with %q: %q", err, want, what, report)
	}
	harmless(t, stderr, r, report)
}

// ofImage is what a launch's record says of the image's CUDA.
func ofImage(r record.Record) checks.Result {
	at := slices.IndexFunc(r.Results, func(one checks.Result) bool { return one.ID == "cuda-driver-version" })
	if at < 0 {
		return checks.Result{}
	}
	return r.Results[at]
}

// check is gpu-preflight check on the same bundle and host.
func (i image) check(t *testing.T) (string, error) {
	t.Helper()
	out, err := i.run(t, "gpu-preflight", "--root="+i.root, "--config="+i.config, "check", "--verbose", "--bundle="+i.bundle)
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		t.Errorf("check: %v: %s", err, out)
	}
	return out, err
}

// harmless wants text that no terminal and no engine acts on, and nothing of the files outside.
func harmless(t *testing.T, message string, r record.Record, report string) {
	t.Helper()
	line, err := record.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	for text, allowed := range map[string]string{message: "", report: "\n", string(line): "\n"} {
		if strings.Contains(text, secret) {
			t.Errorf("it tells what lies outside: %q", text)
		}
		if i := strings.IndexFunc(text, func(c rune) bool { return unicode.IsControl(c) && !strings.ContainsRune(allowed, c) }); i >= 0 || !utf8.ValidString(text) {
			t.Errorf("control characters, or no UTF-8: %q", text)
		}
	}
	if strings.ContainsFunc(message, func(c rune) bool { return c > unicode.MaxASCII }) || len(message) > 900 {
		t.Errorf("%d bytes, or not in ASCII: %q", len(message), message)
	}
	for _, words := range rewritten {
		if strings.Contains(strings.ToLower(message), words) {
			t.Errorf("docker rewrites the exit code on %q: %q", words, message)
		}
	}
}
