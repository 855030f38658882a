package register

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// runtimeCover is what stands at a low-level runtime that an engine's file names: our shim, NVIDIA's runtime, another.
func (s Site) runtimeCover(engine, file, path string) cover {
	switch {
	case isOurs(path):
		return s.shimCover(engine, file, path)
	case isNVIDIARuntime(path):
		return s.nvidiaCover(path)
	}
	return cover{state: PassesBy, why: fmt.Sprintf("%s starts %s, and nothing of ours stands before it", engine, path), close: s.command(engine)}
}

// shimCover is our shim as a file names it.
func (s Site) shimCover(engine, file, path string) cover {
	if !filepath.IsAbs(path) {
		found := s.program(path)
		if found == "" {
			return cover{state: NotKnown, why: file + " names " + path + ", which is not in the usual folders"}
		}
		path = found
	}
	c := cover{state: Judged, why: "by the shim " + path + ", which " + file + " names", by: engine, files: []string{file}}
	f, hidden := s.shimFault(path), s.hidden(path)
	switch {
	case f.text == "" && hidden != "":
		return cover{state: NotKnown, why: hidden}
	case f.stops:
		c.state = NotStarted
	case f.link:
		c.state = PassesBy
	default:
		return c
	}
	c.why, c.close = f.text, s.mend(engine)
	return c
}

// mend is the command that puts our programs back. What install.sh brings is not yet at a shim's place, where there may
// be nothing, or the self-test's link.
func (s Site) mend(engine string) string {
	if s.programFault(filepath.Join(s.Prefix, "bin", hookName)) == "" {
		return s.command(engine)
	}
	install := "./install.sh "
	if s.Prefix != "/usr/local" {
		install += "--prefix " + shellWord(s.Prefix) + " "
	}
	return install + "&& " + s.command(engine)
}

// nvidiaCover is what nvidia-container-runtime starts: the first of its list that is there
// (nvidia-container-toolkit internal/oci/runtime_low_level.go).
func (s Site) nvidiaCover(path string) cover {
	file := nvidiaConfig
	if named := s.Configs["nvidia-ctk"]; named != "" {
		file = named
	} else if strings.HasPrefix(path, "/usr/local/nvidia/toolkit/") {
		file = operatorConfig
	}
	content, _, err := s.read(file)
	if err != nil {
		return cover{state: NotKnown, why: fmt.Sprintf("read %s: %v", file, err)}
	}
	f, err := parseTOML(content)
	if err != nil {
		return cover{state: NotKnown, why: fmt.Sprintf("%s: %v", file, err)}
	}
	names, _ := listInForce([]tomlLayer{{file, f}}, nvidiaDefaultRuntimes, nvidiaRuntimes...)
	n := slices.IndexFunc(names, func(name string) bool { return s.program(name) != "" })
	if n < 0 {
		return cover{state: NotKnown, why: fmt.Sprintf("none of the runtimes %q of %s is in the usual folders", names, file)}
	}
	if isOurs(names[n]) {
		return s.shimCover("nvidia-ctk", file, names[n])
	}
	c := s.nvidiaCDI(f, path)
	c.why = fmt.Sprintf("by %s nvidia-container-runtime starts %s", file, names[n]) + c.why
	if over := slices.IndexFunc(names[:n], isOurs); over >= 0 && c.state != Judged {
		c.why += ", and passes over " + names[over] + ", which is missing or not executable"
		c.close = s.mend("nvidia-ctk")
	}
	return c
}

// isOurs says whether a runtime has the shim's name, in a registration's folder or placed by hand.
func isOurs(path string) bool { return filepath.Base(path) == "gpu-preflight-runtime" }

// nvidiaMode is the mode of NVIDIA's runtime: its name may force one (nvidia-container-toolkit
// cmd/nvidia-container-runtime.cdi and .legacy).
func nvidiaMode(f *tomlFile, path string) string {
	if _, forced, found := strings.Cut(filepath.Base(path), "."); found {
		return forced
	}
	mode, _ := valueAt(f.tree, "nvidia-container-runtime", "mode").(string)
	return mode
}

