package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/hook/record"
	"gpu-preflight/testdata/fixture"
)

// TestFUSEThatNeverAnswers: a root file system that hangs in the kernel costs a launch its deadline, and the next launches
// nothing; what lies in it is unknown, and the container starts. The reader that nobody can kill is left behind and noted.
func TestFUSEThatNeverAnswers(t *testing.T) {
	i := newImage(t)
	real := i.rootfs + "-real"
	if err := os.Rename(i.rootfs, real); err != nil {
		t.Fatal(err)
	}
	dir, release := fixture.FUSE(t)
	link(t, dir, i.rootfs)
	before := hung(t)

	code, stderr, first := i.launch(t)
	startsUnread(t, code, stderr, first, "no answer in time: process ")
	if !strings.Contains(first.Results[0].What, "does not die and was left behind") {
		t.Errorf("unknown is %q: was it left behind?", first.Results[0].What)
	}
	if n := len(hung(t)) - len(before); n != 1 {
		t.Errorf("%d notes of a child that was left behind", n)
	}
	code, stderr, second := i.launch(t)
	startsUnread(t, code, stderr, second, "an earlier one still hangs in the kernel")

	release()
	if err := os.Remove(i.rootfs); err != nil {
		t.Fatal(err)
	}
	link(t, real, i.rootfs)
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
	if code != 0 || stderr != "" || r.Verdict != "allow" || len(r.Results) != 1 {
		t.Fatalf("exit code %d, %q, recorded %+v", code, stderr, r)
	}
	one := r.Results[0]
	if one.ID != "cuda-driver-version" || one.Status != checks.StatusUnknown || !strings.Contains(one.What, why) {
		t.Errorf("%s: %s: %s, want unknown with %q", one.ID, one.Status, one.What, why)
	}
}
