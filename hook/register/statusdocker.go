package register

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// dockerView is what docker's files say of its launches.
type dockerView struct {
	site     Site
	file     string
	runtimes map[string]dockerdRuntime
	standard string // the default runtime
	cdiOff   bool
	cdiDirs  []string
}

// dockerNames are docker's launch paths, in the order of the rows.
var dockerNames = []string{
	"docker --gpus, legacy hook", "docker --gpus, CDI", "docker --device, CDI", "docker --runtime=nvidia",
	"docker --runtime=runc, legacy hook", "docker --runtime=runc, CDI", "docker build",
}

func dockerPaths(s Site) []PathStatus {
	var rows []PathStatus
	d, why := readDockerHost(s)
	if why.state != "" {
		for _, name := range dockerNames {
			rows = append(rows, under(name, why))
		}
		return rows
	}
	standard, cdi := d.runtime(d.standard), d.cdi()
	legacy := cover{}
	if s.program("nvidia-container-runtime-hook") == "" {
		legacy.why = "no nvidia-container-runtime-hook in the usual folders of dockerd's PATH, so none may start this way"
	}
	plain := cover{state: PassesBy, why: "the caller goes around the default runtime; only a CDI file's hook is met on this way"}
	covers := [][]cover{
		{standard, legacy},
		{standard, cdi},
		d.device(standard, cdi),
		{d.named("nvidia")},
		{plain, legacy},
		{cdi},
		{{state: PassesBy, why: "the builder knows no --gpus, and BuildKit starts its steps itself, with hooks of its own only"}},
	}
	for i, name := range dockerNames {
		rows = append(rows, under(name, covers[i]...))
	}
	if rows[1].State != Absent {
		rows[1].Why += "; used by docker 29.2 and later where nvidia-cdi-hook is on its PATH" + d.cdiHook() + "; docker's version is not looked at"
	}
	return rows
}

// readDockerHost reads docker's configuration; a cover with a state says why there is nothing to tell.
func readDockerHost(s Site) (dockerView, cover) {
	if !s.installed("docker", "dockerd") {
		return dockerView{}, cover{state: Absent, why: s.noProgram("dockerd")}
	}
	d := dockerView{site: s, file: dockerFile(s)}
	content, _, err := s.read(d.file)
	if err != nil {
		return d, cover{state: NotKnown, why: fmt.Sprintf("read %s: %v", d.file, err)}
	}
	config, err := readDaemonJSON(content)
	if err != nil {
		return d, cover{state: NotKnown, why: fmt.Sprintf("%s: %v", d.file, err)}
	}
	var more struct {
		Features map[string]any `json:"features"`
		Dirs     []string       `json:"cdi-spec-dirs"`
	}
	if len(strings.TrimSpace(string(content))) > 0 {
		if err = json.Unmarshal(content, &more); err != nil {
			return d, cover{state: NotKnown, why: fmt.Sprintf("%s: %v", d.file, err)}
		}
	}
	on, set := more.Features["cdi"].(bool)
	d.cdiOff, d.cdiDirs = set && !on, more.Dirs
	d.runtimes, d.standard = map[string]dockerdRuntime{}, config.DefaultRuntime
	maps.Copy(d.runtimes, config.Runtimes)
	d.flags(dockerdWords(s))
	return d, cover{}
}

// flags adds what dockerd is started with, and what holds where nothing is said.
func (d *dockerView) flags(words []string) {
	for _, value := range flagValues(words, "--add-runtime") {
		name, path, _ := strings.Cut(value, "=")
		d.runtimes[name] = dockerdRuntime{Path: path}
	}
	for _, value := range flagValues(words, "--default-runtime") {
		d.standard = value
	}
	if d.standard == "" {
		d.standard = "runc"
	}
	// An empty folder switches CDI off (moby cmd/dockerd/daemon.go).
	d.cdiDirs = append(slices.Clone(d.cdiDirs), flagValues(words, "--cdi-spec-dir")...)
	n := len(d.cdiDirs)
	d.cdiDirs = slices.DeleteFunc(d.cdiDirs, func(dir string) bool { return dir == "" })
	d.cdiOff = d.cdiOff || (n > 0 && len(d.cdiDirs) == 0) || slices.Contains(flagValues(words, "--feature"), "cdi=false")
}

// named is what stands at a runtime that the caller names.
func (d dockerView) named(name string) cover {
	if _, known := d.runtimes[name]; !known {
		return cover{state: Absent, why: "docker has no runtime " + name}
	}
	return d.runtime(name)
}

// runtime is what stands at one of docker's runtimes.
func (d dockerView) runtime(name string) cover {
	r, known := d.runtimes[name]
	switch {
	case !known && stockRuntime(name):
		return cover{state: PassesBy, why: "nothing of ours stands before " + name + ", docker's default runtime", close: d.site.command("docker")}
	case !known:
		return cover{state: NotKnown, why: fmt.Sprintf("the runtime %q is not among docker's runtimes", name)}
	case r.Type != "" || r.Path == "":
		return cover{state: PassesBy, why: fmt.Sprintf("the runtime %q has a runtimeType, which cannot be wrapped", name), close: d.site.command("cdi")}
	}
	c := d.site.runtimeCover("docker", d.file, r.Path)
	if c.state == PassesBy && r.wrapped() {
		if behind := d.site.runtimeCover("docker", d.file, r.Before); behind.state == Judged {
			return behind
		}
	}
	return c
}

// device is what --device comes past: no container starts by it where CDI is off.
func (d dockerView) device(standard, cdi cover) []cover {
	if d.cdiOff {
		return []cover{cdi}
	}
	return []cover{standard, cdi}
}

// cdi is what stands in the CDI files that docker reads.
func (d dockerView) cdi() cover {
	if d.cdiOff {
		return cover{state: Absent, why: d.file + ", or a flag of dockerd, switches CDI off"}
	}
	return d.site.cdiCover(d.cdiDirs)
}

func (d dockerView) cdiHook() string {
	if d.site.program("nvidia-cdi-hook") == "" {
		return " (it is not in the usual folders)"
	}
	return ""
}
