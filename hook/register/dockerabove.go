package register

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// wrapped says whether the shim stands in front of a runtime that is not ours. The entry keeps the path that it had:
// docker passes over keys that it does not know within a runtime, as over the "args" that nvidia-ctk writes.
func (r dockerdRuntime) wrapped() bool { return r.Before != "" && isShim(r.Path) }

// wraps says whether the shim stands in front of a runtime that is not ours.
func (c daemonJSON) wraps() bool {
	for _, r := range c.Runtimes {
		if r.wrapped() {
			return true
		}
	}
	return false
}

// isNVIDIARuntime knows nvidia-container-runtime and its names for one mode, .cdi and .legacy.
func isNVIDIARuntime(path string) bool {
	return strings.HasPrefix(filepath.Base(path), "nvidia-container-runtime")
}

// aboveNVIDIA puts the shim in front of NVIDIA's own runtimes, where that was asked for or is so already. What such a
// runtime cannot make of a broken driver it says before it calls the runtime behind it, so that a shim there is not asked.
func (s Site) aboveNVIDIA(content []byte, c daemonJSON) ([]byte, []Shim, error) {
	var shims []Shim
	for _, name := range slices.Sorted(maps.Keys(c.Runtimes)) {
		r := c.Runtimes[name]
		was := r.Path
		if r.wrapped() {
			was = r.Before
		}
		if !isNVIDIARuntime(was) || !folderName.MatchString(name) || (!s.AboveNVIDIA && !r.wrapped()) {
			continue
		}
		next := s.program(was)
		if next == "" {
			return nil, nil, fmt.Errorf("the runtime %q: no program %s that could stand behind ours", name, was)
		}
		shim := Shim{Name: "docker-" + name, Next: next}
		var err error
		if content, err = wrapRuntime(content, name, was, s.ShimPath(shim.Name), r); err != nil {
			return nil, nil, err
		}
		shims = append(shims, shim)
	}
	if s.AboveNVIDIA && len(shims) == 0 {
		return nil, nil, errors.New("none of its runtimes is NVIDIA's, so nothing can be put above one: nvidia-ctk runtime configure writes it")
	}
	return content, shims, nil
}

func wrapRuntime(content []byte, name, was, shim string, r dockerdRuntime) ([]byte, error) {
	if r.Path == shim && r.Before == was {
		return content, nil
	}
	old, err := json.Marshal(was)
	if err != nil {
		return nil, err
	}
	path, err := json.Marshal(shim)
	if err != nil {
		return nil, err
	}
	if content, err = setJSON(content, string(path), "runtimes", name, "path"); err != nil {
		return nil, err
	}
	return setJSON(content, string(old), "runtimes", name, beforeKey)
}

// unwrapRuntimes gives the runtimes that are not ours their paths back.
func unwrapRuntimes(content []byte, c daemonJSON) ([]byte, error) {
	for name, r := range c.Runtimes {
		if !r.wrapped() {
			continue
		}
		old, err := json.Marshal(r.Before)
		if err != nil {
			return nil, err
		}
		if content, err = setJSON(content, string(old), "runtimes", name, "path"); err != nil {
			return nil, err
		}
		if content, err = dropJSON(content, "runtimes", name, beforeKey); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// standsAbove says whether a registration's shims stand in front of NVIDIA's runtime.
func (st *state) standsAbove() bool {
	return st.Engine == "docker" && slices.ContainsFunc(st.Shims, func(shim Shim) bool { return isNVIDIARuntime(shim.Next) })
}
