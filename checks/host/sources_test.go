package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSources: what is there, also through a link; what is not, a link to nothing included; and what nobody can tell.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	file, link, dangling, loop := filepath.Join(dir, "libcuda.so.1.1"), filepath.Join(dir, "link"), filepath.Join(dir, "dangling"), filepath.Join(dir, "loop")
	for _, err := range []error{
		os.WriteFile(file, nil, 0o644), os.Symlink(file, link), os.Symlink(filepath.Join(dir, "gone"), dangling), os.Symlink(loop, loop),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	paths := []string{file, link, dangling, filepath.Join(dir, "gone"), filepath.Join(file, "below"), loop, `/odd "\` + "\n", "/dev/null"}
	f := Gather(t.Context(), Options{Root: t.TempDir(), Sources: paths, RunDir: t.TempDir(), NVMLTimeout: long})
	want := []string{"there", "there", "gone", "gone", "gone", "unknown", "gone", "there"}
	for i, s := range f.Sources {
		got := map[bool]string{true: "there", false: "gone"}[s.There.Value]
		if !s.There.Known() {
			got = "unknown"
		}
		if s.Path != paths[i] || got != want[i] {
			t.Errorf("%q (%q): %s (%s), want %s", s.Path, paths[i], got, s.There.Why(), want[i])
		}
	}
	if len(f.Sources) != len(paths) {
		t.Errorf("%d of %d", len(f.Sources), len(paths))
	}
}

// reader writes a program that stands in for the reader child: it does what it is told for sources, and else nothing.
func reader(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reader")
	text := "#!/bin/sh\n[ \"$2\" = sources ] || exit 0\nhere=" + filepath.Dir(path) + "\n" + script
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSourcesThatHang: what was told before is kept, the rest is unknown, and nothing else of the host waits.
func TestSourcesThatHang(t *testing.T) {
	self := reader(t, `echo '{"name":"source:0","fact":{"value":false,"source":"/a"}}'; exec sleep 600`)
	f := Gather(t.Context(), Options{Root: t.TempDir(), Self: self, Sources: []string{"/a", "/b"}, RunDir: t.TempDir(), NVMLTimeout: 500 * time.Millisecond})
	if a, b := f.Sources[0].There, f.Sources[1].There; !a.Known() || a.Value || b.Known() || !strings.Contains(b.Why(), "no answer within") {
		t.Errorf("%+v", f.Sources)
	}
}

// TestSourcesAreLookedForAgain: NVML's start makes nodes, so what was not there before it is looked for again.
func TestSourcesAreLookedForAgain(t *testing.T) {
	self := reader(t, `found=false; [ ! -e "$here/asked" ] || found=true; : >"$here/asked"
echo "{\"name\":\"source:0\",\"fact\":{\"value\":$found,\"source\":\"$3\"}}"`)
	f := Gather(t.Context(), Options{Root: t.TempDir(), Self: self, Sources: []string{"/dev/nvidia-uvm"}, RunDir: t.TempDir(), NVMLTimeout: long})
	if there := f.Sources[0].There; !there.Known() || !there.Value {
		t.Errorf("%+v", f.Sources)
	}
}
