package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gpu-preflight/oci"
)

// TestMain lets the test binary be the child, as every program of ours is.
func TestMain(m *testing.M) {
	if code, handled := ChildMain(os.Args); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// tree writes files, their text after " = "; a name with " -> " is a link, one that ends in / a folder, one that ends in | a FIFO.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	top := t.TempDir()
	for _, words := range names {
		name, target, isLink := strings.Cut(words, " -> ")
		name, text, hasText := strings.Cut(name, " = ")
		if !hasText {
			text = "ELF"
		}
		path := filepath.Join(top, name)
		folder := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			folder = path
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case isLink:
			err = os.Symlink(target, path)
		case strings.HasSuffix(name, " |"):
			err = unix.Mkfifo(strings.TrimSuffix(path, " |"), 0o600)
		case folder != path:
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return top
}

// child runs the look as the hook does.
func child(t *testing.T, top string, folders ...string) (Compat, string) {
	t.Helper()
	program, err := json.Marshal(searching(folders))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = []string{ChildName, top, string(program)}
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	return FoldLook(bytes.Split(bytes.TrimSpace(out), []byte("\n")), nil).Compat, string(out)
}

func TestReadCompat(t *testing.T) {
	for _, tt := range []struct {
		about   string
		files   []string
		folders []string
		want    Compat
	}{
		{"no /usr/local", []string{"etc/"}, nil, Compat{Read: true}},
		{"no CUDA", []string{"usr/local/bin/x"}, nil, Compat{Read: true}},
		{
			"CUDA 12.4 as cuda-compat-12-4 lays it out (evidence/listings/compat-lib-names.tsv)",
			[]string{
				"usr/local/cuda-12.4/compat/libcuda.so.550.54.15",
				"usr/local/cuda-12.4/compat/libcuda.so.1 -> libcuda.so.550.54.15",
				"usr/local/cuda-12.4/compat/libcuda.so -> libcuda.so.1",
				"usr/local/cuda-12.4/compat/libcudadebugger.so.550.54.15",
				"usr/local/cuda-12.4/compat/libnvidia-ptxjitcompiler.so.550.54.15",
				"usr/local/cuda -> /etc/alternatives/cuda", "etc/alternatives/cuda -> /usr/local/cuda-12.4",
			},
			nil,
			Compat{Read: true, Libraries: []CompatLibrary{{Path: "/usr/local/cuda/compat/libcuda.so.550.54.15", Version: "550.54.15"}}},
		},
		{
			"NGC: lib.real, and lib a link into it",
			[]string{"usr/local/cuda/compat/lib.real/libcuda.so.560.35.03", "usr/local/cuda/compat/lib -> lib.real"},
			[]string{"/usr/local/cuda/compat"},
			Compat{Read: true, Libraries: []CompatLibrary{{Path: "/usr/local/cuda/compat/lib/libcuda.so.560.35.03", Version: "560.35.03"}}},
		},
		{
			"two toolkits",
			[]string{"usr/local/cuda-12.8/compat/libcuda.so.570.124.06", "usr/local/cuda-13.0/compat/libcuda.so.580.82.07"},
			nil,
			Compat{Read: true, Libraries: []CompatLibrary{
				{Path: "/usr/local/cuda-12.8/compat/libcuda.so.570.124.06", Version: "570.124.06"},
				{Path: "/usr/local/cuda-13.0/compat/libcuda.so.580.82.07", Version: "580.82.07"},
			}},
		},
		{
			"a folder of LD_LIBRARY_PATH (HPC SDK)",
			[]string{"opt/nvhpc/cuda/12.8/compat/libcuda.so.570.124.06"},
			[]string{"/opt/nvhpc/cuda/12.8/compat", "/absent"},
			Compat{Read: true, Libraries: []CompatLibrary{{Path: "/opt/nvhpc/cuda/12.8/compat/libcuda.so.570.124.06", Version: "570.124.06"}}},
		},
		{
			"Tegra's name has no driver version",
			[]string{"usr/local/cuda/compat/libcuda.so.1.1"},
			nil,
			Compat{Read: true, Libraries: []CompatLibrary{{Path: "/usr/local/cuda/compat/libcuda.so.1.1", Version: "1.1"}}},
		},
		{
			"no version at all",
			[]string{"usr/local/cuda/compat/libcuda.so.1"},
			nil,
			Compat{Read: true, Libraries: []CompatLibrary{{Path: "/usr/local/cuda/compat/libcuda.so.1", Version: ""}}},
		},
		{
			"links to nothing, a folder of that name, other libraries",
			[]string{
				"usr/local/cuda/compat/libcuda.so.550.54.15 -> /absent", "usr/local/cuda/compat/libcuda.so.560.1/",
				"usr/local/cuda/compat/libcudart.so.12", "usr/local/cuda/compat/libcuda.sox",
			},
			nil,
			Compat{Read: true},
		},
		{
			"a folder of the loader's configuration",
			[]string{"opt/compat/libcuda.so.580.65.06", "etc/ld.so.conf.d/00-compat.conf = # ours\n/opt/compat\nrelative\n/absent\n"},
			nil,
			Compat{Read: true, Libraries: []CompatLibrary{{Path: "/opt/compat/libcuda.so.580.65.06", Version: "580.65.06"}}},
		},
		{
			"a libcuda of the image's own in the distribution's folder",
			[]string{"usr/lib/x86_64-linux-gnu/libcuda.so.580.65.06", "usr/lib/x86_64-linux-gnu/libcuda.so.1 -> libcuda.so.580.65.06"},
			nil,
			Compat{Read: true, Libraries: []CompatLibrary{{Path: "/usr/lib/x86_64-linux-gnu/libcuda.so.1", Version: ""}}},
		},
		{
			"what an earlier start left of the host's libcuda there: a link to an empty file that was mounted over",
			[]string{"usr/lib/x86_64-linux-gnu/libcuda.so.535.1 = ", "usr/lib/x86_64-linux-gnu/libcuda.so.1 -> libcuda.so.535.1"},
			nil,
			Compat{Read: true},
		},
		{"a FIFO in the folder's place", []string{"usr/local/cuda/compat |"}, nil, Compat{Read: true}},
		{"a file in the folder's place", []string{"usr/local/cuda/compat"}, nil, Compat{Read: true}},
	} {
		t.Run(tt.about, func(t *testing.T) {
			top := tree(t, tt.files...)
			root, err := oci.OpenRootfs(top)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = root.Close() })
			got := readNow(root, tt.folders...)
			inChild, out := child(t, top, tt.folders...)
			if got.Loader == nil || !reflect.DeepEqual(inChild, got) {
				t.Errorf("%+v\nchild: %+v\n%s", got, inChild, out)
			}
			if got.Loader = nil; !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// What cannot be read is unknown, and what was found beside it stays.
func TestReadCompatUnknown(t *testing.T) {
	good := "usr/local/cuda-12.8/compat/libcuda.so.570.124.06"
	for _, tt := range []struct {
		about, why string
		libraries  int
		spoil      func(t *testing.T, top string)
	}{
		{"a loop", "too many levels", 1, func(t *testing.T, top string) {
			t.Helper()
			if err := os.Symlink("cuda-9", filepath.Join(top, "usr/local/cuda-9")); err != nil {
				t.Fatal(err)
			}
		}},
		{"too many entries", "more than 2048 entries", 1, func(t *testing.T, top string) {
			t.Helper()
			fill(t, filepath.Join(top, "usr/local/cuda-9/compat"), maxFolder+1)
		}},
		{"too many folders", "more than 64 folders", 1, func(t *testing.T, top string) {
			t.Helper()
			for i := range maxFolders + 1 {
				fill(t, filepath.Join(top, fmt.Sprintf("usr/local/cuda-9.%03d/compat", i)), 0)
			}
		}},
	} {
		t.Run(tt.about, func(t *testing.T) {
			top := tree(t, good)
			tt.spoil(t, top)
			got, out := child(t, top)
			if got.Read || !strings.Contains(got.Why, tt.why) || len(got.Libraries) != tt.libraries {
				t.Errorf("%+v, want %s\n%s", got, tt.why, out)
			}
		})
	}
	if got, _ := child(t, t.TempDir()); got.Read || !strings.Contains(got.Why, "empty") {
		t.Errorf("a root file system that is not mounted: %+v", got)
	}
	if got, _ := child(t, "/absent"); got.Read || !strings.Contains(got.Why, "/absent") {
		t.Errorf("%+v", got)
	}
}

func fill(t *testing.T, folder string, files int) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFoldLook(t *testing.T) {
	const notEnded = "the look into the root file system did not end"
	late := errors.New("too late")
	folder := `{"folder":"/c","libraries":[{"path":"/c/libcuda.so.550.54.15","version":"550.54.15"}]}`
	for _, tt := range []struct {
		about     string
		lines     []string
		end       error
		read      bool
		libraries int
		unread    string
	}{
		{"whole", []string{folder, `{"done":true}`, `{"found":{}}`}, nil, true, 1, ""},
		{"nothing there", []string{`{"done":true}`, `{"found":{}}`}, nil, true, 0, ""},
		{"cut off by the deadline", []string{folder}, late, false, 1, notEnded + ": too late"},
		{"cut off behind the libraries", []string{folder, `{"done":true}`}, late, true, 1, notEnded + ": too late"},
		{"in the middle of a line", []string{folder, `{"folder":"/d","li`}, nil, false, 1, `unreadable line "{\"folder\":\"/d\",\"li"`},
		{"nothing printed", nil, nil, false, 0, notEnded},
		{"an empty line", []string{""}, nil, false, 0, `unreadable line ""`},
		{"not ours", []string{"panic: x", `{"done":true}`}, nil, false, 0, `unreadable line "panic: x"`},
		{"an error", []string{`{"folder":"/d","error":"input/output error"}`, folder, `{"done":true}`, `{"found":{}}`}, nil, false, 1, ""},
		{"no root", []string{`{"error":"open rootfs /x: not there"}`}, late, false, 0, "open rootfs /x: not there"},
		{"the same twice", []string{folder, folder, `{"done":true}`, `{"found":{}}`}, nil, true, 1, ""},
	} {
		t.Run(tt.about, func(t *testing.T) {
			var lines [][]byte
			for _, line := range tt.lines {
				lines = append(lines, []byte(line))
			}
			look := FoldLook(lines, tt.end)
			got := look.Compat
			if got.Read != tt.read || len(got.Libraries) != tt.libraries || got.Read != (got.Why == "") {
				t.Errorf("%+v", got)
			}
			if unread := strings.Join(look.Unread, "; "); unread != tt.unread {
				t.Errorf("unread %q, want %q", unread, tt.unread)
			}
		})
	}
}

func TestFoldCarried(t *testing.T) {
	late := errors.New("too late")
	for _, tt := range []struct {
		about string
		lines []string
		end   error
		env   int
		err   string
	}{
		{"an environment", []string{`{"carried":{"env":["A=b"]}}`}, nil, 1, ""},
		{"none", []string{`{"carried":{}}`}, nil, 0, ""},
		{"no root", []string{`{"error":"open rootfs /x: not there"}`}, late, 0, "open rootfs /x: not there"},
		{"cut off by the deadline", nil, late, 0, "too late"},
		{"in the middle of a line", []string{`{"carried":{"env":["A`}, late, 0, "unreadable line"},
		{"nothing printed", nil, nil, 0, "no answer"},
	} {
		t.Run(tt.about, func(t *testing.T) {
			var lines [][]byte
			for _, line := range tt.lines {
				lines = append(lines, []byte(line))
			}
			got, err := FoldCarried(lines, tt.end)
			if len(got.Env) != tt.env || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestChildMainIsOnlyForItsName(t *testing.T) {
	for _, argv := range [][]string{nil, {"gpu-preflight-hook"}, {"x", ChildName}, {"/usr/bin/" + ChildName}, {"x", CarriedName}} {
		_, look := ChildMain(argv)
		if _, carried := CarriedMain(argv); look || carried {
			t.Errorf("%q was taken", argv)
		}
	}
}

func TestCompatFolders(t *testing.T) {
	for _, tt := range []struct {
		env, want []string
	}{
		{nil, nil},
		{[]string{"_CUDA_COMPAT_PATH=/usr/local/cuda/compat"}, []string{"/usr/local/cuda/compat"}},
		{
			[]string{"LD_LIBRARY_PATH=/old", "LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64/:relative::/usr/local/nvidia/lib"},
			[]string{"/usr/local/nvidia/lib", "/usr/local/nvidia/lib64"},
		},
		{[]string{"LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs:/../x"}, []string{"/x"}},
	} {
		if got := CompatFolders(tt.env); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.env, got, tt.want)
		}
	}
	var many []string
	for i := range 2 * maxFolders {
		many = append(many, fmt.Sprintf("/%d", i))
	}
	if got := CompatFolders([]string{"LD_LIBRARY_PATH=" + strings.Join(many, ":")}); len(got) != maxFolders {
		t.Errorf("%d folders, want %d", len(got), maxFolders)
	}
}

func TestFromContainer(t *testing.T) {
	r := FromContainer(&oci.Container{Env: []string{"CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA=cuda>=12.4"}})
	if len(r.Requirements) != 1 || r.Compat.Read || r.Compat.Why == "" {
		t.Errorf("%+v", r)
	}
	if want := []Evidence{{Kind: "env", Version: "12.4.1", Path: "CUDA_VERSION"}}; !reflect.DeepEqual(r.Evidence, want) {
		t.Errorf("%+v, want %+v", r.Evidence, want)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"requirements":`, `"cuda_version":"12.4.1"`, `"compat":{"read":false,`, `"evidence":[{"kind":"env"`} {
		if !bytes.Contains(data, []byte(key)) {
			t.Errorf("no %s in %s", key, data)
		}
	}
	if none := FromContainer(&oci.Container{}); none.Evidence != nil {
		t.Errorf("%+v", none)
	}
}

// readNow is what the child and its parent do together, without a child.
func readNow(root *oci.Rootfs, folders ...string) Compat {
	var fold compatFold
	readCompat(root, searching(folders), func(line compatLine) error {
		fold.add(line)
		return nil
	})
	return fold.result()
}

func searching(folders []string) Program {
	return Program{Env: []string{"LD_LIBRARY_PATH=" + strings.Join(folders, ":")}}
}
