package register

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// containersConf is the administrator's file; the distribution's is never changed (containers.conf(5)).
const containersConf = "/etc/containers/containers.conf"

// crunStderr makes crun give hooks its own stderr, which they have not otherwise (crun(1)).
const crunStderr = "run.oci.hooks.stderr"

var (
	podmanAnnotations = []string{"containers", "annotations"}
	podmanJSON        = []string{"engine", "runtime_supports_json"}
	podmanHooks       = []string{"engine", "hooks_dir"}
)

// podmanJSONDefault are the runtimes whose errors podman takes as JSON only (containers.conf(5)).
var podmanJSONDefault = []string{"crun", "runc", "kata", "runsc", "youki", "krun"}

// podman registers the hook in podman's folder of hooks.
func podman() Engine {
	return Engine{
		Name:    "podman",
		Present: func(s Site) bool { return s.program("podman") != "" },
		Plan:    planPodman,
		Strip:   stripPodman,
		Files:   podmanFiles,
	}
}

// podmanConfs are the files that podman reads, the last one first in rank.
func podmanConfs(s Site) []string {
	if named := s.Configs["podman"]; named != "" {
		return []string{named}
	}
	return append([]string{"/usr/share/containers/containers.conf", containersConf}, s.dropIns(containersConf+".d", ".conf")...)
}

func podmanFiles(s Site) []string {
	paths := podmanConfs(s)
	layers, err := s.tomlLayers(paths)
	if err != nil {
		return nil
	}
	folders, _ := listInForce(layers, hooksDefault, podmanHooks...)
	for _, folder := range folders {
		paths = append(paths, filepath.Join(folder, hooksFile))
	}
	return paths
}

func planPodman(s Site) (Plan, error) {
	p := Plan{Engine: "podman"}
	layers, err := s.tomlLayers(podmanConfs(s))
	if err != nil {
		return p, err
	}
	folders, _ := listInForce(layers, hooksDefault, podmanHooks...)
	path, edits, err := s.hooksEdit(folders)
	if err != nil {
		return p, err
	}
	if path == "" {
		p.Notes = append(p.Notes, "podman passes by: none of its folders of hooks can be written ("+strings.Join(folders, ", ")+
			"); name one that can in hooks_dir of [engine] in "+containersConf)
		return p, nil
	}
	p.Edits = edits
	if s.podmanRuns(layers, "crun") {
		err = s.planCrun(&p, layers)
	}
	return p, err
}

// podmanRuns says whether podman's runtime, when nobody names another, is called so. crun is podman's own choice.
func (s Site) podmanRuns(layers []tomlLayer, name string) bool {
	value, _ := keyInForce(layers, "engine", "runtime")
	if runtime, _ := value.(string); runtime != "" {
		return runtime == name
	}
	return name == "crun" && s.program(name) != ""
}

// planCrun lets the reason of a refusal through to podman's user. crun gives the hook its stderr by an annotation,
// and podman reads that only where it does not take crun's errors as JSON (both tried with podman 4.3, crun 1.8).
func (s Site) planCrun(p *Plan, layers []tomlLayer) error {
	annotations, from := listInForce(layers, nil, podmanAnnotations...)
	supports, listed := listInForce(layers, nil, podmanJSON...)
	ours := crunStderr + "=/dev/stderr"
	theirs := slices.ContainsFunc(annotations, func(a string) bool { return strings.HasPrefix(a, crunStderr+"=") && a != ours })
	if theirs || slices.Contains(supports, "crun") {
		p.Notes = append(p.Notes, "podman with crun names only the hook's exit code (its configuration has its own "+
			podmanJSON[1]+" or "+crunStderr+"); gpu-preflight logs --refused has the reason")
		return nil
	}
	target := containersConf
	if named := s.Configs["podman"]; named != "" {
		target = named
	}
	if from == "" || strings.HasPrefix(from, "/usr/") {
		from = target
	}
	if !slices.Contains(annotations, ours) {
		err := s.editTOML(p, from, func(f *tomlFile) (*tomlFile, error) { return f.addTo(podmanAnnotations, last, ours, annotations) })
		if err != nil {
			return err
		}
	}
	if listed != "" {
		return nil
	}
	return s.editTOML(p, target, withoutCrun)
}

// withoutCrun writes the list of the runtimes that give JSON, which stands nowhere, without crun.
func withoutCrun(f *tomlFile) (*tomlFile, error) {
	var list []any
	for _, name := range podmanJSONDefault {
		if name != "crun" {
			list = append(list, name)
		}
	}
	want, err := withValue(f.tree, podmanJSON, list)
	if err != nil {
		return nil, err
	}
	return f.insert(podmanJSON, list, want)
}

// editTOML adds a change of a file to a plan that may change it already.
func (s Site) editTOML(p *Plan, path string, change func(*tomlFile) (*tomlFile, error)) error {
	i := slices.IndexFunc(p.Edits, func(e Edit) bool { return e.Path == path })
	if i < 0 {
		before, mode, err := s.read(path)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		i, p.Edits = len(p.Edits), append(p.Edits, Edit{Path: path, Before: before, After: before, Mode: mode})
		if before == nil {
			p.Edits[i].After = []byte(markMade + "\n")
		}
	}
	f, err := parseTOML(p.Edits[i].After)
	if err == nil {
		f, err = change(f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	p.Edits[i].After = f.data
	return nil
}

// stripPodman takes our lines out of a containers.conf; the hook's file goes whole.
func stripPodman(path string, content []byte) ([]byte, error) {
	if filepath.Base(path) == hooksFile {
		return nil, nil
	}
	f, err := stripTOML(content, tomlOurs{element: func(text string) bool { return text == crunStderr+"=/dev/stderr" }})
	if err != nil {
		return nil, err
	}
	return f.unlessEmpty(), nil
}
