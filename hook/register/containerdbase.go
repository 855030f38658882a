package register

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The methods of containerd, by the key of a handler that changes: BinaryName puts the shim in the place of runc,
// BaseSpec (base_runtime_spec) the hook into the specification that the containers begin as.
const (
	BinaryName = "binary-name"
	BaseSpec   = "base-spec"
)

// baseSpecName is our specification, beside containerd's configuration.
const baseSpecName = "gpu-preflight-base-spec.json"

func baseSpecPath(s Site) string { return filepath.Join(filepath.Dir(containerdTop(s)), baseSpecName) }

func isBaseSpec(path string) bool { return filepath.Base(path) == baseSpecName }

// baseSpecWanted says which method is asked for: without a word, the one that is registered.
func baseSpecWanted(s Site, files []containerdFile) (bool, error) {
	if s.Method != "" {
		return s.Method == BaseSpec, nil
	}
	dropIn, _, err := s.read(dropInPath(s))
	if err != nil {
		return false, err
	}
	there, _, err := s.read(baseSpecPath(s))
	named := strings.Contains(string(dropIn), baseSpecName)
	for _, file := range files {
		named = named || strings.Contains(string(file.before), baseSpecName)
	}
	return named || there != nil, err
}

// baseSpecEdit writes our specification; no edit where it is as it should be.
func (h containerdHandler) baseSpecEdit(s Site) ([]Edit, error) {
	path := baseSpecPath(s)
	before, mode, err := s.read(path)
	if err != nil {
		return nil, err
	}
	from, base, err := h.baseSpecUnder(s, before)
	if err != nil {
		return nil, err
	}
	after, err := hookedSpec(base, s.hookEntry())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	if string(after) == string(before) {
		return nil, nil
	}
	return []Edit{{Path: path, Before: before, After: after, Mode: mode}}, nil
}

// baseSpecUnder is what the handler's containers begin as without us, and where that was read. Where the handler
// names a specification, that. Else what containerd itself takes: only the ctr of its own package tells, because it
// differs by version and machine (the paths that are masked), and one that another version had could open a path.
// Where nothing may be run, ours was made from it.
func (h containerdHandler) baseSpecUnder(s Site, ours []byte) (from string, spec []byte, err error) {
	if named, _ := h.table["base_runtime_spec"].(string); named != "" {
		spec, _, err = s.read(named)
		if err == nil && spec == nil {
			err = fmt.Errorf("base_runtime_spec of the handler %q names %s, which is not there", h.name, named)
		}
		return named, spec, err
	}
	switch {
	case s.Ask != nil:
		spec, err = s.defaultSpec()
		return "ctr oci spec", spec, err
	case ours != nil:
		return baseSpecPath(s), ours, nil
	}
	return "", nil, fmt.Errorf("%s is not there, and to make it `ctr oci spec` is run, on the host itself only; "+
		"elsewhere let base_runtime_spec of the handler %q name a file with what that prints", baseSpecPath(s), h.name)
}

// defaultSpec is what containerd's containers begin as. CRI takes resource limits, seccomp and AppArmor off it, but
// not off a specification that is named (containerd internal/cri/server, buildLinuxSpec), so they go here.
func (s Site) defaultSpec() ([]byte, error) {
	var versions []string
	for _, name := range []string{"containerd", "ctr"} {
		program := s.program(name)
		if program == "" {
			return nil, errors.New(s.noProgram(name))
		}
		out, err := s.Ask(program, "--version")
		if err != nil {
			return nil, fmt.Errorf("%s --version: %w", program, err)
		}
		fields := strings.Fields(string(out)) // ctr github.com/containerd/containerd 1.6.20
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s --version: no version in %.200q", program, out)
		}
		versions = append(versions, fields[2])
	}
	if versions[0] != versions[1] {
		return nil, fmt.Errorf("containerd is %s, and the ctr that would print its specification is %s", versions[0], versions[1])
	}
	spec, err := s.Ask(s.program("ctr"), "oci", "spec")
	for _, path := range [][]string{{"process", "rlimits"}, {"process", "apparmorProfile"}, {"linux", "seccomp"}} {
		if err == nil {
			spec, err = dropJSON(spec, path...)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ctr oci spec: %w", err)
	}
	return spec, nil
}

func isLinuxSpec(data []byte) error {
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return err
	}
	if spec.Process == nil || spec.Linux == nil || spec.Root == nil {
		return errors.New("no specification of a Linux container: process, root or linux is missing")
	}
	return nil
}

// hookedSpec is a specification with our hook as the first that its createRuntime has, once. What containerd decodes
// is compared with what was meant.
func hookedSpec(base []byte, entry hookEntry) ([]byte, error) {
	if err := isLinuxSpec(base); err != nil {
		return nil, err
	}
	var want, got specs.Spec
	var raw struct {
		Hooks *struct{ CreateRuntime []json.RawMessage }
	}
	if err := errors.Join(json.Unmarshal(base, &want), json.Unmarshal(base, &raw)); err != nil {
		return nil, err
	}
	list := []json.RawMessage{json.RawMessage(jsonText(entry))}
	if want.Hooks == nil {
		want.Hooks = &specs.Hooks{}
	}
	theirs := want.Hooks.CreateRuntime
	want.Hooks.CreateRuntime = []specs.Hook{{Path: entry.Path, Args: entry.Args, Env: entry.Env}}
	for i, h := range theirs {
		if !(hookEntry{Path: h.Path, Args: h.Args}).ours() {
			list = append(list, raw.Hooks.CreateRuntime[i])
			want.Hooks.CreateRuntime = append(want.Hooks.CreateRuntime, h)
		}
	}
	if raw.Hooks == nil {
		var err error
		if base, err = dropJSON(base, "hooks"); err != nil { // it may be null
			return nil, err
		}
	}
	after, err := setJSON(base, jsonText(list), "hooks", "createRuntime")
	if err != nil {
		return nil, err
	}
	if err = json.Unmarshal(after, &got); err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(got, want) {
		return nil, errors.New("the hook cannot be put in without changing more than that")
	}
	return after, nil
}

// baseSpecCover is what a handler's specification does to its containers.
func (c containerdView) baseSpecCover(name string) cover {
	path, _ := valueAt(c.section, "containerd", "runtimes", name, "base_runtime_spec").(string)
	if path == "" {
		return cover{state: Absent}
	}
	data, _, err := c.site.read(path)
	var spec specs.Spec
	if err == nil && data != nil {
		err = json.Unmarshal(data, &spec)
	}
	switch {
	case err != nil:
		return cover{state: NotKnown, why: fmt.Sprintf("read %s: %v", path, err)}
	case data == nil:
		return cover{
			state: NotStarted, close: c.site.mend("containerd"),
			why: fmt.Sprintf("%s names %s, which is missing: containerd starts no pod once it is started anew", c.file, path),
		}
	}
	var hooks []specs.Hook
	if spec.Hooks != nil {
		hooks = spec.Hooks.CreateRuntime
	}
	for _, h := range hooks {
		entry := hookEntry{Path: h.Path, Args: h.Args}
		if !entry.ours() {
			continue
		}
		if state, why := c.site.entryFault(entry); state != Judged {
			return cover{state: state, why: path + " " + why, close: c.site.mend("containerd")}
		}
		return cover{state: Judged, why: "by the hook in " + path + ", which " + c.file + " names", by: "containerd", files: []string{c.file, path}}
	}
	return cover{state: PassesBy, why: path + " has no hook of ours", close: c.site.command("containerd")}
}
