package register

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// containerdFile is one of the configuration files that containerd reads.
type containerdFile struct {
	path   string
	before []byte // nil: it is absent
	mode   fs.FileMode
	toml   *tomlFile // without our entries
}

// criPlugin is the name of the section that holds the runtime handlers, by the version of the configuration: 2 is
// that of containerd 1.6 and 1.7, 3 of 2.0, 4 of 2.3 and later.
var criPlugin = map[int64]string{2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime", 4: "io.containerd.cri.v1.runtime"}

// runtimesOf is the table of the handlers.
func runtimesOf(plugin string, more ...string) []string {
	return append([]string{"plugins", plugin, "containerd", "runtimes"}, more...)
}

// containerdTop is the file that containerd starts from.
func containerdTop(s Site) string {
	if path := s.Configs["containerd"]; path != "" {
		return path
	}
	return containerdConfig
}

// containerdRead reads the configuration in containerd's own order: a file, then what it imports, then what those
// import; none is read twice (containerd cmd/containerd/server/config).
func containerdRead(s Site) ([]containerdFile, error) {
	var files []containerdFile
	seen := map[string]bool{}
	for queue := []string{containerdTop(s)}; len(queue) > 0; queue = queue[1:] {
		path := queue[0]
		if seen[path] {
			continue
		}
		seen[path] = true
		file, err := containerdReadOne(s, path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if file.before == nil && len(files) > 0 {
			return nil, fmt.Errorf("%s: it is imported and is not there", path)
		}
		files = append(files, file)
		for _, pattern := range importsOf(file.toml.tree) {
			paths, err := importPaths(s, path, pattern)
			if err != nil {
				return nil, fmt.Errorf("%s: imports %q: %w", path, pattern, err)
			}
			queue = append(queue, paths...)
		}
		if len(files) > maxImports {
			return nil, fmt.Errorf("%s: more than %d imported files", path, maxImports)
		}
	}
	return files, nil
}

// maxImports bounds how many files a configuration may be spread over.
const maxImports = 256

func containerdReadOne(s Site, path string) (containerdFile, error) {
	before, mode, err := s.read(path)
	if err != nil {
		return containerdFile{}, err
	}
	f, err := containerdStrip(before)
	return containerdFile{path: path, before: before, mode: mode, toml: f}, err
}

func importsOf(tree map[string]any) (patterns []string) {
	list, _ := tree["imports"].([]any)
	for _, e := range list {
		if pattern, ok := e.(string); ok {
			patterns = append(patterns, pattern)
		}
	}
	return patterns
}

// importPaths are the files that an import names. Our own drop-in is left out: it is written last and judged apart.
func importPaths(s Site, from, pattern string) ([]string, error) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(from), pattern)
	}
	if filepath.Base(pattern) == dropInName {
		return nil, nil
	}
	if !strings.Contains(pattern, "*") {
		return []string{filepath.Clean(pattern)}, nil
	}
	folder, name := filepath.Split(filepath.Clean(pattern))
	if strings.ContainsAny(folder, "*?[") {
		return nil, errors.New("wildcards in folders are not followed")
	}
	here, err := s.at(folder)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(here)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		matches, err := filepath.Match(name, e.Name())
		if err != nil {
			return nil, err
		}
		if matches && e.Name() != dropInName {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	return paths, nil
}

// criSection is the section with the handlers as containerd puts it together: from version 3 on the files' sections are
// merged, in version 2 containerd 1.6 and 1.7 take the last one whole.
func criSection(files []containerdFile, version int64) (section map[string]any, last int) {
	last = -1
	for n, file := range files {
		table, ok := valueAt(file.toml.tree, "plugins", file.plugin(version)).(map[string]any)
		if !ok {
			continue
		}
		last = n
		if section == nil || version == 2 {
			section = table
			continue
		}
		section = merged(section, table)
	}
	return section, last
}

