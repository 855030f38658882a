package register

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// hooksFile is our file in a folder of hooks. Engines start hooks in the order of the file names
// (containers/common, pkg/hooks), so ours comes before oci-nvidia-hook.json.
const hooksFile = "00-gpu-preflight.json"

// hooksDefault are the folders where an engine's configuration names none (oci-hooks(5); CRI-O, pkg/config).
var hooksDefault = []string{"/usr/share/containers/oci/hooks.d"}

// hooksEdit is the file that makes podman and CRI-O run our hook for every container. Those without a GPU pass at
// once. There is no edit where it is there already, and an empty path where no folder can be written.
func (s Site) hooksEdit(folders []string) (path string, edits []Edit, err error) {
	i := slices.IndexFunc(folders, s.writable)
	if i < 0 {
		return "", nil, nil
	}
	path = filepath.Join(folders[i], hooksFile)
	now, _, err := s.read(path)
	if err != nil {
		return "", nil, fmt.Errorf("read %s: %w", path, err)
	}
	e := s.userEntry()
	text := fmt.Sprintf(`{
  "version": "1.0.0",
  "hook": {
    "path": %s,
    "args": %s
  },
  "when": {"always": true},
  "stages": ["createRuntime"]
}
`, jsonText(e.Path), jsonText(e.Args))
	if now == nil || string(now) != text {
		edits = []Edit{{Path: path, Before: now, After: []byte(text), Mode: 0o644}}
	}
	return path, edits, nil
}

// writable says whether files can be made in a folder, or the folder itself.
func (s Site) writable(folder string) bool {
	for at := filepath.Clean(folder); filepath.IsAbs(at); at = filepath.Dir(at) {
		there, err := s.at(at)
		if err != nil {
			return false
		}
		info, err := os.Stat(there)
		if os.IsNotExist(err) && at != "/" {
			continue
		}
		return err == nil && info.IsDir() && unix.Access(there, unix.W_OK) == nil
	}
	return false
}

// tomlLayer is one of the files that an engine reads one after the other; a key of a later file wins.
type tomlLayer struct {
	path string
	file *tomlFile
}

// tomlLayers reads those that are there.
func (s Site) tomlLayers(paths []string) ([]tomlLayer, error) {
	var layers []tomlLayer
	for _, path := range paths {
		data, _, err := s.read(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if data == nil {
			continue
		}
		f, err := parseTOML(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		layers = append(layers, tomlLayer{path, f})
	}
	return layers, nil
}

// keyInForce is the value of a key and the file that it comes from; nil and "" if it stands nowhere.
func keyInForce(layers []tomlLayer, key ...string) (value any, path string) {
	for _, l := range slices.Backward(layers) {
		if value = valueAt(l.file.tree, key...); value != nil {
			return value, l.path
		}
	}
	return nil, ""
}

// listInForce is a list of strings in force.
func listInForce(layers []tomlLayer, otherwise []string, key ...string) (list []string, path string) {
	value, path := keyInForce(layers, key...)
	if value == nil {
		return otherwise, ""
	}
	elements, _ := value.([]any)
	for _, e := range elements {
		if text, ok := e.(string); ok {
			list = append(list, text)
		}
	}
	return list, path
}

// dropIns are the files of a folder with an ending, in order.
func (s Site) dropIns(folder, ending string) []string {
	there, err := s.at(folder)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(there)
	if err != nil {
		return nil
	}
	var paths []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ending) {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	return paths
}
