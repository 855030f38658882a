package image

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gpu-preflight/oci"
)

// The notes of two compatibility packages, as nvidia-container-toolkit's tests have them (testdata/compat).
const (
	note575  = `{"format": 1, "CUDA version": "12.9", "driver": [535, 550, 560, 565, 570, 575], "device": [1, 2, 7, 8, 9, 10, 11, 12, 13, 14]}`
	noteOrin = `{"format": 1, "CUDA version": "13.2"}`
)

// library makes a real shared object that carries the note, by the assembler and objcopy.
func library(t testing.TB, folder, name, owner, text string) string {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	source := fmt.Sprintf(`.section %s,"a",@note
.balign 4
.long 2f-1f, 4f-3f, 1
1: .asciz %q
2: .balign 4
3: .ascii %q
4: .balign 4
.text
.globl cuInit
cuInit: ret
`, noteSection, owner, text)
	object, file := filepath.Join(t.TempDir(), "a.o"), filepath.Join(folder, name)
	as := exec.CommandContext(t.Context(), "as", "-o", object, "-")
	as.Stdin = strings.NewReader(source)
	if out, err := as.CombinedOutput(); err != nil {
		t.Fatalf("as: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "ld", "-shared", "-soname", "libcuda.so.1", "-o", file, object).CombinedOutput(); err != nil {
		t.Fatalf("ld: %v\n%s", err, out)
	}
	return file
}

// added is a library to which objcopy added the note, at the end of the file.
func added(t *testing.T, folder, name, text string) string {
	t.Helper()
	with := library(t, t.TempDir(), "with.so", "NVIDIA Corporation", text)
	plain := library(t, t.TempDir(), "plain.so", "none", "")
	raw, file := filepath.Join(t.TempDir(), "note"), filepath.Join(folder, name)
	for _, args := range [][]string{
		{"-O", "binary", "--only-section=" + noteSection, with, raw},
		{"--remove-section=" + noteSection, plain},
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
		"linked":  library(t, top, "linked", "NVIDIA Corporation", note575),
		"objcopy": added(t, top, "added", note575),
	} {
		if got, err := read(t, file); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", about, got, err)
		}
	}
	if got, err := read(t, library(t, top, "orin", "NVIDIA Corporation", noteOrin)); err != nil || got.CUDA != "13.2" || got.Branches != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReadNoteRefuses(t *testing.T) {
	top := t.TempDir()
	none := library(t, top, "none", "none", "")
	if out, err := exec.CommandContext(t.Context(), "objcopy", "--remove-section="+noteSection, none).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := read(t, none); !errors.Is(err, errNoNote) {
		t.Errorf("a library without a note: %v", err)
	}
	good, err := os.ReadFile(library(t, top, "good", "NVIDIA Corporation", note575))
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
		"another owner":   library(t, top, "owner", "GNU", note575),
		"no JSON":         library(t, top, "json", "NVIDIA Corporation", "{"),
		"no version":      library(t, top, "version", "NVIDIA Corporation", `{"format": 1}`),
		"a long version":  library(t, top, "long", "NVIDIA Corporation", `{"CUDA version": "`+strings.Repeat("1", 99)+`"}`),
		"a thousand GPUs": library(t, top, "many", "NVIDIA Corporation", `{"CUDA version": "12.9", "driver": [`+strings.Repeat("1,", 999)+`1]}`),
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
	top := tree(t, "usr/local/cuda-12.9/compat/libcuda.so.1 -> libcuda.so.575.57.08", "usr/local/cuda-9/compat/libcuda.so.1.2 -> /dev/zero")
	library(t, filepath.Join(top, "usr/local/cuda-12.9/compat"), "libcuda.so.575.57.08", "NVIDIA Corporation", note575)
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
	good, err := os.ReadFile(library(f, f.TempDir(), "good", "NVIDIA Corporation", note575))
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
