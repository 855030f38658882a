package remote

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"gpu-preflight/oci"
)

// maxMembers bounds the files of an archive: three for each layer are usual.
const maxMembers = 1 << 16

// archive is what docker save writes: a tar file with manifest.json, configurations, and layers that are tar files.
type archive struct {
	path    string
	members map[string]member
}

// member is where a file of the archive lies in it; link is another member.
type member struct {
	at, size int64
	link     string
}

// saved is an entry of manifest.json.
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func openArchive(where string) (*Image, error) {
	file, tag := splitPlace(where, isFile)
	a, err := readArchive(file)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", file, err)
	}
	found, err := a.image(tag)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", file, err)
	}
	return found, nil
}

// readArchive notes where each file lies, without reading any.
func readArchive(file string) (*archive, error) {
	f, err := openRegular(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	a := &archive{path: file, members: map[string]member{}}
	for reader := tar.NewReader(f); ; {
		header, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return a, nil
		case errors.Is(err, tar.ErrHeader), err != nil && len(a.members) == 0:
			return nil, errors.New("it is no tar file as docker save writes it (if it is compressed, unpack it first)")
		case err != nil:
			return nil, err
		case len(a.members) == maxMembers:
			return nil, &oci.TooLargeError{Limit: maxMembers, Unit: "files"}
		}
		m := member{size: header.Size}
		if m.at, err = f.Seek(0, io.SeekCurrent); err != nil {
			return nil, err
		}
		switch header.Typeflag {
		case tar.TypeSymlink: // layers that two images share
			m.link = path.Join(path.Dir(header.Name), header.Linkname) //nolint:gosec // a name in a map, no path on a disk
		case tar.TypeLink:
			m.link = path.Clean(header.Linkname)
		}
		a.members[path.Clean(header.Name)] = m
	}
}

func (a *archive) find(file string) (member, error) {
	m, there := a.members[path.Clean(file)]
	if there && m.link != "" {
		m, there = a.members[m.link]
	}
	if !there || m.link != "" {
		return m, fmt.Errorf("it has no %.200q", file)
	}
	return m, nil
}

// read reads a file of the archive whole.
func (a *archive) read(file string) ([]byte, error) {
	body, err := a.open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	data, err := readDocument(body)
	if err != nil {
		return nil, fmt.Errorf("read %.200q: %w", file, err)
	}
	return data, nil
}

// part is a piece of an open file.
type part struct {
	*io.SectionReader
	file *os.File
}

func (p part) Close() error { return p.file.Close() }

func (a *archive) open(file string) (io.ReadCloser, error) {
	m, err := a.find(file)
	if err != nil {
		return nil, err
	}
	f, err := openRegular(a.path)
	if err != nil {
		return nil, err
	}
	return part{io.NewSectionReader(f, m.at, m.size), f}, nil
}

func (a *archive) image(tag string) (*Image, error) {
	data, err := a.read("manifest.json")
	if err != nil {
		return nil, err
	}
	var all []saved
	if err = json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("parse manifest.json: %w", err)
	}
	one, err := a.named(all, tag)
	if err != nil {
		return nil, err
	}
	if data, err = a.read(one.Config); err != nil {
		return nil, err
	}
	found := &Image{}
	if found.config, err = parseConfig(data); err != nil {
		return nil, err
	}
	for _, file := range one.Layers {
		m, err := a.find(file)
		if err != nil {
			return nil, err
		}
		found.layers = append(found.layers, layer{fmt.Sprintf("%.200q", file), m.size, func() (io.ReadCloser, error) { return a.open(file) }})
	}
	return found, nil
}

// named is the image of a name, or the only one.
func (a *archive) named(all []saved, tag string) (saved, error) {
	var names []string
	for _, s := range all {
		if tag == "" && len(all) == 1 || slices.ContainsFunc(s.RepoTags, func(t string) bool { return sameName(t, tag) }) {
			return s, nil
		}
		for _, t := range s.RepoTags {
			names = append(names, fmt.Sprintf("%.100q", t))
		}
	}
	switch {
	case len(all) == 0:
		return saved{}, errNoImage
	case tag == "":
		return saved{}, fmt.Errorf("it has several images: name one of %s (docker-archive:FILE:NAME)", strings.Join(names, ", "))
	}
	return saved{}, fmt.Errorf("it has no %q, only %s", tag, strings.Join(names, ", "))
}

// sameName compares names as docker completes them: cuda is docker.io/library/cuda:latest. A tag alone means any name.
func sameName(has, wanted string) bool {
	if strings.HasSuffix(has, ":"+wanted) {
		return true
	}
	a, errA := name.ParseReference(has)
	b, errB := name.ParseReference(wanted)
	return errA == nil && errB == nil && a.Name() == b.Name()
}
