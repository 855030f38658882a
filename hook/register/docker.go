package register

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	dockerConfig  = "/etc/docker/daemon.json"
	dockerRuntime = "gpu-preflight" // the name of our runtime
	dockerUnit    = "docker.service"
)

// daemonJSON is what matters to us of docker's configuration (moby daemon/config/config.go).
type daemonJSON struct {
	DefaultRuntime string                    `json:"default-runtime"`
	Runtimes       map[string]dockerdRuntime `json:"runtimes"`
	DataRoot       string                    `json:"data-root"`
	Graph          string                    `json:"graph"` // its name before 17.05
}

// dockerdRuntime is one of the runtimes (moby api/types/system/runtime.go).
type dockerdRuntime struct {
	Path string   `json:"path,omitempty"`
	Args []string `json:"runtimeArgs,omitempty"`
	Type string   `json:"runtimeType,omitempty"`

	Before string `json:"before-gpu-preflight,omitempty"` // ours: the path, where the shim stands in its place
}

// beforeKey is the key of dockerdRuntime.Before.
const beforeKey = "before-gpu-preflight"

// ours says whether the entry leads to the shim of a registration; its folder tells the default it replaced.
func (r dockerdRuntime) ours() (oldDefault string, ok bool) {
	folder, file := filepath.Split(r.Path)
	above, name := filepath.Split(filepath.Clean(folder))
	oldDefault, ok = strings.CutPrefix(name, "docker-")
	return oldDefault, ok && file == "gpu-preflight-runtime" && strings.HasSuffix(above, "/libexec/gpu-preflight/")
}

func docker() Engine {
	return Engine{
		Name:    "docker",
		Present: func(s Site) bool { return s.program("dockerd") != "" },
		Plan:    dockerPlan,
		Strip:   func(path string, content []byte) ([]byte, error) { return dockerStripFile(path, content, false) },
		Keep:    func(path string, content []byte) ([]byte, error) { return dockerStripFile(path, content, true) },
		Files:   func(s Site) []string { return []string{selfTestPath(dockerUnit), dockerFile(s)} },
		Users:   dockerUsers,
		// A reload does not take the default runtime back where the key is gone (docker 20.10, daemon/reload_unix.go):
		// containers made until the restart would name a runtime that is none any more.
		Back: []string{"systemctl daemon-reload", "systemctl restart docker"},
	}
}

// dockerFile is the configuration file: the one named, the one that dockerd is started with, the usual one.
func dockerFile(s Site) string {
	if path := s.Configs["docker"]; path != "" {
		return path
	}
	if named := flagValues(dockerdWords(s), "--config-file"); len(named) > 0 {
		return named[len(named)-1]
	}
	return dockerConfig
}

func readDaemonJSON(content []byte) (daemonJSON, error) {
	var c daemonJSON
	if len(strings.TrimSpace(string(content))) == 0 {
		return c, nil
	}
	if _, err := parseJSON(content); err != nil {
		return c, err
	}
	return c, json.Unmarshal(content, &c)
}

// dockerPlan makes our runtime the default, and what was the default the runtime behind it.
func dockerPlan(s Site) (Plan, error) {
	path := dockerFile(s)
	before, mode, err := s.read(path)
	if err != nil {
		return Plan{}, fmt.Errorf("read docker's configuration: %w", err)
	}
	config, err := readDaemonJSON(before)
	if err != nil {
		return Plan{}, fmt.Errorf("%s: %w", path, err)
	}
	p := Plan{Engine: "docker"}
	after, err := p.wrapDocker(s, before, config)
	if err != nil {
		return Plan{}, fmt.Errorf("%s: %w", path, err)
	}
	if len(p.Shims) == 0 {
		return p, nil
	}
	if err = flagsAllow(dockerdWords(s)); err != nil {
		return Plan{}, err
	}
	p.Restart = []string{"systemctl reload docker"} // runtimes and default-runtime are read again (moby daemon/reload_unix.go)
	if p.Edits, err = withSelfTest(s, "docker", dockerUnit, p.Shims, nil); err != nil {
		return Plan{}, err
	}
	if len(p.Edits) > 0 {
		p.Restart = append([]string{"systemctl daemon-reload"}, p.Restart...)
	}
	if before != nil && string(after) == string(before) {
		return p, nil
	}
	p.Edits = append(p.Edits, Edit{Path: path, Before: before, After: after, Mode: mode})
	p.Notes = append(p.Notes, "a container keeps the runtime it was first started with; one made before is judged when it is made anew")
	return p, nil
}

