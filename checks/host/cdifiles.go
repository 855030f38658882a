package host

import (
	"slices"
	"strings"

	"gpu-preflight/checks/fact"
)

// CDIFile is a file that describes devices of NVIDIA's to container engines
// (https://github.com/cncf-tags/container-device-interface).
type CDIFile struct {
	Path     string   `json:"path"`
	Kind     string   `json:"kind"`               // nvidia.com/gpu
	Versions []string `json:"versions,omitempty"` // of the libcuda files that it mounts
	Gone     []string `json:"gone,omitempty"`     // paths of this host that it names and that are not there
}

const (
	maxCDIFile = 4 << 20
	maxGone    = 8
)

// cdiFiles reads what matters of the CDI files by lines: kind and hostPath stand on lines of their own in YAML and in
// the JSON that the toolkit writes. Where a path cannot be judged (a driver container's root inside) it is left out.
func (t tree) cdiFiles() fact.Fact[[]CDIFile] {
	found := []CDIFile{}
	for _, dir := range []string{"/etc/cdi", "/run/cdi"} {
		names, err := t.names(dir)
		if absent(err) {
			continue
		}
		if err != nil {
			return fact.Missing[[]CDIFile](dir, reason(err))
		}
		slices.Sort(names)
		for _, name := range names {
			if !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml") && !strings.HasSuffix(name, ".json") {
				continue
			}
			data, err := t.read(dir+"/"+name, maxCDIFile)
			if err != nil {
				return fact.Missing[[]CDIFile](dir+"/"+name, reason(err))
			}
			if c := t.cdiFile(dir+"/"+name, string(data)); strings.HasPrefix(c.Kind, "nvidia.com/") {
				found = append(found, c)
			}
		}
	}
	return fact.Of(found, "/etc/cdi, /run/cdi")
}

func (t tree) cdiFile(path, text string) CDIFile {
	c := CDIFile{Path: path}
	seen := map[string]bool{}
	text = strings.NewReplacer(",", "\n", "{", "\n", "}", "\n").Replace(text) // JSON on one line as well
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimLeft(line, " \t-["), ":")
		key, value = strings.Trim(key, ` "`), strings.Trim(value, " \"'\r\n")
		switch {
		case key == "kind" && c.Kind == "":
			c.Kind = value
		case key == "hostPath" && strings.HasPrefix(value, "/") && !seen[value]:
			seen[value] = true
			t.hostPath(&c, value)
		}
	}
	return c
}

// hostPath adds what a path of the host tells.
func (t tree) hostPath(c *CDIFile, path string) {
	if version, ok := libraryFileVersion(path); ok && strings.Contains(path, "/libcuda.so.") && !slices.Contains(c.Versions, version) {
		c.Versions = append(c.Versions, version)
	}
	if there, err := t.exists(path); err == nil && !there && len(c.Gone) < maxGone {
		c.Gone = append(c.Gone, path)
	}
}

const toolkitConfig = "/etc/nvidia-container-runtime/config.toml"

// toolkitMode reads mode of [nvidia-container-runtime]; no file or no line is a known empty one.
func (t tree) toolkitMode() fact.Fact[string] {
	text, err := t.text(toolkitConfig)
	if err != nil && !absent(err) {
		return fact.Missing[string](toolkitConfig, reason(err))
	}
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		}
		if key, value, ok := strings.Cut(line, "="); ok && section == "nvidia-container-runtime" && strings.TrimSpace(key) == "mode" {
			return fact.Of(strings.Trim(strings.TrimSpace(value), `"'`), toolkitConfig)
		}
	}
	return fact.Of("", toolkitConfig)
}
