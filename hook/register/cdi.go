package register

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"
	cdilib "tags.cncf.io/container-device-interface/pkg/cdi"
)

// cdiDefaults are the folders that engines read CDI files from (CDI SPEC.md); the last has the highest priority.
var cdiDefaults = []string{"/etc/cdi", "/var/run/cdi"}

// cdiKinds are the kinds whose devices are whole GPUs or MIG instances for containers that compute: nvidia-ctk's and
// the device plugin's. Not the management kind, which is for containers that mend a host, not what comes and goes
// with a claim, and nothing that is no GPU.
var cdiKinds = []string{"nvidia.com/gpu", "k8s.device-plugin.nvidia.com/gpu"}

// gpuNode is a device node that makes a device a GPU: a GPU's own, or WSL's.
var gpuNode = regexp.MustCompile(`^/dev/(nvidia[0-9]+|dxg)$`)

// cdiHooks is where a CDI file holds the hooks that come with any of its devices.
var cdiHooks = []string{"containerEdits", "hooks"}

// cdi registers the hook in the CDI files that give GPUs to containers, whoever reads them.
func cdi() Engine {
	return Engine{
		Name:    "cdi",
		Present: func(s Site) bool { return s.unit(cdiRefresh) != "" || len(s.gpuFiles().files) > 0 },
		Plan:    planCDI,
		Strip:   stripCDI,
		Files: func(s Site) []string {
			var paths []string
			for _, f := range s.gpuFiles().files {
				paths = append(paths, f.path)
			}
			for _, u := range cdiUnits(s) {
				paths = append(paths, u.path)
			}
			return paths
		},
	}
}

// cdiFile is a CDI file that gives GPUs to containers.
type cdiFile struct {
	path    string // links of its folder followed
	data    []byte
	mode    fs.FileMode
	devices []string
}

// cdiSet is what the folders hold.
type cdiSet struct {
	files []cdiFile
	notes []string // files that are left as they are although they may hold GPUs, and why
}

func planCDI(s Site) (Plan, error) {
	p := Plan{Engine: "cdi"}
	set := s.gpuFiles()
	p.Notes = set.notes
	for _, f := range set.files {
		if other := set.rival(f); other != "" {
			p.Notes = append(p.Notes, fmt.Sprintf("%s: left as it is: %s defines the same device, so engines use neither", f.path, other))
			continue
		}
		after, err := hookedCDI(f.data, s.hookEntry())
		if err != nil {
			p.Notes = append(p.Notes, fmt.Sprintf("%s: left as it is, its launches pass by: %v", f.path, err))
			continue
		}
		if string(after) != string(f.data) {
			p.Edits = append(p.Edits, Edit{Path: f.path, Before: f.data, After: after, Mode: f.mode})
		}
	}
	if len(set.files) == 0 {
		p.Notes = append(p.Notes, "no CDI file with a GPU in "+strings.Join(s.cdiFolders(), ", "))
	}
	return p, s.planUnits(&p)
}

// rival names another file of the same folder that defines a device of f: CDI drops both (cache.go, refresh). In a
// folder of higher priority the other one wins, and each is edited.
func (set cdiSet) rival(f cdiFile) string {
	for _, other := range set.files {
		if other.path != f.path && filepath.Dir(other.path) == filepath.Dir(f.path) &&
			slices.ContainsFunc(other.devices, func(name string) bool { return slices.Contains(f.devices, name) }) {
			return other.path
		}
	}
	return ""
}

// cdiFolders are the folders, or the one file or folder that was named, with links followed and none twice.
func (s Site) cdiFolders() []string {
	folders := cdiDefaults
	if named := s.Configs["cdi"]; named != "" {
		folders = []string{named}
	}
	var out []string
	for _, folder := range folders {
		there, err := s.at(folder)
		if err != nil {
			continue
		}
		below, err := filepath.Rel(filepath.Join("/", s.Root), filepath.Join("/", there))
		if folder = filepath.Join("/", below); err == nil && !slices.Contains(out, folder) {
			out = append(out, folder)
		}
	}
	return out
}