// wrapDocker puts the shim in front of the default runtime, unless that is NVIDIA's, and of NVIDIA's where asked.
func (p *Plan) wrapDocker(s Site, content []byte, c daemonJSON) ([]byte, error) {
	after, shims, err := s.aboveNVIDIA(content, c)
	if err != nil {
		return nil, err
	}
	p.Shims = shims
	old := oldDefault(c)
	if r := c.Runtimes[old]; r.wrapped() {
		return after, nil
	} else if old == "nvidia" || isNVIDIARuntime(r.Path) {
		if len(shims) == 0 {
			p.Notes = []string{"the default runtime is " + old + ": it stays, and is judged once nvidia-ctk is registered, or docker with --above-nvidia"}
		}
		return after, nil
	}
	shim, entry, err := dockerShim(s, c, old)
	if err != nil {
		return nil, err
	}
	p.Shims = append(p.Shims, shim)
	return dockerSplice(after, c, entry)
}

// oldDefault is the runtime that is the default without us.
func oldDefault(c daemonJSON) string {
	name := c.DefaultRuntime
	if name == dockerRuntime {
		name, _ = c.Runtimes[dockerRuntime].ours()
	}
	if name == "" {
		return "runc"
	}
	return name
}

// folderName is what a runtime may be called, so that its name can be one of a folder.
var folderName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// stockRuntime says whether docker itself defines a runtime of this name, which then is the runc of its PATH.
func stockRuntime(name string) bool { return name == "runc" || name == "io.containerd.runc.v2" }

// dockerShim finds the runtime behind the default. Its own arguments go to our entry: docker puts them before its own,
// and the shim hands on all of them.
func dockerShim(s Site, c daemonJSON, old string) (Shim, dockerdRuntime, error) {
	named, known := c.Runtimes[old]
	path := named.Path
	switch {
	case stockRuntime(old):
		path = "runc"
	case !known:
		return Shim{}, dockerdRuntime{}, fmt.Errorf("the default runtime %q is not among the runtimes, and nothing can be put in front of it", old)
	case named.Type != "" || path == "":
		return Shim{}, dockerdRuntime{}, fmt.Errorf("the default runtime %q has a runtimeType, which cannot be wrapped: register cdi or nvidia-ctk", old)
	case !folderName.MatchString(old):
		return Shim{}, dockerdRuntime{}, fmt.Errorf("the default runtime %q has a name that cannot be that of a folder", old)
	}
	next := s.program(path)
	if next == "" || filepath.Base(next) == "gpu-preflight-runtime" {
		return Shim{}, dockerdRuntime{}, fmt.Errorf("the default runtime %q: no program %s that could stand behind ours", old, path)
	}
	shim := Shim{Name: "docker-" + old, Next: next}
	return shim, dockerdRuntime{Path: s.ShimPath(shim.Name), Args: named.Args}, nil
}

// dockerSplice writes the entry and names it as the default, where that is not so yet.
func dockerSplice(content []byte, c daemonJSON, entry dockerdRuntime) ([]byte, error) {
	if there := c.Runtimes[dockerRuntime]; there.Path != entry.Path || there.Type != "" || strings.Join(there.Args, "\x00") != strings.Join(entry.Args, "\x00") {
		value, err := json.Marshal(entry)
		if err != nil {
			return nil, err
		}
		if content, err = setJSON(content, string(value), "runtimes", dockerRuntime); err != nil {
			return nil, err
		}
	}
	if c.DefaultRuntime == dockerRuntime {
		return content, nil
	}
	return setJSON(content, `"`+dockerRuntime+`"`, "default-runtime")
}

// dockerStripFile takes our entries out of a file that changed since.
func dockerStripFile(path string, content []byte, keep bool) ([]byte, error) {
	if filepath.Base(path) == selfTestFile {
		return stripSelfTest(content), nil
	}
	return dockerStrip(content, keep)
}

// dockerStrip gives docker the default runtime back, and takes our entry out unless containers name it. An entry that
// somebody made by hand is not ours.
func dockerStrip(content []byte, keep bool) ([]byte, error) {
	c, err := readDaemonJSON(content)
	if err != nil {
		return nil, err
	}
	if content, err = unwrapRuntimes(content, c); err != nil {
		return nil, err
	}
	entry, there := c.Runtimes[dockerRuntime]
	old, ours := entry.ours()
	if there && !ours {
		return content, nil
	}
	if content, err = defaultBack(content, c, old); err != nil {
		return nil, err
	}
	if keep || !ours {
		return content, nil
	}
	if len(c.Runtimes) == 1 {
		return dropJSON(content, "runtimes")
	}
	return dropJSON(content, "runtimes", dockerRuntime)
}

// defaultBack gives docker the default runtime that ours replaced.
func defaultBack(content []byte, c daemonJSON, old string) ([]byte, error) {
	_, known := c.Runtimes[old]
	switch {
	case c.DefaultRuntime != dockerRuntime:
		return content, nil
	case known || (stockRuntime(old) && old != "runc"):
		return setJSON(content, `"`+old+`"`, "default-runtime")
	}
	return dropJSON(content, "default-runtime")
}
