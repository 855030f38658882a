package register

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
)

// containerdView is what containerd's files say of the pods that it starts, our edits included.
type containerdView struct {
	site    Site
	file    string
	section map[string]any
	version int64
}

func containerdPaths(s Site) []PathStatus { return append(criPaths(s), ctrPaths(s)...) }

// ctrPaths are containerd's own command line. It reads no configuration of CRI and names the runtime itself: that of
// 1.x gives GPUs by a hook that runs nvidia-container-cli, that of 2.x by CDI files in the usual folders.
func ctrPaths(s Site) []PathStatus {
	const one, two = "ctr run --gpus (containerd 1)", "ctr run --gpus, CDI (containerd 2)"
	if s.program("ctr") == "" {
		absent := cover{state: Absent, why: s.noProgram("ctr")}
		return []PathStatus{under(one, absent), under(two, absent)}
	}
	rows := []PathStatus{
		under(one, cover{state: PassesBy, why: "ctr names runc itself, and judged is what names --runc-binary " + filepath.Join(s.Prefix, "bin/gpu-preflight-runtime")}),
		under(two, s.cdiCover(nil)),
	}
	for i := range rows {
		rows[i].Why += "; which ctr is here is not looked at"
	}
	return rows
}

func criPaths(s Site) []PathStatus {
	const class, handler, dra = "RuntimeClass nvidia (containerd)", "default handler (containerd CRI)", "DRA claim (containerd CRI)"
	c, why := readContainerdHost(s)
	if why.state != "" {
		return []PathStatus{under(class, why), under(handler, why), under(dra, why)}
	}
	standard := c.handler(defaultHandler(c.section))
	named := []cover{{state: Absent, why: c.file + " has no handler nvidia"}}
	if valueAt(c.section, "containerd", "runtimes", "nvidia") != nil {
		named = c.handler("nvidia")
	}
	claim := slices.Clone(standard)
	if claim[0].state == PassesBy {
		claim[0].why += "; the CDI file of a claim is written for each pod and has no hook of ours"
	}
	return []PathStatus{under(class, named...), under(handler, append(standard, c.cdi())...), under(dra, claim...)}
}

// readContainerdHost reads containerd's configuration as it is in force; a cover with a state says why there is
// nothing to tell.
func readContainerdHost(s Site) (containerdView, cover) {
	generated, owned := generatedFile(s)
	if owned {
		s.Configs = maps.Clone(s.Configs)
		if s.Configs == nil {
			s.Configs = map[string]string{}
		}
		s.Configs["containerd"] = generated.config
	}
	c := containerdView{site: s, file: containerdTop(s)}
	files, err := containerdRead(s)
	if err == nil {
		files, err = withOurs(s, files)
	}
	switch {
	case err != nil:
		return c, cover{state: NotKnown, why: err.Error()}
	case files[0].before == nil && !s.installed("containerd", "containerd"):
		return c, cover{state: Absent, why: s.noProgram("containerd")}
	case criDisabled(files):
		return c, cover{state: Absent, why: c.file + " switches the CRI plugin off: no pod is started by it"}
	}
	c.version, _ = files[0].toml.tree["version"].(int64)
	if files[0].before == nil {
		c.version = 2
	}
	if criPlugin[c.version] == "" {
		return c, cover{state: NotKnown, why: fmt.Sprintf("%s: configuration of version %d is not known", c.file, c.version)}
	}
	section, deciding := criSection(files, c.version)
	c.section, c.file = section, files[max(deciding, 0)].path
	return c, cover{}
}

// withOurs reads the files again as they are, our entries and our drop-in included.
func withOurs(s Site, files []containerdFile) ([]containerdFile, error) {
	files = slices.Clone(files)
	for i := range files {
		f, err := parseTOML(files[i].before)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", files[i].path, err)
		}
		files[i].toml = f
	}
	path := dropInPath(s)
	if importPlace(files[0].toml, files[0].path, path) < 0 {
		return files, nil
	}
	before, mode, err := s.read(path)
	if before == nil || err != nil {
		return files, err
	}
	f, err := parseTOML(before)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// A file that is read later and names a runtime itself wins.
	section, _ := criSection(files, 3)
	h := containerdHandler{name: defaultHandler(section)}
	named, _ := valueAt(f.tree, runtimesOf(criPlugin[3], h.name, "base_runtime_spec")...).(string)
	h.byBaseSpec = isBaseSpec(named)
	key, _ := h.entry(s)
	if overruled(files[0].toml, files, path, h.name, key) == nil {
		files = append(files, containerdFile{path: path, before: before, mode: mode, toml: f})
	}
	return files, nil
}

// defaultHandler is the handler of pods without a RuntimeClass.
func defaultHandler(section map[string]any) string {
	if name, _ := valueAt(section, "containerd", "default_runtime_name").(string); name != "" {
		return name
	}
	return "runc"
}

// handler is what stands at a runtime handler: its runtime, and the specification that its containers begin as.
func (c containerdView) handler(name string) []cover {
	table, _ := valueAt(c.section, "containerd", "runtimes", name).(map[string]any)
	if kind, _ := table["runtime_type"].(string); kind != "" && kind != runcV2 {
		return []cover{{state: PassesBy, why: fmt.Sprintf("the handler %s is of the type %s, in front of which no shim can be put", name, kind)}}
	}
	binary, _ := valueAt(table, "options", "BinaryName").(string)
	if binary == "" {
		binary = "runc"
	}
	return []cover{c.site.runtimeCover("containerd", c.file, binary), c.baseSpecCover(name)}
}

// cdi is what stands in the CDI files, where this containerd applies them: 2.x unless told otherwise, 1.7 when told to.
func (c containerdView) cdi() cover {
	on, set := c.section["enable_cdi"].(bool)
	if !set {
		on = c.version > 2
	}
	if !on {
		return cover{state: Absent, why: "this containerd applies no CDI files"}
	}
	var dirs []string
	list, _ := c.section["cdi_spec_dirs"].([]any)
	for _, e := range list {
		if dir, ok := e.(string); ok {
			dirs = append(dirs, dir)
		}
	}
	return c.site.cdiCover(dirs)
}
