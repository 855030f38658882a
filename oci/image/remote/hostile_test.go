package remote

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// tarOf writes a layer of entries that only have headers, but for what content gives by name.
func tarOf(t testing.TB, content map[string]string, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		h.Size = int64(len(content[h.Name]))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content[h.Name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// look reads layers as those of an image.
func look(ctx context.Context, p image.Program, layers ...io.Reader) error {
	i := &Image{name: "hostile", watch: newWatch(ctx)}
	defer i.Close()
	for n, r := range layers {
		i.layers = append(i.layers, layer{fmt.Sprint(n), 1, func() (io.ReadCloser, error) { return io.NopCloser(r), nil }})
	}
	_, err := i.Look(p, func(int64, int64) {})
	return err
}

// endless gives the same bytes for ever.
type endless struct{ piece []byte }

func (e endless) Read(p []byte) (int, error) { return copy(p, e.piece), nil }

// bomb compresses zeros without an end.
func bomb(t *testing.T, compress func(io.Writer) io.WriteCloser) io.Reader {
	t.Helper()
	header := tarOf(t, nil, tar.Header{Name: "big"})[:512]
	copy(header[124:], "77777777777\x00") // 8 GiB
	sum := 0
	copy(header[148:], "        ")
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	r, w := io.Pipe()
	go func() {
		z := compress(w)
		_, err := z.Write(header)
		for zeros := make([]byte, 1<<20); err == nil; {
			_, err = z.Write(zeros)
		}
	}()
	t.Cleanup(func() { r.Close() })
	return r
}

func TestHostileLayersEnd(t *testing.T) {
	long := strings.Repeat("n", 300)
	deep := strings.Repeat("d/", 3000) + "d"
	zip := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zst := func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		if err != nil {
			panic(err)
		}
		return z
	}
	for _, test := range []struct {
		name  string
		layer io.Reader
		want  string
	}{
		{"a gzip bomb", bomb(t, zip), "expands to more than"},
		{"a zstd bomb", bomb(t, zst), "expands to more than"},
		{"a path out", bytes.NewReader(tarOf(t, nil, tar.Header{Name: "a/../../etc/passwd"})), "leads out of the image"},
		{"a hard link out", bytes.NewReader(tarOf(t, nil, tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"})), "leads out of the image"},
		{"a hard link to nothing", bytes.NewReader(tarOf(t, nil, tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "b"})), "no file of the image"},
		{"a hard link to a folder", bytes.NewReader(tarOf(t, nil, tar.Header{Name: "d/", Typeflag: tar.TypeDir}, tar.Header{Name: "d/e", Typeflag: tar.TypeLink, Linkname: "d"})), "no file of the image"},
		{"a long name", bytes.NewReader(tarOf(t, nil, tar.Header{Name: long})), "longer than any name"},
		{"a long path", bytes.NewReader(tarOf(t, nil, tar.Header{Name: deep})), "longer than any path"},
		{"a long link", bytes.NewReader(tarOf(t, nil, tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: deep})), "longer path than any"},
		{"a file in a file", bytes.NewReader(tarOf(t, nil, tar.Header{Name: "a"}, tar.Header{Name: "a/b"})), "it lies below a file"},
		{"a file behind a link in a circle", bytes.NewReader(tarOf(t, nil, tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "a"}, tar.Header{Name: "a/b"})), "too many levels"},
		{"a file behind a link to nowhere", bytes.NewReader(tarOf(t, nil, tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}, tar.Header{Name: "a/c"})), "leads nowhere"},
		{"no archive", strings.NewReader(strings.Repeat("x", 4096)), "invalid tar header"},
		{"a broken end", bytes.NewReader(tarOf(t, map[string]string{"a": strings.Repeat("x", 4096)}, tar.Header{Name: "a"})[:1024]), "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := look(t.Context(), image.Program{}, test.layer)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), "image hostile: layer 1 of 1") {
				t.Errorf("%v does not name the image and the layer", err)
			}
		})
	}
}

