package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"gpu-preflight/checks/fact"
)

// Installed is how the driver got onto this host, as far as two looks tell. It is read at a launch after something
// failed, for the words of the fix alone; doctor reads the whole Stack in its place.
type Installed struct {
	Module  fact.Fact[ModuleFile] // nvidia.ko for the running kernel, path and origin; known and empty: none is there
	Package fact.Fact[Package]    // the package that brings the module, as dpkg has it; known and empty: none
}

const (
	installedWord = "installed" // tells the reader child to read Installed, and for which kernel
	dpkgStatus    = "/var/lib/dpkg/status"
	maxField      = 200 // bytes of a name or a version that are kept
)

// ReadInstalled reads Installed, in a child of a kind of its own, since a package database may lie on
// a file system that hangs. ctx bounds it. From inside a container nothing is read, for the files are not the host's;
// nor where the driver comes from a root of its own, as a driver container's does.
func ReadInstalled(ctx context.Context, o Options, f Facts) (found Installed) {
	if ns := f.Platform.InitialPIDNamespace; ns.Known() && !ns.Value {
		return found
	}
	for _, root := range []string{o.DriverRoot, f.NVML.Root} {
		if root != "" && root != "/" {
			return found
		}
	}
	o = o.withDefaults()
	child := readerChild(o, installedWord, f.Kernel.Value)
	child.Name = installedWord
	wanted := slots{"module": &found.Module, "package": &found.Package}
	_ = RunChild(ctx, child, func(data []byte) { // what does not arrive stays unknown
		if line, ok := parseLine(data); ok {
			wanted.fold(line)
		}
	})
	return found
}

// readInstalled tells Installed: the module first, since the database may be long.
func (t tree) readInstalled(e *Emitter, release string) {
	e.Emit("", "module", t.runningModule(release))
	e.Flush()
	e.Emit("", "package", t.modulePackage())
}

// runningModule is the module of the running kernel. Where a kernel has modules of several origins, which of them loads
// is not known.
func (t tree) runningModule(release string) fact.Fact[ModuleFile] {
	if release == "" || strings.Contains(release, "/") || release[0] < '0' || release[0] > '9' {
		return fact.Missing[ModuleFile](modulesDir, "the running kernel is not known")
	}
	dir := modulesDir + "/" + release
	if _, err := t.stat(dir); err != nil {
		return fact.Missing[ModuleFile](dir, reason(err)) // a kernel without a folder here has its modules elsewhere
	}
	files, err := t.moduleFiles(dir)
	if err != nil {
		return fact.Missing[ModuleFile](dir, reason(err))
	}
	var found ModuleFile
	for _, file := range files {
		m := ModuleFile{Path: file, Origin: originOf(strings.TrimPrefix(file, dir))}
		if found.Path != "" && found.Origin != m.Origin {
			return fact.Missing[ModuleFile](dir, "there are modules of several origins")
		}
		found = m
	}
	return fact.Of(found, dir)
}

// modulePackage looks for the first package in dpkg's database that brings the module and is installed, whole or half.
func (t tree) modulePackage() fact.Fact[Package] {
	fd, _, err := t.openRegular(dpkgStatus)
	if absent(err) {
		return fact.Of(Package{}, dpkgStatus)
	}
	if err != nil {
		return fact.Missing[Package](dpkgStatus, reason(err))
	}
	file := os.NewFile(uintptr(fd), path.Base(dpkgStatus))
	defer file.Close()
	found, err := findModulePackage(file)
	if err != nil {
		return fact.Missing[Package](dpkgStatus, reason(err))
	}
	return fact.Of(found, dpkgStatus)
}

// findModulePackage streams a database and stops at the stanza (deb822(5)): fields on lines, an empty line after each
// package. A line that is longer than the buffer is no field that matters here.
func findModulePackage(r io.Reader) (Package, error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	stanza, inside := map[string]string{}, false
	for {
		line, err := lines.ReadSlice('\n')
		begins := !inside
		inside = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !inside && !errors.Is(err, io.EOF) {
			return Package{}, fmt.Errorf("read: %w", err)
		}
		name, value, isField := strings.Cut(string(line[:min(len(line), 2*maxField)]), ":")
		switch {
		case !begins:
		case len(line) <= 1: // the end of a stanza, or of the file
			if p, ok := modulePackageOf(stanza); ok {
				return p, nil
			}
			clear(stanza)
		case isField && dpkgFields[name]:
			stanza[name] = strings.TrimSpace(value)
		}
		if errors.Is(err, io.EOF) {
			p, _ := modulePackageOf(stanza)
			return p, nil
		}
	}
}

var dpkgFields = map[string]bool{"Package": true, "Status": true, "Architecture": true, "Version": true}

// dpkgStates are the letters that dpkg-query(1) has for the states.
var dpkgStates = map[string]string{
	"installed": "i", "config-files": "c", "half-installed": "H", "unpacked": "U", "half-configured": "F",
	"triggers-awaited": "W", "triggers-pending": "t",
}

// modulePackageOf reads a stanza; ok is false for another package, one that is not installed, and one whose name or
// version no package of dpkg has, for both go into commands.
func modulePackageOf(stanza map[string]string) (p Package, ok bool) {
	name, version := stanza["Package"], stanza["Version"]
	words := strings.Fields(stanza["Status"])
	if len(words) != 3 || !bringsModule(name) || !plainWord(name) || !plainWord(version) {
		return p, false
	}
	want := "i"
	if words[0] == "hold" {
		want = "h"
	}
	state, ok := dpkgStates[words[2]]
	if !ok || state == "c" {
		return p, false
	}
	return dpkgPackage([]string{name, cutText(stanza["Architecture"], maxField), version, want + state})
}

// bringsModule tells the packages that bring a module: Ubuntu's prebuilt ones, and those of DKMS.
func bringsModule(name string) bool {
	for _, prefix := range []string{"linux-modules-nvidia-", "nvidia-dkms", "nvidia-kernel-dkms", "nvidia-kernel-open-dkms", "nvidia-open-dkms"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// plainWord tells a name or version that Debian's policy allows.
func plainWord(word string) bool {
	return word != "" && len(word) <= maxField && !strings.ContainsFunc(word, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(".+-~:", c)
	})
}
