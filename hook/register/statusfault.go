package register

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// fault is what is wrong with a program that a configuration leads to.
type fault struct {
	text  string // empty: nothing was found
	stops bool   // the runtime that is told to start it fails
	link  bool   // launches go straight to the next runtime
}

// shimFault looks at a shim: the link that is called, and the runtime behind it.
func (s Site) shimFault(path string) fault {
	folder, err := s.at(filepath.Dir(path))
	if err != nil {
		return fault{}
	}
	target, err := os.Readlink(filepath.Join(folder, filepath.Base(path)))
	if err == nil && filepath.Base(target) != hookName {
		return fault{text: path + " is a link to " + target + ", so launches go straight there", link: true}
	}
	if what := s.programFault(path); what != "" {
		return fault{text: what, stops: true}
	}
	if !isShim(path) {
		return fault{}
	}
	file := filepath.Join(filepath.Dir(path), "next")
	text, _, err := s.read(file)
	next := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		return fault{}
	case next == "":
		return fault{text: file + ", which names the next runtime, is missing or empty: the shim chooses by itself"}
	case s.program(next) == "":
		return fault{text: "the next runtime " + next + " is missing or not executable", stops: true}
	}
	return fault{}
}

// programFault says why a program cannot be started, as far as files tell; what cannot be read is no fault.
func (s Site) programFault(path string) string {
	here, err := s.at(path)
	if err != nil {
		return ""
	}
	info, err := os.Stat(here)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path + " is missing"
	case err != nil:
		return ""
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return path + " is not executable"
	}
	kind, err := s.machine(path)
	if err != nil || kind == script {
		return ""
	}
	if kind == (machine{}) {
		return path + " is no program: neither ELF nor a script"
	}
	if shell, err := s.machine("/bin/sh"); err == nil && shell.number != 0 && !shell.runs(kind) {
		return path + " is for another architecture than this host's /bin/sh"
	}
	return ""
}

// hidden says why nothing can be told of a program that may be there; "" if it can be read or is missing.
func (s Site) hidden(path string) string {
	if _, err := s.machine(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "read " + path + ": " + err.Error()
	}
	return ""
}

// machine is what an ELF file is for (elf(5), e_ident and e_machine); zero: it is no ELF file.
type machine struct {
	number uint16
	order  byte // EI_DATA
}

// script stands for a file that names its interpreter.
var script = machine{order: '#'}

// runs says whether programs of another machine run too: 32-bit ones do on most x86-64 and AArch64 kernels.
func (m machine) runs(other machine) bool {
	const x86, arm, amd64, aarch64 = 3, 40, 62, 183
	return m == other || (m.number == amd64 && other.number == x86) || (m.number == aarch64 && other.number == arm)
}

// machine reads the first bytes of a host's file.
func (s Site) machine(path string) (machine, error) {
	here, err := s.at(path)
	if err != nil {
		return machine{}, err
	}
	f, err := os.Open(here)
	if err != nil {
		return machine{}, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 20)
	n, _ := f.ReadAt(head, 0)
	switch {
	case n >= 2 && string(head[:2]) == "#!":
		return script, nil
	case n < len(head) || string(head[:4]) != "\x7fELF":
		return machine{}, nil
	case head[5] == 2:
		return machine{binary.BigEndian.Uint16(head[18:]), head[5]}, nil
	}
	return machine{binary.LittleEndian.Uint16(head[18:]), head[5]}, nil
}

// program is what an entry of ours runs, behind the shell or without it.
func (e hookEntry) program() string {
	if filepath.Base(e.Path) == hookName {
		return e.Path
	}
	for _, arg := range e.Args {
		before, _, found := strings.Cut(arg, "/bin/"+hookName)
		if !found {
			continue
		}
		if quote := strings.Index(before, "'"); quote >= 0 {
			before = strings.ReplaceAll(before[quote+1:], `'\''`, "'")
		} else {
			before = before[strings.LastIndexAny(before, " \t")+1:]
		}
		return before + "/bin/" + hookName
	}
	return ""
}

// nvmlStatus looks for the helper where the hook does (checks/host, FindHelper).
func (s Site) nvmlStatus() NVMLStatus {
	const helper = "gpu-preflight-nvml"
	beside := filepath.Join(s.Prefix, "bin", helper)
	what := s.programFault(beside)
	if what == "" {
		return NVMLStatus{}
	}
	if s.program(beside) == "" {
		if elsewhere := s.programFault("/usr/libexec/gpu-preflight/" + helper); elsewhere == "" {
			return NVMLStatus{}
		}
	}
	return NVMLStatus{Blind: true, Why: what + ": what NVML says is unknown; ./install.sh builds it where a C compiler is"}
}
