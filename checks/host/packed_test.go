package host

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"gpu-preflight/testdata/fixture"
)

// TestFindModuleInfo: a .modinfo is found wherever it lies in a stream, and nothing else is taken for one.
func TestFindModuleInfo(t *testing.T) {
	const info = "license=Dual MIT/GPL\x00alias=pci:v000010DEd*\x00version=580.95.05\x00\x00parm=NVreg_X:two\nlines\x00vermagic=6.8.0-52-generic SMP\x00"
	code := strings.Repeat("\x90\x00\x7f=\x00license=x\x00", 40<<10)
	long := strings.Repeat("x", 200<<10)
	for name, tt := range map[string]struct {
		stream string
		want   ModuleFile
	}{
		"alone":                          {info, ModuleFile{Version: "580.95.05", Flavor: "open"}},
		"amid code":                      {code + info + code, ModuleFile{Version: "580.95.05", Flavor: "open"}},
		"glued to what stands before it": {code + "\x00\x01\xffz\x02" + info, ModuleFile{Version: "580.95.05", Flavor: "open"}},
		"after a word that is too long":  {long + "\x00" + info + long, ModuleFile{Version: "580.95.05", Flavor: "open"}},
		"proprietary":                    {strings.Replace(info, "Dual MIT/GPL", "NVIDIA", 1), ModuleFile{Version: "580.95.05", Flavor: "proprietary"}},
		"the version stands apart":       {"version=1.2.3\x00code\x00" + info, ModuleFile{Version: "580.95.05", Flavor: "open"}},
		"a version that is none":         {strings.Replace(info, "580.95.05", "$(reboot)", 1), ModuleFile{Flavor: "open"}},
	} {
		got, err := findModuleInfo(strings.NewReader("\x7fELF\x02\x01" + tt.stream))
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tt.want)
		}
	}
	for name, r := range map[string]io.Reader{
		"no ELF":       strings.NewReader(info),
		"empty":        strings.NewReader(""),
		"only code":    strings.NewReader("\x7fELF" + code),
		"cut short":    strings.NewReader("\x7fELF" + info[:len(info)-20]),
		"no licence":   strings.NewReader("\x7fELF" + strings.Replace(info, "license", "lizenz", 1)),
		"a read error": io.MultiReader(strings.NewReader("\x7fELF"+code), iotest.ErrReader(errors.ErrUnsupported)),
	} {
		if got, err := findModuleInfo(r); err == nil || got != (ModuleFile{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestPackedModuleIsBounded: what never ends, and what breaks the program that unpacks it, tell nothing.
func TestPackedModuleIsBounded(t *testing.T) {
	tr := newTree(t.TempDir())
	if m := tr.packedModule("/nvidia.ko.xz", nil); m.Known() {
		t.Errorf("no file: %+v", m)
	}
	tr = newTree(fixture.Tree(t, map[string]string{"/nvidia.ko.xz": ""}, nil))
	read := 0
	for name, unpack := range map[string]Unpack{
		"a panic":  func(string, io.Reader) (io.Reader, error) { panic("x") },
		"an error": func(string, io.Reader) (io.Reader, error) { return nil, errors.ErrUnsupported },
		"a bomb": func(string, io.Reader) (io.Reader, error) {
			return io.MultiReader(strings.NewReader("\x7fELF"), zeros{&read}), nil
		},
	} {
		if m := tr.packedModule("/nvidia.ko.xz", unpack); m.Known() || m.Why() == "" {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if read < maxUnpacked-1<<20 || read > maxUnpacked {
		t.Errorf("%d bytes of the bomb were read", read)
	}
}

// zeros never ends and counts what is read of it.
type zeros struct{ read *int }

func (z zeros) Read(p []byte) (int, error) {
	clear(p)
	*z.read += len(p)
	return len(p), nil
}

// TestPackedModules: the modules of the running kernel and of the newest that boots, and of no other.
func TestPackedModules(t *testing.T) {
	kernels := []Kernel{
		{Release: "5.1", Image: true, Modules: []ModuleFile{{Path: "/5.1/nvidia.ko.xz"}}},
		{Release: "5.2", Modules: []ModuleFile{{Path: "/5.2/nvidia.ko"}, {Path: "/5.2/nvidia.ko.zst"}}},
		{Release: "5.3", Image: true, Modules: []ModuleFile{{Path: "/5.3/nvidia.ko.gz"}}},
		{Release: "5.4", Modules: []ModuleFile{{Path: "/5.4/nvidia.ko.xz"}}},
	}
	var paths bytes.Buffer
	for _, m := range packedModules(kernels, "5.2") {
		paths.WriteString(m.Path + " ")
	}
	if got := paths.String(); got != "/5.2/nvidia.ko.zst /5.3/nvidia.ko.gz " {
		t.Errorf("%q", got)
	}
}
