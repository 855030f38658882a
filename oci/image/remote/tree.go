package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"gpu-preflight/oci"
)

// Bounds of what is kept of an image. The largest published images have half a million files.
const (
	maxEntries = 1 << 20   // files and folders of all layers together
	maxKept    = 128 << 20 // bytes of names, links and contents
	maxLinks   = 40        // symbolic links in one path, as in Linux (path_resolution(7))
	maxName    = 255       // bytes of a name, and below of a path (limits.h)
	maxPath    = 4096
)

// tree is the file system of an image, without the contents of most files. It is an image.Files.
type tree struct {
	root    *node
	entries int
	kept    int
}

// node is a file. Hard links share one.
type node struct {
	mode     fs.FileMode // type and permissions
	size     int64
	link     string // of a symbolic link
	data     []byte // nil where the content was not kept
	children map[string]entry
	pruned   int // the layer that has hidden what lower layers have here
}

// entry is a name in a folder, and the layer that brought it.
type entry struct {
	*node
	layer int
}

func newTree() *tree { return &tree{root: &node{mode: fs.ModeDir | 0o755}} }

// put gives a name in a folder to a node.
func (t *tree) put(dir *node, name string, n *node, layer int) error {
	t.entries++
	t.kept += len(name) + len(n.link) + len(n.data)
	switch {
	case t.entries > maxEntries:
		return fmt.Errorf("the image: %w", &oci.TooLargeError{Limit: maxEntries, Unit: "files"})
	case t.kept > maxKept:
		return fmt.Errorf("names in the image: %w", &oci.TooLargeError{Limit: maxKept})
	}
	if dir.children == nil {
		dir.children = map[string]entry{}
	}
	dir.children[name] = entry{n, layer}
	return nil
}

// hide takes away a name that lower layers have; in a folder that this layer writes to, too, its own files stay.
func (t *tree) hide(dir *node, name string, layer int) {
	e, there := dir.children[name]
	if !there {
		return
	}
	if e.mode.IsDir() {
		t.prune(e.node, layer)
	}
	if e.layer < layer && len(e.children) == 0 {
		delete(dir.children, name)
	}
}

// prune takes away all that lower layers have in a folder. A layer comes here once: the work stays within its entries.
func (t *tree) prune(dir *node, layer int) {
	if dir.pruned == layer {
		return
	}
	dir.pruned = layer
	for name := range dir.children {
		t.hide(dir, name, layer)
	}
}

// find follows a path, and with last the link that it may end in. Links lead nowhere outside the root.
func (t *tree) find(file string, last bool) (found *node, resolved string, err error) {
	at := []step{{"", t.root}}
	links := 0
	for rest := file; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		here := at[len(at)-1].node
		switch {
		case name == "" || name == ".":
			continue
		case !here.mode.IsDir():
			return nil, "", fmt.Errorf("find %.200q in the image: %w", file, syscall.ENOTDIR)
		case name == "..":
			at = at[:max(1, len(at)-1)]
			continue
		}
		next, there := here.children[name]
		if !there {
			return nil, "", fmt.Errorf("find %.200q in the image: %w", file, fs.ErrNotExist)
		}
		if next.mode&fs.ModeSymlink == 0 || rest == "" && !last {
			at = append(at, step{name, next.node})
			continue
		}
		if links++; links > maxLinks {
			return nil, "", fmt.Errorf("find %.200q in the image: %w", file, syscall.ELOOP)
		}
		if path.IsAbs(next.link) {
			at = at[:1]
		}
		rest = next.link + "/" + rest
	}
	return at[len(at)-1].node, pathOf(at), nil
}

// step is one folder of a way from the root down.
type step struct {
	name string
	node *node
}

func pathOf(way []step) string {
	names := make([]string, 0, len(way))
	for _, s := range way[1:] {
		names = append(names, s.name)
	}
	return "/" + strings.Join(names, "/")
}

// Stat describes what a path leads to.
func (t *tree) Stat(file string) (fs.FileInfo, error) {
	n, resolved, err := t.find(file, true)
	if err != nil {
		return nil, err
	}
	return info{path.Base(resolved), n}, nil
}

// Real returns a path with every link of it resolved.
func (t *tree) Real(file string) (string, error) {
	_, resolved, err := t.find(file, true)
	return resolved, err
}

var errNotKept = errors.New("its content was not kept")

// ReadFile returns a file that was kept: whole where image.Reads names it, else the first line of a program.
func (t *tree) ReadFile(file string, limit int64) ([]byte, error) {
	n, _, err := t.find(file, true)
	if err != nil {
		return nil, err
	}
	switch {
	case !n.mode.IsRegular():
		err = fmt.Errorf("not a regular file (%s)", n.mode.Type())
	case n.size > limit:
		err = &oci.TooLargeError{Limit: limit}
	case n.data == nil && n.size > 0:
		err = errNotKept
	}
	if err != nil {
		return nil, fmt.Errorf("read %.200q in the image: %w", file, err)
	}
	return n.data, nil
}

// ReadDir returns the names in a folder by the alphabet; with more than limit the error is a *oci.TooLargeError.
func (t *tree) ReadDir(file string, limit int) ([]string, error) {
	n, _, err := t.find(file, true)
	if err == nil && !n.mode.IsDir() {
		err = fmt.Errorf("read folder %.200q in the image: %w", file, syscall.ENOTDIR)
	}
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(n.children))
	if len(names) > limit {
		return names[:limit], fmt.Errorf("read folder %.200q in the image: %w", file, &oci.TooLargeError{Limit: int64(limit), Unit: "entries"})
	}
	return names, nil
}

// info is an fs.FileInfo.
type info struct {
	name string
	node *node
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.node.size }
func (i info) Mode() fs.FileMode  { return i.node.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.node.mode.IsDir() }
func (i info) Sys() any           { return nil }
