package oci

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxSources bounds what DriverSources returns: real CDI specifications mount about forty files.
const maxSources = 64

// DriverSources are the host paths of NVIDIA's libraries and device nodes that the runtime has to bind-mount, in the
// order of the mounts, at most 64. runc and crun stat such a source before anything else of the container is there,
// and a missing one ends the launch. Nodes in linux.devices are not among them: those are made by their numbers.
func (c *Container) DriverSources() []string {
	var sources []string
	for _, m := range c.Mounts {
		source := path.Clean(m.Source)
		if len(sources) < maxSources && needsSource(m) && isDriverFile(source) && !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	return sources
}

// needsSource tells a bind mount whose source is followed to a file. The options by which crun takes a link itself
// (crun.1, "src-nofollow", "copy-symlink") need no file behind it.
func needsSource(m specs.Mount) bool {
	has := func(option string) bool { return slices.Contains(m.Options, option) }
	return path.IsAbs(m.Source) && (m.Type == "bind" || has("bind") || has("rbind")) && !has("src-nofollow") && !has("copy-symlink")
}

// isDriverFile knows what CDI specifications and the toolkit mount of the driver by its name.
func isDriverFile(source string) bool {
	if strings.HasPrefix(source, "/dev/nvidia") {
		return true
	}
	name := path.Base(source)
	library := strings.HasPrefix(name, "libcuda.so.") || strings.HasPrefix(name, "libnvidia-") && strings.Contains(name, ".so.")
	return library && !inCompat(source)
}
