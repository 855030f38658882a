package register

import (
	"fmt"
	"path/filepath"
	"slices"
)

const (
	containerdConfig = "/etc/containerd/config.toml"
	containerdUnit   = "containerd.service"
	// dropInName sorts behind nvidia-ctk's 99-nvidia.toml: later files win.
	dropInName = "zz-gpu-preflight.toml"
	// dropInGlob imports our drop-in alone. A pattern: containerd need not find a file for it, while one that is named
	// must be there.
	dropInGlob = "zz-gpu-preflight*.toml"
	// unwrappedHandler is the handler without us, for a RuntimeClass that has to get around the judgement.
	unwrappedHandler = "gpu-preflight-unwrapped"
	// podAnnotations lets the pod's own annotations reach the container's.
	podAnnotations = "gpu-preflight.*"
)

// containerd puts the shim in the place of the runtime that pods without a RuntimeClass get.
func containerd() Engine {
	return Engine{
		Name:    "containerd",
		Present: containerdPresent,
		Plan:    containerdPlan,
		Strip: func(path string, content []byte) ([]byte, error) {
			switch filepath.Base(path) {
			case dropInName, baseSpecName:
				return nil, nil
			case selfTestFile:
				return stripSelfTest(content), nil
			}
			f, err := containerdStrip(content)
			if err != nil {
				return nil, err
			}
			return f.unlessEmpty(), nil
		},
		Files: containerdFiles,
	}
}

// containerdPresent tells whether a containerd that serves Kubernetes is here; docker's packages turn that off.
func containerdPresent(s Site) bool {
	files, err := containerdRead(s)
	if err == nil && criDisabled(files) {
		return false
	}
	_, generated := generatedFile(s)
	return err != nil || generated || files[0].before != nil || s.program("containerd") != ""
}

// containerdFiles are the files that may hold our entries. nvidia-ctk copies what it finds in one to another.
func containerdFiles(s Site) []string {
	paths := []string{baseSpecPath(s), selfTestPath(containerdUnit), dropInPath(s)}
	files, err := containerdRead(s)
	if err != nil {
		return append(paths, containerdTop(s))
	}
	for _, file := range files {
		paths = append(paths, file.path)
	}
	return paths
}

func dropInPath(s Site) string {
	return filepath.Join(filepath.Dir(containerdTop(s)), "conf.d", dropInName)
}

func containerdPlan(s Site) (Plan, error) {
	if g, found := generatedFile(s); found {
		return g.plan(s)
	}
	files, err := containerdRead(s)
	if err != nil {
		return Plan{}, fmt.Errorf("read the configuration of containerd: %w", err)
	}
	top := files[0]
	version, _ := top.toml.tree["version"].(int64)
	if top.before == nil {
		version = 2 // understood by 1.x and 2.x
	}
	switch {
	case criDisabled(files):
		return Plan{}, fmt.Errorf("%s: the CRI plugin is disabled, so no pod is started by it", top.path)
	case version < 2:
		return Plan{}, fmt.Errorf("%s: configuration of version 1: `containerd config migrate` writes it anew", top.path)
	case criPlugin[version] == "":
		return Plan{}, fmt.Errorf("%s: configuration of version %d is not known", top.path, version)
	}
	section, deciding := criSection(files, version)
	h, err := handlerInForce(s, section)
	if err != nil {
		return Plan{}, fmt.Errorf("%s: %w", files[max(deciding, 0)].path, err)
	}
	p, err := h.plan(s, files, version, max(deciding, 0))
	if err != nil {
		return Plan{}, err
	}
	if len(p.Edits) > 0 {
		p.Restart = []string{"systemctl daemon-reload", "systemctl restart containerd"} // it reads its configuration only when it starts
		p.Notes = []string{"containerd: containers that were made before are judged when they are made anew; " +
			"a RuntimeClass with the handler " + unwrappedHandler + " is not judged"}
	}
	p.Notes = append(p.Notes, otherContainerds(s, files)...)
	return p, nil
}

// plan finds the edits and the shim of the handler in force.
func (h containerdHandler) plan(s Site, files []containerdFile, version int64, deciding int) (p Plan, err error) {
	p.Engine = "containerd"
	if h.byBaseSpec, err = baseSpecWanted(s, files); err != nil {
		return p, err
	}
	if version == 2 {
		p.Edits, err = containerdInPlace(s, files, deciding, h)
	} else {
		p.Edits, err = containerdDropIn(s, files, version, h)
	}
	if err == nil {
		err = h.around(s, &p)
	}
	return p, err
}

// around adds what the configuration names, before it, and takes what it no longer names away, behind it.
func (h containerdHandler) around(s Site, p *Plan) error {
	if h.byBaseSpec {
		spec, err := h.baseSpecEdit(s)
		p.Edits = append(spec, p.Edits...)
		return err
	}
	p.Shims = []Shim{h.shim}
	edits, err := withSelfTest(s, "containerd", containerdUnit, p.Shims, p.Edits)
	if err != nil {
		return err
	}
	p.Edits = edits
	old, mode, err := s.read(baseSpecPath(s))
	if old != nil {
		p.Edits = append(p.Edits, Edit{Path: baseSpecPath(s), Before: old, Mode: mode})
	}
	return err
}

// otherContainerds tells of containerds beside this one whose configuration is generated.
func otherContainerds(s Site, files []containerdFile) (notes []string) {
	for _, g := range generators {
		read := slices.ContainsFunc(files, func(f containerdFile) bool { return f.path == g.config })
		if data, _, err := s.read(g.config); !read && (data != nil || err != nil) {
			notes = append(notes, fmt.Sprintf("containerd: %s runs one of its own, which this does not cover; with --config containerd=%s its template is printed", g.name, g.config))
		}
	}
	return notes
}

// containerdStrip takes our entries out. Where a copy of the file lost our comments, the handler beside tells what the
// runtime was.
func containerdStrip(content []byte) (*tomlFile, error) {
	return stripTOML(content, tomlOurs{
		value: func(text string) bool { return isShim(text) || isBaseSpec(text) },
		none:  true,
		element: func(e string) bool {
			return e == podAnnotations || filepath.Base(e) == dropInGlob
		},
		table: unwrappedHandler,
		before: func(tree map[string]any, path []string) (string, bool) {
			if len(path) < 6 {
				return "", false
			}
			old, known := valueAt(tree, slices.Concat(path[:4], []string{unwrappedHandler}, path[5:])...).(string)
			return old, known
		},
	})
}
