package image

import (
	"path"
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

// loaderFolders are the folders that an image names in /etc/ld.so.conf.d: some put their compatibility libraries
// there. What cannot be read is an error beside what was.
func loaderFolders(root Files) (folders []string, err error) {
	const dir = "/etc/ld.so.conf.d"
	names, err := root.ReadDir(dir, maxLoaderFiles)
	if absent(err) {
		err = nil
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".conf") {
			continue
		}
		text, unread := root.ReadFile(dir+"/"+name, maxLoaderFile)
		if unread != nil && !absent(unread) {
			err = unread
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); path.IsAbs(line) && len(folders) < maxLoaderFolders {
				folders = append(folders, path.Clean(line))
			}
		}
	}
	return folders, err
}

// isSystemFolder tells a folder that may hold thousands of libraries, and that is asked only for libcuda.so.1.
func isSystemFolder(folder string) bool {
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
