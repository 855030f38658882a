package image

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Behind tells what is still known of the image's compatibility libraries once the container's mounts are laid over
// it: a mount onto a folder that was looked into, or onto one above it, may bring libraries or hide them, and what
// was read is then no longer the whole truth.
func (c Compat) Behind(mounts []specs.Mount, env []string) Compat {
	folders := slices.DeleteFunc(CompatFolders(env), IsSystemFolder) // there the driver's own libraries are mounted
	for _, m := range mounts {
		target := path.Clean(m.Destination)
		if c.Loader != nil {
			c.Loader = c.Loader.behind(target, m.Source)
		}
		if c.Read && covers(target, folders) {
			c.Read, c.Why = false, "a mount on "+target+" may bring or hide compatibility libraries"
		}
	}
	return c
}

// behind is the loader's order behind one mount: /dev/null over a file of /etc/ld.so.conf.d takes its folders out, as
// users of images with 00-cuda-compat.conf do.
func (l Loader) behind(target, source string) *Loader {
	switch {
	case target == "/etc" || target == "/etc/ld.so.conf" || target == "/etc/ld.so.conf.d" || target == "/etc/ld.so.cache":
		l.ConfWhy = "a mount lies on " + target
	case strings.HasPrefix(target, "/etc/ld.so.conf.d/"):
		l.Conf = slices.DeleteFunc(slices.Clone(l.Conf), func(c Candidate) bool { return c.File == target })
		if source != "/dev/null" {
			l.ConfWhy = "a mount lies on " + target
		}
	}
	return &l
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
