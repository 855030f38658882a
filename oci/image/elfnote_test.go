package image

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gpu-preflight/oci"
	"gpu-preflight/testdata/fixture"
)

const owner = "NVIDIA Corporation"

var note575 = fixture.CompatNote("12.9", "535, 550, 560, 565, 570, 575")

func library(t testing.TB, file, owner, text string) string {
	t.Helper()
	if err := fixture.Libcuda(t.Context(), file, owner, text); err != nil {
		t.Fatal(err)
	}
	return file
}

// added is a library to which objcopy added the note, at the end of the file.
func added(t *testing.T, file, text string) string {
	t.Helper()
	with := library(t, filepath.Join(t.TempDir(), "with"), owner, text)
	plain := library(t, filepath.Join(t.TempDir(), "plain"), "", "")
	raw := filepath.Join(t.TempDir(), "note")
	for _, args := range [][]string{
		{"-O", "binary", "--only-section=" + noteSection, with, raw},
		{"--add-section", noteSection + "=" + raw, plain, file},
	} {
		if out, err := exec.CommandContext(t.Context(), "objcopy", args...).CombinedOutput(); err != nil {
			t.Fatalf("objcopy %q: %v\n%s", args, err, out)
		}
	}
	return file
}

func read(t *testing.T, file string) (Note, error) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return readNote(f)
}

func TestReadNote(t *testing.T) {
	top := t.TempDir()
	want := Note{CUDA: "12.9", Branches: []int{535, 550, 560, 565, 570, 575}}
	for about, file := range map[string]string{
		"linked":  library(t, filepath.Join(top, "linked"), owner, note575),
		"objcopy": added(t, filepath.Join(top, "added"), note575),
	} {
		if got, err := read(t, file); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", about, got, err)
		}
	}
	if got, err := read(t, library(t, filepath.Join(top, "orin"), owner, `{"format": 1, "CUDA version": "13.2"}`)); err != nil || got.CUDA != "13.2" || got.Branches != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReadNoteRefuses(t *testing.T) {
	top := t.TempDir()
	if _, err := read(t, library(t, filepath.Join(top, "none"), "", "")); !errors.Is(err, errNoNote) {
		t.Errorf("a library without a note: %v", err)
	}
	good, err := os.ReadFile(library(t, filepath.Join(top, "good"), owner, note575))
	if err != nil {
		t.Fatal(err)
	}
	for about, data := range map[string][]byte{
		"empty": nil, "text": []byte("a library by its name"), "cut": good[:len(good)/2],
		"32 bits":            append([]byte("\x7fELF\x01"), good[5:]...),
		"headers far off":    patched(good, 40, 0xff, 8),
		"65535 sections":     patched(good, 60, 0xff, 2),
		"names out of range": patched(good, 62, 0xff, 2),
	} {
		if got, err := readNote(bytes.NewReader(data)); err == nil {
			t.Errorf("%s: %+v", about, got)
		}
	}
	for about, file := range map[string]string{
		"another owner":   library(t, filepath.Join(top, "owner"), "GNU", note575),
		"no JSON":         library(t, filepath.Join(top, "json"), owner, "{"),
		"no version":      library(t, filepath.Join(top, "version"), owner, `{"format": 1}`),
		"a long version":  library(t, filepath.Join(top, "long"), owner, `{"CUDA version": "`+strings.Repeat("1", 99)+`"}`),
		"a thousand GPUs": library(t, filepath.Join(top, "many"), owner, `{"CUDA version": "12.9", "driver": [`+strings.Repeat("1,", 999)+`1]}`),
	} {
		if got, err := read(t, file); err == nil {
			t.Errorf("%s: %+v", about, got)
		}
	}
}

func patched(data []byte, at int, with byte, count int) []byte {
	data = bytes.Clone(data)
	for i := range count {
		data[at+i] = with
	}
	return data
}

// The child reads the note out of a root file system, and never through a FIFO or a link that leads outside.
func TestNoteOfALibraryInAnImage(t *testing.T) {
	top := tree(t, "usr/local/cuda-9/compat/libcuda.so.1.2 -> /dev/zero")
	library(t, filepath.Join(top, "usr/local/cuda-12.9/compat/libcuda.so.575.57.08"), owner, note575)
	got, out := child(t, top)
	if len(got.Libraries) != 1 || got.Libraries[0].Note == nil || got.Libraries[0].Note.CUDA != "12.9" {
		t.Errorf("%+v\n%s", got, out)
	}
	root, err := oci.OpenRootfs(top)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	for _, file := range []string{"/absent", "/usr", "/usr/local/cuda-9/compat/libcuda.so.1.2"} {
		if note := noteOf(root, file); note != nil {
			t.Errorf("%s: %+v", file, note)
		}
	}
}

// FuzzReadNote: whatever a file holds, the reader ends, within its bounds.
func FuzzReadNote(f *testing.F) {
	good, err := os.ReadFile(library(f, filepath.Join(f.TempDir(), "good"), owner, note575))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("\x7fELF\x02\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		note, err := readNote(bytes.NewReader(data))
		if (err == nil) != (note.CUDA != "") || len(note.CUDA) > 16 || len(note.Branches) > maxBranches {
			t.Errorf("%+v, %v", note, err)
		}
	})
}
