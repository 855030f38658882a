package image

import (
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Behind tells what is still known of the image's compatibility libraries once the container's mounts are laid over
// it: a mount onto a folder that was looked into, or onto one above it, may bring libraries or hide them, and what
// was read is then no longer the whole truth.
func (c Compat) Behind(mounts []specs.Mount, env []string) Compat {
	folders := CompatFolders(env)
	for _, m := range mounts {
		if target := path.Clean(m.Destination); c.Read && covers(target, folders) {
			c.Read, c.Why = false, "a mount on "+target+" may bring or hide compatibility libraries"
		}
	}
	return c
}

func covers(target string, folders []string) bool {
	if strings.HasPrefix(target, "/usr/local/cuda") || target == "/usr/local" || target == "/usr" {
		return true
	}
	for _, folder := range folders {
		if folder == target || strings.HasPrefix(folder, target+"/") || strings.HasPrefix(target, folder+"/") {
			return true
		}
	}
	return false
}