// nvidiaCDI is what else judges launches through NVIDIA's runtime: in mode cdi it takes the devices from CDI files.
func (s Site) nvidiaCDI(f *tomlFile, path string) cover {
	passes := cover{state: PassesBy, close: s.command("nvidia-ctk")}
	if nvidiaMode(f, path) != "cdi" {
		return passes
	}
	dirs, _ := listInForce([]tomlLayer{{"", f}}, nil, "nvidia-container-runtime", "modes", "cdi", "spec-dirs")
	c := s.cdiCover(dirs)
	if c.state != Judged {
		return passes
	}
	c.why = " in mode cdi, " + c.why
	return c
}

// cdiCover is what the CDI files that give GPUs hold; no folders: the usual ones.
func (s Site) cdiCover(folders []string) cover {
	sites := []Site{s}
	if len(folders) > 0 && s.Configs["cdi"] == "" {
		sites = nil
		for _, folder := range folders {
			there := s
			there.Configs = map[string]string{"cdi": folder}
			sites = append(sites, there)
		}
	}
	c := cover{state: NotKnown, by: "cdi"}
	for _, there := range sites {
		set := there.gpuFiles()
		for _, f := range set.files {
			if state, what := s.cdiFault(f.data); state != Judged {
				if other := set.rival(f); other != "" {
					what += "; register leaves it so, because " + other + " defines the same device"
				}
				return cover{state: state, why: f.path + " " + what, close: there.mend("cdi")}
			}
			c.files = append(c.files, f.path)
		}
		if len(set.notes) > 0 {
			return cover{state: NotKnown, why: set.notes[0]}
		}
	}
	if len(c.files) == 0 {
		return cover{state: PassesBy, why: "no CDI file gives GPUs here", close: s.command("cdi")}
	}
	c.state, c.why = Judged, "by the hook in "+strings.Join(c.files, ", ")+", where GPUs come from CDI files"
	return c
}

// cdiFault says what becomes of a CDI file's launches, and why they are not judged.
func (s Site) cdiFault(data []byte) (state State, why string) {
	spec, err := readCDI(data)
	if err != nil {
		return NotKnown, err.Error()
	}
	for _, h := range spec.ContainerEdits.Hooks {
		entry := hookEntry{h.Path, h.Args, h.Env}
		if h.HookName != "createRuntime" || !entry.ours() {
			continue
		}
		return s.entryFault(entry)
	}
	return PassesBy, "has no hook of ours"
}

// entryFault says what becomes of the launches that an entry of ours stands before, and why they are not judged.
func (s Site) entryFault(entry hookEntry) (state State, why string) {
	what, hidden := s.programFault(entry.program()), s.hidden(entry.program())
	switch {
	case hidden != "" && what == "":
		return NotKnown, "runs our hook: " + hidden
	case what == "":
		return Judged, ""
	case entry.Path == entry.program(): // without a shell nothing lets the launch go on
		return NotStarted, "runs a hook that cannot start: " + what
	}
	return PassesBy, "runs a hook that cannot start: " + what
}

// hooksCover is what an engine's folders of hooks hold.
func (s Site) hooksCover(engine string, folders []string) cover {
	for _, folder := range folders {
		path := filepath.Join(folder, hooksFile)
		content, _, err := s.read(path)
		if err != nil {
			return cover{state: NotKnown, why: fmt.Sprintf("read %s: %v", path, err)}
		}
		if content == nil {
			continue
		}
		var file struct{ Hook hookEntry }
		if err = json.Unmarshal(content, &file); err != nil || !file.Hook.ours() {
			return cover{state: PassesBy, why: path + " runs no hook of ours", close: s.command(engine)}
		}
		if what := s.programFault(file.Hook.program()); what != "" {
			return cover{state: PassesBy, why: path + " runs a hook that cannot start: " + what, close: s.mend(engine)}
		}
		if hidden := s.hidden(file.Hook.program()); hidden != "" {
			return cover{state: NotKnown, why: path + " runs our hook: " + hidden}
		}
		return cover{state: Judged, why: "by the hook in " + path, by: engine, files: []string{path}}
	}
	return cover{state: PassesBy, why: "no " + hooksFile + " in " + strings.Join(folders, ", "), close: s.command(engine)}
}
