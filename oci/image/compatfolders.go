package image

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Bounds of the loader's configuration that is read.
const (
	maxLoaderFiles   = 256
	maxLoaderFile    = 64 << 10 // bytes
	maxLoaderFolders = 32
)

// systemFolders are where a distribution's loader looks, in Debian's and in Red Hat's layout.
var systemFolders = []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"}

// loaderConf is the loader's configuration of an image: the folders that it names in /etc/ld.so.conf.d, in the order in
// which ldconfig(8) takes the files. Some images put their compatibility libraries there.
type loaderConf struct {
	entries []confEntry
	err     error // beside what was read
}

type confEntry struct{ file, folder string }

func loaderFolders(root Files) (conf loaderConf) {
	const dir = "/etc/ld.so.conf.d"
	names, err := root.ReadDir(dir, maxLoaderFiles)
	if !absent(err) {
		conf.err = err
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, ".conf") {
			continue
		}
		text, err := root.ReadFile(dir+"/"+name, maxLoaderFile)
		if err != nil && !absent(err) {
			conf.err = err
		}
		for line := range strings.Lines(string(text)) {
			switch line = strings.TrimSpace(line); {
			case !path.IsAbs(line):
			case len(conf.entries) == maxLoaderFolders:
				conf.err = fmt.Errorf("%s names more than %d folders", dir, maxLoaderFolders)
			default:
				conf.entries = append(conf.entries, confEntry{dir + "/" + name, path.Clean(line)})
			}
		}
	}
	return conf
}

// IsSystemFolder tells a folder that may hold thousands of libraries, and that is asked only for libcuda.so.1.
func IsSystemFolder(folder string) bool {
	for _, system := range systemFolders {
		if folder == system || folder == strings.TrimPrefix(system, "/usr") {
			return true
		}
	}
	return false
}

// ownLibcuda is the libcuda that an image has installed like a driver: it may serve as a compatibility library, of a
// version that is not looked for. The host's own, mounted over it at an earlier start, leaves empty files.
func ownLibcuda(root Files) (found []CompatLibrary) {
	for _, folder := range systemFolders {
		file := folder + "/libcuda.so.1"
		if info, err := root.Stat(file); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			found = append(found, CompatLibrary{Path: file})
		}
	}
	return found
}
