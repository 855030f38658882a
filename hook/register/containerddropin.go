package register

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// containerdDropIn writes a file of our own for version 3 and 4, whose sections containerd 2.x merges, and imports it where
// it would not be read.
func containerdDropIn(s Site, files []containerdFile, version int64, h containerdHandler) ([]Edit, error) {
	path := dropInPath(s)
	var edits []Edit
	top, err := importDropIn(files, path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", files[0].path, err)
	}
	was, err := parseTOML(files[0].before)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", files[0].path, err)
	}
	key, _ := h.entry(s)
	if err = overruled(top, files, path, h.name, key); err != nil {
		return nil, err
	}
	before, mode, err := s.read(path)
	if err != nil {
		return nil, err
	}
	after, err := parseTOML([]byte(strings.Join(h.dropIn(s, version), "\n") + "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if old, err := parseTOML(before); before == nil || err != nil || !sameTree(old.tree, after.tree) {
		edits = append(edits, Edit{Path: path, Before: before, After: after.data, Mode: mode})
	}
	if !sameTree(top.tree, was.tree) && !importsStand(top, was, files, path, h.name, key) {
		edits = append(edits, Edit{Path: files[0].path, Before: files[0].before, After: top.data, Mode: files[0].mode})
	}
	return edits, nil
}

// importsStand says whether the top file differs from what we would write by its imports alone, and these do: nvidia-ctk
// adds one that reads our drop-in too.
func importsStand(want, now *tomlFile, files []containerdFile, path, handler string, key []string) bool {
	one, err := withValue(want.tree, []string{"imports"}, nil)
	if err != nil {
		return false
	}
	other, err := withValue(now.tree, []string{"imports"}, nil)
	return err == nil && sameTree(one, other) && importPlace(now, files[0].path, path) >= 0 && overruled(now, files, path, handler, key) == nil
}

// dropIn is the text of our file. Lists are written whole: containerd lays a later list over an earlier one.
func (h containerdHandler) dropIn(s Site, version int64) []string {
	old, _ := h.table["pod_annotations"].([]any)
	key, value := h.entry(s)
	entry, _ := withValue(nil, key, value)
	entry["pod_annotations"] = append(slices.Clone(old), podAnnotations)
	if kind, _ := h.table["runtime_type"].(string); kind == "" {
		entry["runtime_type"] = runcV2
	}
	lines := []string{markMade, fmt.Sprintf("version = %d", version), ""}
	lines = append(lines, tableLines(runtimesOf(criPlugin[3], h.name), entry)...)
	lines = append(lines, "")
	return append(lines, tableLines(runtimesOf(criPlugin[3], unwrappedHandler), h.unwrapped())...)
}

// importDropIn adds an import of our drop-in alone to the top file, unless the top file imports its folder. Importing
// the folder ourselves would bring in files that were not in force, and others come to rely on such an import.
func importDropIn(files []containerdFile, path string) (*tomlFile, error) {
	top := files[0]
	if importPlace(top.toml, top.path, path) >= 0 {
		return top.toml, nil
	}
	return top.toml.addTo([]string{"imports"}, last, filepath.Join(filepath.Dir(path), dropInGlob), nil)
}

// importPlace is the first of a file's imports that reads our drop-in, or -1.
func importPlace(f *tomlFile, from, path string) int {
	return slices.IndexFunc(importsOf(f.tree), func(pattern string) bool {
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(from), pattern)
		}
		matches, err := filepath.Match(pattern, path)
		return err == nil && matches
	})
}

// overruled reports a file that is read after our drop-in and has another value for the key of the handler.
func overruled(top *tomlFile, files []containerdFile, path, handler string, key []string) error {
	imports := importsOf(top.tree)
	place := importPlace(top, files[0].path, path)
	for _, file := range files[1:] {
		value, _ := valueAt(file.toml.tree, slices.Concat(runtimesOf(file.plugin(3), handler), key)...).(string)
		if value == "" {
			continue
		}
		at := slices.IndexFunc(imports, func(pattern string) bool {
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(files[0].path), pattern)
			}
			matches, err := filepath.Match(pattern, file.path)
			return err == nil && matches
		})
		// Below one pattern the names decide; what other files import is read after all that the top file imports.
		if at < 0 || at > place || (at == place && file.path > path) {
			return fmt.Errorf("%s is read after our drop-in %s and sets %s = %q: take it out there or name the file otherwise",
				file.path, path, key[len(key)-1], value)
		}
	}
	return nil
}
