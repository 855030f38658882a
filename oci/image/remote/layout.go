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
	d, err := named(index.Manifests, tag, wanted)
	if err != nil {
		return nil, fmt.Errorf("OCI layout %s: %w", dir, err)
	}
	return choose(layout(dir), d, wanted)
}

// named is the image of a tag or a digest; without one, the only image or the one of a platform.
func named(all []v1.Descriptor, tag string, wanted v1.Platform) (v1.Descriptor, error) {
	var found []v1.Descriptor
	var names []string
	for _, d := range all {
		name := d.Annotations[refName]
		if tag == "" || name == tag || d.Digest.String() == tag {
			found = append(found, d)
		}
		names = append(names, fmt.Sprintf("%.60q", name))
	}
	switch {
	case len(found) == 0 && tag != "":
		return v1.Descriptor{}, fmt.Errorf("it has no %q, only %s", tag, strings.Join(names, ", "))
	case len(found) > 1 && found[0].Platform == nil:
		return v1.Descriptor{}, fmt.Errorf("it has several images: name one of %s (oci:DIR:TAG)", strings.Join(names, ", "))
	case len(found) == 1:
		return found[0], nil
	}
	return ofPlatform(found, wanted)
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
	return openRegular(filepath.Join(string(l), "blobs", d.Digest.Algorithm, d.Digest.Hex))
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
func openRegular(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New(file + " is no regular file")
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func readFile(file string) ([]byte, error) {
	f, err := openRegular(file)
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