// plugin is the name of the section in this file: containerd 2.x translates each file from the version that it states.
func (f containerdFile) plugin(version int64) string {
	own, _ := f.toml.tree["version"].(int64)
	if name := criPlugin[own]; name != "" && version > 2 {
		return name
	}
	return criPlugin[version]
}

// merged lays one table over another. Empty values leave what was there, as in containerd (dario.cat/mergo).
func merged(under, over map[string]any) map[string]any {
	out := make(map[string]any, len(under)+len(over))
	maps.Copy(out, under)
	for key, value := range over {
		below, wasTable := out[key].(map[string]any)
		above, isTable := value.(map[string]any)
		switch {
		case wasTable && isTable:
			out[key] = merged(below, above)
		case value != "" || out[key] == nil:
			out[key] = value
		}
	}
	return out
}

// criDisabled tells whether containerd is told not to serve Kubernetes, as docker's own packages do.
func criDisabled(files []containerdFile) bool {
	for _, file := range files {
		list, _ := file.toml.tree["disabled_plugins"].([]any)
		for _, name := range []string{"cri", criPlugin[2], criPlugin[3]} {
			if slices.Contains(list, any(name)) {
				return true
			}
		}
	}
	return false
}

// containerdHandler is the runtime handler that pods without a RuntimeClass get.
type containerdHandler struct {
	name  string
	table map[string]any // nil: containerd's own default, which no file mentions
	shim  Shim

	byBaseSpec bool // the hook in its specification, not the shim
}

// entry is the key of the handler by which launches come past us, and its value.
func (h containerdHandler) entry(s Site) (key []string, value string) {
	if h.byBaseSpec {
		return []string{"base_runtime_spec"}, baseSpecPath(s)
	}
	return []string{"options", "BinaryName"}, s.ShimPath(h.shim.Name)
}

// runcV2 is the containerd shim that runs a program with runc's command line.
const runcV2 = "io.containerd.runc.v2"

// handlerInForce finds the handler and the runtime behind it.
func handlerInForce(s Site, section map[string]any) (containerdHandler, error) {
	h := containerdHandler{name: "runc"}
	settings, _ := section["containerd"].(map[string]any)
	if old, _ := valueAt(settings, "default_runtime", "runtime_type").(string); old != "" {
		return h, errors.New("default_runtime is deprecated: name the runtime in default_runtime_name")
	}
	if name, _ := settings["default_runtime_name"].(string); name != "" {
		h.name = name
	}
	h.table, _ = valueAt(settings, "runtimes", h.name).(map[string]any)
	if h.table == nil && h.name != "runc" {
		return h, fmt.Errorf("the default runtime %q is not among the runtimes", h.name)
	}
	if kind, _ := h.table["runtime_type"].(string); kind != "" && kind != runcV2 {
		return h, fmt.Errorf("the default runtime %q is of the type %q, in front of which no shim can be put", h.name, kind)
	}
	if !folderName.MatchString(h.name) {
		return h, fmt.Errorf("the default runtime %q has a name that cannot be that of a folder", h.name)
	}
	binary, _ := valueAt(h.table, "options", "BinaryName").(string)
	if binary == "" {
		binary = "runc"
	}
	h.shim = Shim{Name: "containerd-" + h.name, Next: s.program(binary)}
	if h.shim.Next == "" {
		return h, fmt.Errorf("the default runtime %q: %s is not on this host", h.name, binary)
	}
	return h, nil
}

// unwrapped is the handler as it was before us.
func (h containerdHandler) unwrapped() map[string]any {
	table := maps.Clone(h.table)
	if table == nil {
		table = map[string]any{}
	}
	if kind, _ := table["runtime_type"].(string); kind == "" {
		table["runtime_type"] = runcV2
	}
	if list, _ := table["pod_annotations"].([]any); len(list) == 0 {
		delete(table, "pod_annotations") // what is left of our entry in an inline table, and the same as none
	}
	return table
}
