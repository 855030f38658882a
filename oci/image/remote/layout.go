package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// refName is the annotation by which index.json names an image (image-spec, annotations.md).
const refName = "org.opencontainers.image.ref.name"

// layout is an OCI image layout: a folder with index.json and blobs.
type layout string

func openLayout(where string, wanted v1.Platform) (*Image, error) {
	dir, tag := splitPlace(where, isFolder)
	data, err := readFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, fmt.Errorf("OCI layout: %w", err)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("OCI layout: parse %s: %w", filepath.Join(dir, "index.json"), err)
	}
	var found []v1.Descriptor
	var names []string
	for _, d := range index.Manifests {
		named := d.Annotations[refName]
		if tag == "" || named == tag || d.Digest.String() == tag {
			found = append(found, d)
		}
		names = append(names, fmt.Sprintf("%.60q", named))
	}
	switch {
	case len(found) == 0 && tag != "":
		return nil, fmt.Errorf("OCI layout %s has no %q, only %s", dir, tag, strings.Join(names, ", "))
	case len(found) > 1 && found[0].Platform == nil:
		return nil, fmt.Errorf("OCI layout %s has several images: name one of %s (oci:DIR:TAG)", dir, strings.Join(names, ", "))
	case len(found) == 1:
		return choose(layout(dir), found[0], wanted)
	}
	d, err := ofPlatform(found, wanted)
	if err != nil {
		return nil, fmt.Errorf("OCI layout %s: %w", dir, err)
	}
	return choose(layout(dir), d, wanted)
}

func (l layout) manifest(d v1.Descriptor) ([]byte, error) {
	body, err := l.blob(d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	data, err := readDocument(body)
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d.Digest, err)
	}
	return data, nil
}

func (l layout) blob(d v1.Descriptor) (io.ReadCloser, error) {
	if _, err := v1.NewHash(d.Digest.String()); err != nil { // a digest may be a path
		return nil, fmt.Errorf("blob: %w", err)
	}
	f, _, err := openRegular(filepath.Join(string(l), "blobs", d.Digest.Algorithm, d.Digest.Hex))
	return f, err
}

// splitPlace takes a name from the end of a path, behind a colon or an at sign. A path that is there has none.
func splitPlace(where string, there func(string) bool) (file, name string) {
	if there(where) {
		return where, ""
	}
	for at := range where {
		if (where[at] == ':' || where[at] == '@') && there(where[:at]) {
			return where[:at], where[at+1:]
		}
	}
	return where, ""
}

func isFolder(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.IsDir()
}

func isFile(file string) bool {
	info, err := os.Stat(file)
	return err == nil && !info.IsDir()
}

// openRegular opens a regular file, and waits for no writer of a FIFO.
func openRegular(file string) (*os.File, int64, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New(file + " is no regular file")
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func readFile(file string) ([]byte, error) {
	f, _, err := openRegular(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := readDocument(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return data, nil
}
