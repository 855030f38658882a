package remote

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"gpu-preflight/oci/image"
)

// The names by which a layer hides what lower layers have (image-spec, layer.md, Whiteouts).
const (
	whiteout       = ".wh."
	whiteoutMeta   = ".wh..wh." // the names that aufs kept for itself
	whiteoutOpaque = ".wh..wh..opq"
)

// maxLine bounds the first line of a program that is kept, in bytes; the kernel reads 256 (BINPRM_BUF_SIZE).
const maxLine = 512

// addLayer lays a layer over those below it; number counts them from 1.
func (t *tree) addLayer(layer io.Reader, number int) error {
	archive := tar.NewReader(layer)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		file, err := cleanName(header.Name)
		if err == nil && file != "/" {
			err = t.add(file, header, archive, number)
		}
		if err != nil {
			return fmt.Errorf("entry %.200q: %w", header.Name, err)
		}
	}
}

// cleanName is the absolute path of an entry. What no file system takes, and what leads out of the image, is refused
// here as engines refuse to unpack it.
func cleanName(name string) (string, error) {
	if len(name) > maxPath {
		return "", errors.New("its name is longer than any path may be")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", errors.New("it leads out of the image")
		case len(part) > maxName:
			return "", errors.New("its name is longer than any name may be")
		}
	}
	return path.Clean("/" + name), nil
}

func (t *tree) add(file string, header *tar.Header, content io.Reader, layer int) error {
	folder, name := path.Split(file)
	if strings.HasPrefix(name, whiteout) {
		t.addWhiteout(folder, name, layer)
		return nil
	}
	dir, err := t.folder(folder, layer)
	if err != nil {
		return err
	}
	if header.Typeflag == tar.TypeLink {
		return t.addHardLink(dir, name, header.Linkname, layer)
	}
	n := &node{mode: header.FileInfo().Mode() & (fs.ModeType | fs.ModePerm)}
	switch {
	case n.mode.IsDir():
		if old, there := dir.children[name]; there && old.mode.IsDir() {
			old.mode = n.mode
			dir.children[name] = entry{old.node, layer}
			return nil
		}
	case n.mode.IsRegular():
		n.size = header.Size
		if n.data, err = keep(file, n, content); err != nil {
			return err
		}
	case n.mode&fs.ModeSymlink != 0:
		if n.link = header.Linkname; len(n.link) > maxPath {
			return errors.New("it leads to a longer path than any may be")
		}
	}
	return t.put(dir, name, n, layer)
}

// addWhiteout hides what lower layers have: one name, or all of a folder.
func (t *tree) addWhiteout(folder, name string, layer int) {
	dir, _, err := t.find(folder, true)
	switch {
	case err != nil || !dir.mode.IsDir(): // there is nothing to hide
	case name == whiteoutOpaque:
		t.prune(dir, layer)
	case !strings.HasPrefix(name, whiteoutMeta):
		t.hide(dir, strings.TrimPrefix(name, whiteout), layer)
	}
}

func (t *tree) addHardLink(dir *node, name, target string, layer int) error {
	file, err := cleanName(target)
	if err != nil {
		return err
	}
	n, _, err := t.find(file, false)
	if err != nil || n.mode.IsDir() {
		return fmt.Errorf("a hard link to %.200q, which is no file of the image", target)
	}
	return t.put(dir, name, n, layer)
}

// folder finds the folder of an entry. Layers may leave out entries of folders.
func (t *tree) folder(file string, layer int) (*node, error) {
	dir, _, err := t.find(file, true)
	if err == nil && !dir.mode.IsDir() {
		return nil, errors.New("it lies below a file")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	above, name := path.Split(strings.TrimSuffix(file, "/"))
	parent, err := t.folder(above, layer)
	if err != nil {
		return nil, err
	}
	if _, there := parent.children[name]; there {
		return nil, errors.New("it lies behind a link that leads nowhere")
	}
	dir = &node{mode: fs.ModeDir | 0o755}
	return dir, t.put(parent, name, dir, layer)
}

// keep reads what may be asked for later.
func keep(file string, n *node, content io.Reader) ([]byte, error) {
	program := n.mode.Perm()&0o111 != 0
	switch {
	case n.size > image.MaxFile:
	case image.Reads(file):
		return readAll(content, n.size)
	case program:
		data, err := readAll(content, min(n.size, maxLine))
		line, _, _ := bytes.Cut(data, []byte{'\n'})
		return bytes.Clone(line), err
	}
	return nil, nil
}

func readAll(r io.Reader, size int64) ([]byte, error) {
	data := make([]byte, size)
	_, err := io.ReadFull(r, data)
	return data, err
}
