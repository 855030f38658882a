// Package remote reads images that are not on this host's disk as a folder: in a registry, in an OCI layout, in an
// archive of docker save. The configuration comes first; layers are read as a stream, and nothing is written anywhere.
package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// Bounds of what is decoded whole: manifests have at most 4 MiB in a registry (distribution-spec), and configurations
// are as small.
const (
	maxDocument = 4 << 20 // bytes
	maxLayers   = 512     // engines stop at 127
)

// Image is an image of which the configuration was read.
type Image struct {
	name   string // as it was asked for
	config config
	layers []layer
	watch  *watch
}

// config is an image's configuration, narrowed to what is read (image-spec, config.md).
type config struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Config       struct {
		User       string   `json:"User"`
		Env        []string `json:"Env"`
		Entrypoint []string `json:"Entrypoint"`
		Cmd        []string `json:"Cmd"`
		WorkingDir string   `json:"WorkingDir"`
	} `json:"config"`
}

// serves tells whether an image without an index is for a platform, as far as it says.
func (c config) serves(platform string) bool {
	has := c.OS + "/" + c.Architecture
	return has == "/" || platform == has || strings.HasPrefix(platform, has+"/")
}

// layer is one layer as it lies there.
type layer struct {
	name string
	size int64
	open func() (io.ReadCloser, error)
}

// Open finds an image and reads its configuration. A reference is that of a registry, as docker has it and with the
// credentials that docker has; oci:DIR[:TAG|@DIGEST]; or docker-archive:FILE[:NAME]. A platform is OS/ARCH[/VARIANT] and
// chooses where there are several. Errors name the reference.
func Open(ctx context.Context, reference, platform string) (*Image, error) {
	w := newWatch(ctx)
	found, err := open(w, reference, platform)
	switch {
	case err != nil:
	case len(found.layers) > maxLayers:
		err = &oci.TooLargeError{Limit: maxLayers, Unit: "layers"}
	case platform != "" && !found.config.serves(platform):
		err = fmt.Errorf("it is for %.40q, and only for that", found.config.OS+"/"+found.config.Architecture)
	}
	if err != nil {
		err = fmt.Errorf("image %s: %w", reference, w.err(err))
		w.stop()
		return nil, err
	}
	found.name, found.watch = reference, w
	return found, nil
}

func open(w *watch, reference, platform string) (*Image, error) {
	wanted, err := parsePlatform(platform)
	if err != nil {
		return nil, err
	}
	if dir, isLayout := strings.CutPrefix(reference, "oci:"); isLayout {
		return openLayout(dir, wanted)
	}
	if file, isArchive := strings.CutPrefix(reference, "docker-archive:"); isArchive {
		return openArchive(file)
	}
	return openRegistry(w.ctx, reference, wanted)
}

// Close lets go of the image.
func (i *Image) Close() { i.watch.stop() }

func parseConfig(data []byte) (config, error) {
	var c config
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("parse its configuration: %w", err)
	}
	return c, nil
}

// Container is what the image's configuration says of a container that is made of it.
func (i *Image) Container() *oci.Container {
	c := i.config.Config
	return &oci.Container{Args: slices.Concat(c.Entrypoint, c.Cmd), Cwd: c.WorkingDir, User: c.User, Env: slices.Clip(c.Env)}
}

// Progress is told how much of the layers was read, in bytes as they lie there.
type Progress func(read, total int64)

// Look reads the layers and looks into the files that they make, as image.LookInto does. Errors name the image and the
// layer.
func (i *Image) Look(p image.Program, progress Progress) (image.Look, error) {
	files, err := i.files(progress)
	if err != nil {
		return image.Look{}, fmt.Errorf("image %s: %w", i.name, i.watch.err(err))
	}
	return image.LookInto(files, p), nil
}

func (i *Image) files(progress Progress) (*tree, error) {
	var read, total int64
	for _, l := range i.layers {
		total += l.size
	}
	t := newTree()
	for number, l := range i.layers {
		err := i.readLayer(t, l, number+1, func(more int64) {
			read += more
			progress(read, total)
		})
		if err != nil {
			return nil, fmt.Errorf("layer %d of %d, %s: %w", number+1, len(i.layers), l.name, err)
		}
	}
	return t, nil
}

func (i *Image) readLayer(t *tree, l layer, number int, tell func(int64)) error {
	i.watch.timer.Reset(stall)
	body, err := l.open()
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	in := &counter{from: body, w: i.watch, tell: tell}
	content, closeIt, err := expand(in)
	if err != nil {
		return err
	}
	defer closeIt()
	if err = t.addLayer(content, number); err != nil {
		return err
	}
	// What follows the archive's end is read too: a registry's bytes are checked against their digest at the last one.
	_, err = io.Copy(io.Discard, content)
	return err
}

// readDocument reads what is decoded whole.
func readDocument(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(data) > maxDocument {
		err = &oci.TooLargeError{Limit: maxDocument}
	}
	return data, err
}

var errNoImage = errors.New("it holds no image")
