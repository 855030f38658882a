package host

import (
	"encoding/json"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks/fact"
)

// Toolkit is a CUDA toolkit in /usr/local.
type Toolkit struct {
	Path    string `json:"path"`
	Version string `json:"version"`           // 12.4.1, or 12.4 where only the folder tells
	Default bool   `json:"default,omitempty"` // /usr/local/cuda leads here
}

const localDir = "/usr/local"

// toolkits lists the folders cuda-X.Y that hold a compiler or say their version in version.json (NVIDIA's installers).
func (t tree) toolkits() fact.Fact[[]Toolkit] {
	names, err := t.names(localDir)
	if err != nil && !absent(err) {
		return fact.Missing[[]Toolkit](localDir, reason(err))
	}
	found := []Toolkit{}
	standard, standardErr := t.stat(localDir + "/cuda")
	for _, name := range names {
		version, ok := strings.CutPrefix(name, "cuda-")
		if !ok || !isVersion(version) {
			continue
		}
		k, ok, err := t.toolkit(localDir+"/"+name, version)
		if err != nil {
			return fact.Missing[[]Toolkit](localDir+"/"+name, reason(err))
		}
		if !ok {
			continue
		}
		here, err := t.stat(k.Path)
		k.Default = err == nil && standardErr == nil && sameFile(here, standard)
		found = append(found, k)
	}
	slices.SortFunc(found, func(a, b Toolkit) int { return CompareReleases(a.Version, b.Version) })
	return fact.Of(found, localDir)
}

// toolkit describes a folder; ok is false for one of run-time libraries alone.
func (t tree) toolkit(dir, version string) (k Toolkit, ok bool, err error) {
	k = Toolkit{Path: dir, Version: version}
	data, err := t.read(dir+"/version.json", maxText)
	if absent(err) {
		ok, err = t.exists(dir + "/bin/nvcc")
		return k, ok, err
	}
	if precise := toolkitVersion(data); precise != "" {
		k.Version = precise
	}
	return k, err == nil, err
}

func sameFile(a, b unix.Stat_t) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// toolkitVersion reads {"cuda": {"version": "12.4.1"}}.
func toolkitVersion(data []byte) string {
	var file struct {
		CUDA struct {
			Version string `json:"version"`
		} `json:"cuda"`
	}
	if json.Unmarshal(data, &file) != nil || !isVersion(file.CUDA.Version) {
		return ""
	}
	return file.CUDA.Version
}
