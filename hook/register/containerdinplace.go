package register

import (
	"fmt"
	"slices"
)

// containerdInPlace edits version 2: in containerd 1.6 and 1.7 a drop-in would replace the whole CRI section. The file
// whose section counts is edited, and the top file too where it names the same handler: nvidia-ctk makes its drop-in
// from that.
func containerdInPlace(s Site, files []containerdFile, deciding int, h containerdHandler) ([]Edit, error) {
	var edits []Edit
	for n, file := range files {
		own := h
		if n != deciding {
			own = h.in(s, files, n)
		}
		f := file.toml
		if own.name != "" {
			var err error
			if f, err = own.wrap(s, file); err != nil {
				return nil, fmt.Errorf("%s: %w", file.path, err)
			}
		}
		was, err := parseTOML(file.before)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.path, err)
		}
		if own.name != "" && own.stands(s, was.tree) {
			continue
		}
		if file.before == nil || !sameTree(f.tree, was.tree) {
			edits = append(edits, Edit{Path: file.path, Before: file.before, After: f.data, Mode: file.mode})
		}
	}
	return edits, nil
}

// in is the handler as a file that does not count writes it; without a name, no entry of ours belongs there.
func (h containerdHandler) in(s Site, files []containerdFile, n int) containerdHandler {
	section, there := criSection(files[n:n+1], 2)
	other, err := handlerInForce(s, section)
	own := h
	own.table = other.table
	if n != 0 || there < 0 || err != nil || other.name != h.name {
		own.name = ""
	}
	return own
}

// stands says whether a file has all of our entries, in whatever form: nvidia-ctk writes the file anew, and copies the
// pod annotations of one handler to another.
func (h containerdHandler) stands(s Site, tree map[string]any) bool {
	table, _ := valueAt(tree, runtimesOf(criPlugin[2], h.name)...).(map[string]any)
	list, _ := table["pod_annotations"].([]any)
	beside, _ := valueAt(tree, runtimesOf(criPlugin[2], unwrappedHandler)...).(map[string]any)
	binary, _ := valueAt(table, "options", "BinaryName").(string)
	spec, _ := table["base_runtime_spec"].(string)
	key, value := h.entry(s)
	return valueAt(table, key...) == value && isShim(binary) != h.byBaseSpec && isBaseSpec(spec) == h.byBaseSpec &&
		slices.Contains(list, any(podAnnotations)) && sameTree(beside, h.unwrapped())
}

// wrap puts the shim into a handler, and the handler as it was beside it.
func (h containerdHandler) wrap(s Site, file containerdFile) (*tomlFile, error) {
	f, err := file.toml, error(nil)
	if file.before == nil {
		if f, err = parseTOML([]byte(markMade + "\nversion = 2\n")); err != nil {
			return nil, err
		}
	}
	base := runtimesOf(criPlugin[2], h.name)
	if kind, _ := h.table["runtime_type"].(string); kind == "" {
		if f, err = f.setString(slices.Concat(base, []string{"runtime_type"}), runcV2); err != nil {
			return nil, err
		}
	}
	if f, err = f.addTo(slices.Concat(base, []string{"pod_annotations"}), last, podAnnotations, nil); err != nil {
		return nil, err
	}
	key, value := h.entry(s)
	if f, err = f.setString(slices.Concat(base, key), value); err != nil {
		return nil, err
	}
	return f.addTable(runtimesOf(criPlugin[2], unwrappedHandler), h.unwrapped())
}
