package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpu-preflight/hook/record"
	"gpu-preflight/testdata/fixture"
)

// TestFUSEThatNeverAnswers: a root file system that hangs in the kernel costs a launch its deadline, and the next launches
// nothing; what lies in it is unknown, and the container starts. The reader that nobody can kill is left behind and noted.
func TestFUSEThatNeverAnswers(t *testing.T) {
	i := newImage(t)
	whole := i.rootfs + "-whole"
	if err := os.Rename(i.rootfs, whole); err != nil {
		t.Fatal(err)
	}
	i.policy(t, "timeout = \"3s\"\n")
	dir, release := fixture.FUSE(t)
	link(t, dir, i.rootfs)
	before := hung(t)

	code, stderr, first := i.launch(t)
	startsUnread(t, code, stderr, first, "no answer in time: process ")
	if what := ofImage(first).What; !strings.Contains(what, "does not die and was left behind") {
		t.Errorf("unknown is %q: was it left behind?", what)
	}
	if n := len(hung(t)) - len(before); n != 1 {
		t.Errorf("%d notes of a child that was left behind", n)
	}
	code, stderr, second := i.launch(t)
	startsUnread(t, code, stderr, second, "an earlier one still hangs in the kernel")

	i.policy(t, patient)
	release()
	if err := os.Remove(i.rootfs); err != nil {
		t.Fatal(err)
	}
	link(t, whole, i.rootfs)
	for range 1000 { // until the kernel has taken the first reader apart
		var third record.Record
		if code, stderr, third = i.launch(t); code == 1 {
			break
		}
		startsUnread(t, code, stderr, third, "an earlier one still hangs in the kernel")
		time.Sleep(10 * time.Millisecond)
	}
	if code != 1 || !strings.Contains(stderr, "torch was built for CUDA 13.0") {
		t.Errorf("the root file system answers, and the launch ends with %d: %s", code, stderr)
	}
	if n := len(hung(t)) - len(before); n != 0 {
		t.Errorf("%d notes of a child that is gone", n)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// hung lists the notes of readers that were left behind.
func hung(t *testing.T) []string {
	t.Helper()
	notes, err := filepath.Glob("/run/gpu-preflight/hung-rootfs-*")
	if err != nil {
		t.Fatal(err)
	}
	return notes
}

// startsUnread wants a launch that starts, and whose record says that the image could not be read and why.
func startsUnread(t *testing.T, code int, stderr string, r record.Record, why string) {
	t.Helper()
	one := ofImage(r)
	if code != 0 || stderr != "" || r.Verdict != "allow" || one.Status != unknown || !strings.Contains(one.What, why) {
		t.Fatalf("exit code %d, %q, %s: %q: %s, want unknown with %q", code, stderr, r.Verdict, one.Status, one.What, why)
	}
}
