package image

import (
	"path"
	"slices"
	"strings"
)

// Loader tells which libcuda.so.1 the dynamic loader of an image finds, as far as the image's files and its environment
// decide it: LD_LIBRARY_PATH first, then the cache that ldconfig writes in the order of /etc/ld.so.conf (ld.so(8),
// ldconfig(8)).
type Loader struct {
	// Steered says why what is started may load another one all the same: a script may set LD_LIBRARY_PATH itself. It
	// is empty for a Python that is surely started, which loads what the environment says.
	Steered string      `json:"steered,omitempty"`
	Path    []Candidate `json:"path,omitempty"` // the folders of LD_LIBRARY_PATH
	Conf    []Candidate `json:"conf,omitempty"` // the folders of /etc/ld.so.conf.d
	// ConfWhy says why the order of Conf is not ldconfig's: /etc/ld.so.conf does more than include them.
	ConfWhy string `json:"conf_why,omitempty"`
	Cache   bool   `json:"cache"` // /etc/ld.so.cache is there; NVIDIA's hooks leave an image without one alone
	// Toolkit are the libraries that the NVIDIA Container Toolkit may put first: those right in /usr/local/cuda/compat.
	Toolkit []CompatLibrary `json:"toolkit,omitempty"`
	// Tested is the library of an NGC image whose entrypoint tries it, and puts it into LD_LIBRARY_PATH only where it works.
	Tested *CompatLibrary `json:"tested,omitempty"`
	// Own is a libcuda that the image has where the driver's is put: which of the two counts is not known.
	Own string `json:"own,omitempty"`
}

// Candidate is a folder that the loader looks into.
type Candidate struct {
	Folder  string         `json:"folder"`
	File    string         `json:"file,omitempty"`    // of /etc/ld.so.conf.d, which names it
	System  bool           `json:"system,omitempty"`  // one of the distribution's, where the driver's libraries are put
	Library *CompatLibrary `json:"library,omitempty"` // the libcuda of the image there
	Stub    bool           `json:"stub,omitempty"`    // it is the toolkit's, for linking only
	Unread  string         `json:"unread,omitempty"`  // why nobody knows what is there
}

// toolkitFolder is where NVIDIA's hooks look (05 toolkit_hook, libnvidia_container).
const toolkitFolder = "/usr/local/cuda/compat"

func readLoader(root Files, p Program, conf loaderConf) *Loader {
	s := newStarter(root, p)
	l := &Loader{Steered: s.steered(p), ConfWhy: confOrder(root, conf)}
	for folder := range strings.SplitSeq(s.env["LD_LIBRARY_PATH"], ":") {
		if folder != "" && len(l.Path) < maxFolders {
			l.Path = append(l.Path, onPath(root, folder))
		}
	}
	for _, entry := range conf.entries {
		c := inConf(root, entry.folder)
		c.File = entry.file
		l.Conf = append(l.Conf, c)
	}
	if info, err := root.Stat("/etc/ld.so.cache"); err == nil {
		l.Cache = info.Mode().IsRegular()
	}
	names, _ := root.ReadDir(toolkitFolder, maxFolder)
	for _, library := range libcudas(root, toolkitFolder, names) {
		if !strings.Contains(library.Version, ".") {
			continue
		}
		// NVIDIA's hook takes no link, and libnvidia-container the file that it leads to.
		if resolved, err := root.Real(library.Path); err != nil || path.Base(resolved) != path.Base(library.Path) {
			library.Version = ""
		}
		l.Toolkit = append(l.Toolkit, library)
	}
	l.Tested = tested(root, s.env["_CUDA_COMPAT_PATH"])
	if own := ownLibcuda(root); len(own) > 0 {
		l.Own = own[0].Path
	}
	return l
}

