package image

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

const (
	maxLocal       = 4096 // entries of /usr/local
	maxFolder      = 2048 // entries of a folder with libraries
	maxFolders     = 64   // folders looked into
	maxCompatFound = 64   // libraries told of
)

// Compat tells which libcuda of its own an image holds: NVIDIA's forward-compatibility packages put one into
// /usr/local/cuda-<version>/compat.
type Compat struct {
	Read      bool            `json:"read"` // every folder was looked into, so that no library means none
	Why       string          `json:"why,omitempty"`
	Libraries []CompatLibrary `json:"libraries,omitempty"`
	Loader    *Loader         `json:"loader,omitempty"` // which libcuda is found first; nil where that was not read
}

// NotLooked is the Why of an image that nobody looked into.
const NotLooked = "the root file system was not looked into"

// CompatLibrary is one libcuda in an image.
type CompatLibrary struct {
	Path    string `json:"path"`              // as the container sees it
	Version string `json:"version,omitempty"` // of the driver it came with (550.54.15), "" when its name has none
	Note    *Note  `json:"note,omitempty"`    // what it tells of itself; nil where it has none or that was not read
}

// CompatFolders returns the folders beside /usr/local/cuda*/compat in which an image may keep a libcuda by its
// environment: _CUDA_COMPAT_PATH (NGC images) and the entries of LD_LIBRARY_PATH. With 64 of them there may be more.
func CompatFolders(env []string) []string {
	var compat, libraries string
	for _, entry := range env {
		switch key, value, _ := strings.Cut(entry, "="); key {
		case "_CUDA_COMPAT_PATH":
			compat = value
		case "LD_LIBRARY_PATH":
			libraries = value
		}
	}
	var folders []string
	for folder := range strings.SplitSeq(compat+":"+libraries, ":") {
		if len(folders) == maxFolders {
			break
		}
		folder = path.Clean(folder)
		// The toolkit's stubs are for linking only, and are no driver library.
		if path.IsAbs(folder) && path.Base(folder) != "stubs" && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// NamesLibcuda tells whether LD_LIBRARY_PATH names a folder with a libcuda of the image, by its usual name.
func NamesLibcuda(env []string) bool {
	for _, entry := range env {
		key, value, _ := strings.Cut(entry, "=")
		if key == "LD_LIBRARY_PATH" && (strings.Contains(value, "/compat") || strings.Contains(value, "/stubs")) {
			return true
		}
	}
	return false
}

// compatLine is what the child prints for one folder, and at the end.
type compatLine struct {
	Folder    string          `json:"folder,omitempty"`
	Libraries []CompatLibrary `json:"libraries,omitempty"`
	Error     string          `json:"error,omitempty"`
	Loader    *Loader         `json:"loader,omitempty"`
	Done      bool            `json:"done,omitempty"`
}

// readCompat tells of each folder as it goes, so that a deadline keeps what was read; it ends when tell fails.
func readCompat(root Files, p Program, tell func(compatLine) error) {
	conf := loaderFolders(root)
	more := CompatFolders(p.Env)
	folders, err := compatFolders(root, more, conf)
	if err != nil && tell(compatLine{Folder: "/usr/local", Error: err.Error()}) != nil {
		return
	}
	if len(more) >= maxFolders && tell(compatLine{Error: fmt.Sprintf("the environment names %d folders or more", maxFolders)}) != nil {
		return
	}
	var seen []string
	for _, folder := range folders {
		if len(seen) == maxFolders {
			_ = tell(compatLine{Error: fmt.Sprintf("more than %d folders", maxFolders)})
			break
		}
		line, resolved := lookIntoFolder(root, folder, seen)
		if resolved != "" {
			seen = append(seen, resolved)
		} else if line.Error == "" {
			continue // absent, or the same folder under another name
		}
		if tell(line) != nil {
			return
		}
	}
	_ = tell(compatLine{Done: true, Libraries: ownLibcuda(root), Loader: readLoader(root, p, conf)})
}

// compatFolders lists the folders to look into; with an error those below /usr/local are not complete.
func compatFolders(root Files, more []string, conf loaderConf) ([]string, error) {
	names, err := root.ReadDir("/usr/local", maxLocal)
	if absent(err) {
		err = notMounted(root)
	}
	slices.Sort(names)
	var folders []string
	for _, name := range names {
		if strings.HasPrefix(name, "cuda") {
			folders = append(folders, withLibraries("/usr/local/"+name+"/compat")...)
		}
	}
	for _, entry := range conf.entries {
		more = append(more, entry.folder)
	}
	for _, folder := range more {
		if !IsSystemFolder(folder) {
			folders = append(folders, withLibraries(folder)...)
		}
	}
	return folders, errors.Join(err, conf.err)
}

// notMounted is an error for an empty root folder: no container runs from one, so that it shows nothing of the image.
func notMounted(root Files) error {
	names, err := root.ReadDir("/", maxFolder)
	if err == nil && len(names) == 0 {
		return errors.New("the root file system is empty: it is not mounted")
	}
	return nil
}

func withLibraries(folder string) []string {
	return []string{folder, folder + "/lib", folder + "/lib.real"}
}

// lookIntoFolder returns no resolved path for a folder that is absent or already seen (/usr/local/cuda is a link to
// /usr/local/cuda-12.4).
func lookIntoFolder(root Files, folder string, seen []string) (line compatLine, resolved string) {
	line.Folder = folder
	info, err := root.Stat(folder)
	if absent(err) || err == nil && !info.IsDir() {
		return line, ""
	}
	if err == nil {
		resolved, err = root.Real(folder)
	}
	if err == nil && slices.Contains(seen, resolved) {
		return line, ""
	}
	var names []string
	if err == nil {
		names, err = root.ReadDir(folder, maxFolder)
	}
	if err != nil {
		line.Error = err.Error()
	}
	line.Libraries = libcudas(root, folder, names)
	return line, resolved
}

// libcudas keeps the files named libcuda.so.<version>. libcuda.so.1 and libcuda.so are links to one of these; they
// count only where there is none, as a library of unknown version.
func libcudas(root Files, folder string, names []string) []CompatLibrary {
	slices.Sort(names)
	var versioned, links []CompatLibrary
	for _, name := range names {
		suffix, ok := strings.CutPrefix(name, "libcuda.so")
		if !ok || suffix != "" && suffix[0] != '.' {
			continue
		}
		library := CompatLibrary{Path: folder + "/" + name, Version: strings.TrimPrefix(suffix, ".")}
		if info, err := root.Stat(library.Path); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			continue // a dangling link gives the container nothing
		}
		if strings.Contains(library.Version, ".") {
			library.Note = noteOf(root, library.Path)
			versioned = append(versioned, library)
		} else if links == nil {
			library.Version = ""
			links = append(links, library)
		}
	}
	if versioned == nil {
		versioned = links
	}
	return versioned[:min(len(versioned), maxCompatFound)]
}

func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

type compatFold struct {
	compat Compat
	done   bool
}

func (f *compatFold) fail(why string) {
	if f.compat.Why == "" {
		f.compat.Why = why
	}
}

func (f *compatFold) add(line compatLine) {
	f.done = f.done || line.Done
	if line.Error != "" {
		f.fail(line.Error)
	}
	if line.Loader != nil {
		f.compat.Loader = line.Loader
	}
	for _, library := range line.Libraries {
		known := func(l CompatLibrary) bool { return l.Path == library.Path }
		if len(f.compat.Libraries) < maxCompatFound && !slices.ContainsFunc(f.compat.Libraries, known) {
			f.compat.Libraries = append(f.compat.Libraries, library)
		}
	}
}

func (f *compatFold) result() Compat {
	f.compat.Read = f.compat.Why == ""
	return f.compat
}