// TestMemoryIsBounded: names without an end fill no memory.
func TestMemoryIsBounded(t *testing.T) {
	for _, length := range []int{0, maxName - 8} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		tr := newTree()
		var err error
		for n := 0; err == nil && n <= maxEntries; n++ {
			err = tr.put(tr.root, fmt.Sprintf("%08d%s", n, strings.Repeat("x", length)), &node{}, 1)
		}
		runtime.ReadMemStats(&after)
		if tooLarge, ok := errors.AsType[*oci.TooLargeError](err); !ok {
			t.Errorf("names of %d: %v, want %T", 8+length, err, tooLarge)
		}
		if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 512<<20 {
			t.Errorf("names of %d: the heap grew by %d MiB", 8+length, grown>>20)
		}
		runtime.KeepAlive(tr)
	}
}

// TestFilesAreCounted: what one layer writes over and over counts each time.
func TestFilesAreCounted(t *testing.T) {
	tr := newTree()
	tr.entries = maxEntries - 10
	err := tr.addLayer(endless{tarOf(t, nil, tar.Header{Name: "a"})[:512]}, 1)
	if err == nil || !strings.Contains(err.Error(), "more than 1048576 files") {
		t.Errorf("entries without an end: %v", err)
	}
}

// TestAReaderThatIsGone: an interrupted program does not read on.
func TestAReaderThatIsGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := look(ctx, image.Program{}, endless{make([]byte, 512)}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

// TestTreeResolvesLinks: as below a root file system, no link leads out and circles end.
func TestTreeResolvesLinks(t *testing.T) {
	tr := newTree()
	layer := tarOf(
		t, map[string]string{"etc/passwd": "root:x:0:0::/root:/bin/sh\nu:x:5:5::/home/u:/bin/sh\n"},
		tar.Header{Name: "etc/passwd"}, tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "../../../../etc"},
		tar.Header{Name: "circle", Typeflag: tar.TypeSymlink, Linkname: "circle"}, tar.Header{Name: "pipe", Typeflag: tar.TypeFifo},
		tar.Header{Name: "abs", Typeflag: tar.TypeSymlink, Linkname: "/out/passwd"},
	)
	if err := tr.addLayer(bytes.NewReader(layer), 1); err != nil {
		t.Fatal(err)
	}
	if target, err := tr.Real("/abs"); err != nil || target != "/etc/passwd" {
		t.Errorf("Real(/abs) = %q, %v", target, err)
	}
	if _, err := tr.Stat("/circle/x"); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a circle: %v", err)
	}
	if _, err := tr.ReadFile("/pipe", 10); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a FIFO: %v", err)
	}
	if _, err := tr.ReadFile("/etc/passwd", 10); err == nil || !strings.Contains(err.Error(), "more than 10 bytes") {
		t.Errorf("a file that is too large: %v", err)
	}
	if _, err := tr.ReadDir("/etc/passwd", 10); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file as a folder: %v", err)
	}
	if names, err := tr.ReadDir("/", 2); len(names) != 2 || err == nil {
		t.Errorf("a folder that is too large: %v, %v", names, err)
	}
}

// TestKeepsWhatIsRead: a look reads no file of an image whose content was not kept.
func TestKeepsWhatIsRead(t *testing.T) {
	tr := newTree()
	for _, file := range []string{"/x/torch/version.py", "/x/build_info.py", "/x/build_and_package_info.py", "/x/pyvenv.cfg", "/x/version.json", "/x/version.txt", "/etc/ld.so.conf.d/a.conf", "/etc/passwd"} {
		layer := tarOf(t, map[string]string{file: "one\ntwo\n"}, tar.Header{Name: file, Mode: 0o644})
		if err := tr.addLayer(bytes.NewReader(layer), 1); err != nil {
			t.Fatal(err)
		}
		if data, err := tr.ReadFile(file, 100); string(data) != "one\ntwo\n" || err != nil {
			t.Errorf("%s: %q, %v", file, data, err)
		}
	}
}

func FuzzLayer(f *testing.F) {
	f.Add(tarOf(f, map[string]string{"a/b": "x"}, tar.Header{Name: "a/b"}, tar.Header{Name: "a/.wh.b"}, tar.Header{Name: "c", Typeflag: tar.TypeLink, Linkname: "a/b"}))
	f.Fuzz(func(_ *testing.T, data []byte) {
		tr := newTree()
		if err := tr.addLayer(bytes.NewReader(data), 1); err != nil {
			return
		}
		_ = tr.addLayer(bytes.NewReader(data), 2) // the same over it
		image.LookInto(tr, image.Program{Args: []string{"python3"}, Env: []string{"PATH=/:/a"}})
	})
}
