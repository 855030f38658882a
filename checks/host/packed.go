package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"gpu-preflight/checks/fact"
)

// PackedName is argv[0] of the child that looks into compressed modules. A child of its own: to unpack a module takes
// a second, and hides nothing else of the host then.
const PackedName = "gpu-preflight-modules"

// Unpack gives what a file holds that is packed as its name's ending says: .xz, .zst or .gz.
type Unpack func(ending string, packed io.Reader) (io.Reader, error)

const (
	packedTimeout = 20 * time.Second // xz takes some seconds for a module
	maxUnpacked   = 128 << 20        // nvidia.ko is 60 to 110 MB, and .modinfo in its first half
)

// PackedMain does the work of the child that looks into compressed modules, when argv[0] says so: the host's top, and
// the modules below it.
func PackedMain(argv []string, unpack Unpack) (code int, handled bool) {
	if len(argv) == 0 || argv[0] != PackedName {
		return 0, false
	}
	CloseInherited()
	if len(argv) < 2 {
		return 2, true
	}
	emitter, t := NewEmitter(os.Stdout), newTree(argv[1])
	for i, file := range argv[2:] {
		emitter.Emit("", "module:"+strconv.Itoa(i), t.packedModule(file, unpack))
		emitter.Flush()
	}
	emitter.End()
	return 0, true
}

// packedModule is version and flavor of a compressed module.
func (t tree) packedModule(file string, unpack Unpack) (m fact.Fact[ModuleFile]) {
	defer func() {
		if recover() != nil {
			m = fact.Missing[ModuleFile](file, "what unpacks it ended in a panic")
		}
	}()
	fd, _, err := t.openRegular(file)
	if err != nil {
		return fact.Missing[ModuleFile](file, reason(err))
	}
	packed := os.NewFile(uintptr(fd), path.Base(file))
	defer packed.Close()
	whole, err := unpack(path.Ext(file), packed)
	if err != nil {
		return fact.Missing[ModuleFile](file, reason(err))
	}
	found, err := findModuleInfo(io.LimitReader(whole, maxUnpacked))
	if err != nil {
		return fact.Missing[ModuleFile](file, reason(err))
	}
	return fact.Of(found, file)
}

var errNoModuleInfo = errors.New("it holds no .modinfo")

// findModuleInfo reads a module as a stream up to its section .modinfo. The table that says where sections lie is at
// the end of the file, so that the section is known by what is in it: words KEY=VALUE with a NUL after each, license
// and vermagic among them (include/linux/module.h, scripts/mod/modpost.c).
func findModuleInfo(r io.Reader) (ModuleFile, error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	if head, err := lines.Peek(4); err != nil || string(head) != "\x7fELF" {
		return ModuleFile{}, errNoModuleInfo
	}
	var info moduleInfo
	for {
		skipPadding(lines)
		word, err := lines.ReadSlice(0)
		switch whole := info.license && info.magic; {
		case err == nil && info.add(word[:len(word)-1]):
		case whole:
			return info.file, nil
		default:
			info = moduleInfo{}
		}
		if errors.Is(err, io.EOF) {
			err = errNoModuleInfo
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return ModuleFile{}, err
		}
	}
}

// skipPadding passes over NULs, of which a module is half full.
func skipPadding(r *bufio.Reader) {
	for skipped := true; skipped; {
		next, err := r.Peek(max(1, r.Buffered()))
		n := len(next) - len(bytes.TrimLeft(next, "\x00"))
		_, _ = r.Discard(n)
		skipped = err == nil && n == len(next)
	}
}

// moduleInfo is what a .modinfo says that is being read.
type moduleInfo struct {
	file           ModuleFile
	license, magic bool
}

// add takes a word KEY=VALUE; ok is false for what is none. Before the first word may stand what belongs to the
// section before.
func (m *moduleInfo) add(word []byte) (ok bool) {
	if i := bytes.LastIndexFunc(word, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == '\ufffd' }); i >= 0 {
		word = word[i+1:]
	}
	key, value, ok := bytes.Cut(word, []byte("="))
	if !ok || len(key) == 0 || len(bytes.Trim(key, "abcdefghijklmnopqrstuvwxyz_0123456789.")) > 0 {
		return false
	}
	m.file.tell(string(key), string(value))
	m.license = m.license || string(key) == "license"
	m.magic = m.magic || string(key) == "vermagic"
	return true
}

// tell takes a word of .modinfo. nvidia.ko says license=NVIDIA, the open one "Dual MIT/GPL" (kernel-open/nvidia/nv.c).
func (m *ModuleFile) tell(key, value string) {
	switch {
	case key == "version" && isVersion(value):
		m.Version = value
	case key == "license" && value == "NVIDIA":
		m.Flavor = "proprietary"
	case key == "license" && strings.Contains(value, "MIT"):
		m.Flavor = "open"
	}
}

// readPacked fills in what the compressed modules of two kernels say: of the one that runs and of the newest that can
// be booted. What is not told in time stays as it is.
func readPacked(ctx context.Context, o Options, f *Facts) {
	modules := packedModules(f.Stack.Kernels.Value, f.Kernel.Value)
	if !o.Packed || len(modules) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, packedTimeout)
	defer cancel()
	child := readerChild(o)
	child.Argv0, child.Name = PackedName, "modules"
	found, wanted := make([]fact.Fact[ModuleFile], len(modules)), slots{}
	for i, m := range modules {
		child.Args = append(child.Args, m.Path)
		wanted["module:"+strconv.Itoa(i)] = &found[i]
	}
	_ = RunChild(ctx, child, func(data []byte) {
		if line, ok := parseLine(data); ok {
			wanted.fold(line)
		}
	})
	for i, m := range modules {
		if found[i].Known() {
			m.Version = found[i].Value.Version
		}
		if flavor := found[i].Value.Flavor; flavor != "" {
			m.Flavor = flavor
		}
	}
}

// packedModules are the compressed modules of the running kernel and of the newest that can be booted.
func packedModules(kernels []Kernel, running string) []*ModuleFile {
	newest := ""
	for _, k := range kernels {
		if k.Image {
			newest = k.Release
		}
	}
	var modules []*ModuleFile
	for i := range kernels {
		if k := &kernels[i]; k.Release == running || k.Release == newest {
			for j := range k.Modules {
				if slices.Contains([]string{".xz", ".zst", ".gz"}, path.Ext(k.Modules[j].Path)) {
					modules = append(modules, &k.Modules[j])
				}
			}
		}
	}
	return modules
}