// steered says what may make another libcuda the first one.
func (s *starter) steered(p Program) string {
	if _, sure := s.follow(p.Args); !sure { // it takes up what env sets
		return "what is started may set LD_LIBRARY_PATH itself"
	}
	if s.entrypoint && s.sourced(turnsLoader) {
		return "a script in " + ngcScripts + " may set LD_LIBRARY_PATH"
	}
	if strings.Contains(s.env["LD_PRELOAD"], "libcuda") {
		return "LD_PRELOAD names a libcuda"
	}
	for key, value := range s.env {
		// VLLM_ENABLE_CUDA_COMPATIBILITY=1 and others of its kind: the program looks for the libraries itself.
		if strings.Contains(key, "CUDA_COMPAT") && !slices.Contains([]string{"", "0", "false", "no", "off"}, strings.ToLower(value)) &&
			!strings.HasPrefix(key, "_CUDA_COMPAT") && key != "NV_CUDA_COMPAT_PACKAGE" {
			return key + " is set"
		}
	}
	return ""
}

// onPath looks for libcuda.so.1, the one name by which CUDA's runtime loads it.
func onPath(root Files, folder string) Candidate {
	if !path.IsAbs(folder) || strings.Contains(folder, "$") {
		return Candidate{Folder: folder, Unread: "not an absolute path"}
	}
	folder = path.Clean(folder)
	c := Candidate{Folder: folder, System: IsSystemFolder(folder)}
	file := folder + "/libcuda.so.1"
	info, err := root.Stat(file)
	switch {
	case c.System:
		return c
	case absent(err):
		if names, _ := root.ReadDir(folder, maxFolder); slices.Contains(names, "libcuda.so.1") {
			c.Unread = "a link that leads to nothing of the image" // in the container it may lead to the driver's
		}
		return c
	case err != nil:
		c.Unread = "not readable"
		return c
	case !info.Mode().IsRegular() || info.Size() == 0:
		return c
	}
	resolved, err := root.Real(file)
	if err != nil {
		c.Unread = "not readable"
		return c
	}
	version := strings.TrimPrefix(path.Base(resolved), "libcuda.so.")
	c.Library = &CompatLibrary{Path: resolved, Version: version, Note: noteOf(root, resolved)}
	c.Stub = path.Base(path.Dir(resolved)) == "stubs"
	return c
}

// inConf looks for any libcuda: ldconfig makes the link of that name.
func inConf(root Files, folder string) Candidate {
	c := Candidate{Folder: folder, System: IsSystemFolder(folder)}
	names, err := root.ReadDir(folder, maxFolder)
	if c.System || absent(err) {
		return c
	}
	found := libcudas(root, folder, names)
	switch {
	case err != nil:
		c.Unread = "not readable"
	case len(found) > 1:
		c.Unread = "more than one libcuda"
	case len(found) == 1:
		c.Library, c.Stub = &found[0], path.Base(folder) == "stubs"
	}
	return c
}

// confOrder tells whether /etc/ld.so.conf only includes the files of /etc/ld.so.conf.d, as distributions have it.
func confOrder(root Files, conf loaderConf) string {
	if conf.err != nil {
		return "/etc/ld.so.conf.d was not read"
	}
	text, err := root.ReadFile("/etc/ld.so.conf", maxLoaderFile)
	if err != nil {
		return "/etc/ld.so.conf was not read"
	}
	included := false
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case len(words) == 2 && words[0] == "include" && strings.TrimPrefix(words[1], "/etc/") == "ld.so.conf.d/*.conf":
			included = true
		default:
			return "/etc/ld.so.conf has an order of its own"
		}
	}
	if !included {
		return "/etc/ld.so.conf does not include them"
	}
	return ""
}

// tested is the library of an NGC image: its LD_LIBRARY_PATH names compat/lib, which its entrypoint makes a link to
// lib.real where a test with these libraries works (05 gotchas: "compatibility mode is UNAVAILABLE" else).
func tested(root Files, compat string) *CompatLibrary {
	if !path.IsAbs(compat) {
		return nil
	}
	folder := path.Clean(compat) + "/lib.real"
	names, err := root.ReadDir(folder, maxFolder)
	if err != nil {
		return nil
	}
	if found := libcudas(root, folder, names); len(found) > 0 {
		return &found[0]
	}
	return nil
}