// gpuFiles reads the CDI files of the folders.
func (s Site) gpuFiles() cdiSet {
	var set cdiSet
	for _, folder := range s.cdiFolders() {
		there, err := s.at(folder)
		if err != nil {
			continue
		}
		paths := []string{folder}
		if entries, err := os.ReadDir(there); err == nil {
			paths = nil
			for _, e := range entries {
				paths = append(paths, filepath.Join(folder, e.Name()))
			}
		}
		for _, path := range paths {
			if ext := filepath.Ext(path); ext == ".yaml" || ext == ".json" {
				set.read(s, path)
			}
		}
	}
	return set
}

// read adds a file if it gives GPUs.
func (set *cdiSet) read(s Site, path string) {
	data, mode, err := s.read(path)
	if err == nil && data == nil {
		return
	}
	var spec *cdilib.Spec
	if err == nil {
		spec, err = readCDI(data)
	}
	if err != nil {
		set.notes = append(set.notes, fmt.Sprintf("%s: left as it is: %v", path, err))
		return
	}
	f := cdiFile{path: path, data: data, mode: mode}
	if !givesGPUs(spec) {
		return
	}
	for _, d := range spec.Devices {
		f.devices = append(f.devices, spec.Kind+"="+d.Name)
	}
	set.files = append(set.files, f)
}

// givesGPUs says whether a file's devices are GPUs for containers.
func givesGPUs(spec *cdilib.Spec) bool {
	if !slices.Contains(cdiKinds, spec.Kind) {
		return false
	}
	nodes := spec.ContainerEdits.DeviceNodes
	for _, d := range spec.Devices {
		nodes = append(slices.Clip(nodes), d.ContainerEdits.DeviceNodes...)
	}
	for _, n := range nodes {
		if n != nil && gpuNode.MatchString(n.Path) {
			return true
		}
	}
	return false
}

// readCDI reads and validates a file as engines do, by CDI's own library, which takes a path: the bytes lie in
// memory. A library that gives up by panic is an error.
func readCDI(data []byte) (spec *cdilib.Spec, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the CDI library gave up: %v", cause)
		}
	}()
	fd, err := unix.MemfdCreate("cdi", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "cdi")
	defer func() { _ = f.Close() }()
	if _, err = f.Write(data); err != nil {
		return nil, err
	}
	spec, err = cdilib.ReadSpec(fmt.Sprintf("/proc/self/fd/%d", fd), 0)
	if err != nil {
		return nil, fmt.Errorf("read as CDI: %w", err)
	}
	return spec, nil
}

// hookedCDI is a file with our hook as the first of those that come with any of its devices, once and in its present
// form. CDI's own library has to take it.
func hookedCDI(data []byte, entry hookEntry) ([]byte, error) {
	present, err := readCDI(data)
	if err != nil {
		return nil, err
	}
	ours, good := 0, 0
	for _, h := range present.ContainerEdits.Hooks {
		e := hookEntry{h.Path, h.Args, h.Env}
		if e.ours() {
			ours++
		}
		if h.HookName == "createRuntime" && h.Timeout == nil && e.equal(entry) {
			good++
		}
	}
	if ours == 1 && good == 1 {
		return data, nil
	}
	clean, err := stripCDI("", data)
	if err != nil {
		return nil, err
	}
	item := fmt.Sprintf(`{"hookName": "createRuntime", "path": %s, "args": %s, "env": %s}`,
		jsonText(entry.Path), jsonText(entry.Args), jsonText(entry.Env))
	after, err := addYAML(clean, cdiHooks, item)
	if err != nil {
		return nil, err
	}
	if _, err := readCDI(after); err != nil {
		return nil, fmt.Errorf("the edit would break the file: %w", err)
	}
	return after, nil
}

// stripCDI takes our hook out of a CDI file. A unit of ours goes whole.
func stripCDI(path string, content []byte) ([]byte, error) {
	if ext := filepath.Ext(path); ext != "" && ext != ".yaml" && ext != ".json" {
		return nil, nil
	}
	return dropYAML(content, cdiHooks, func(n *yaml.Node) bool {
		var hook struct {
			Path string
			Args []string
		}
		return n.Decode(&hook) == nil && hookEntry{Path: hook.Path, Args: hook.Args}.ours()
	})
}
