package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxIndexes bounds how many indexes may name one another before an image.
const maxIndexes = 4

// store is where manifests and what they name lie.
type store interface {
	manifest(d v1.Descriptor) ([]byte, error)
	blob(d v1.Descriptor) (io.ReadCloser, error)
}

// parsePlatform reads OS/ARCH[/VARIANT]; without one it is Linux on this machine's processor, where any variant serves.
func parsePlatform(text string) (v1.Platform, error) {
	if text == "" {
		return v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, nil
	}
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return v1.Platform{}, fmt.Errorf("platform %q is not OS/ARCH or OS/ARCH/VARIANT", text)
	}
	return v1.Platform{OS: parts[0], Architecture: parts[1], Variant: strings.Join(parts[2:], "")}, nil
}

// choose follows a descriptor through indexes to the one image of a platform.
func choose(s store, d v1.Descriptor, wanted v1.Platform) (*Image, error) {
	for range maxIndexes {
		raw, err := s.manifest(d)
		if err != nil {
			return nil, err
		}
		switch {
		case d.MediaType.IsSchema1():
			return nil, errors.New("its manifest has the form that engines gave up (schema 1)")
		case !d.MediaType.IsIndex():
			return fromManifest(s, raw)
		}
		index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("parse its index: %w", err)
		}
		if d, err = ofPlatform(index.Manifests, wanted); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("its indexes name one another without end")
}

// ofPlatform is the first image that serves a platform, as engines choose. An index of one image without a platform means
// that one.
func ofPlatform(all []v1.Descriptor, wanted v1.Platform) (v1.Descriptor, error) {
	var names []string
	for _, d := range all {
		switch {
		case d.Platform == nil && len(all) == 1:
			return d, nil
		case d.Platform == nil || d.Platform.OS == "unknown": // attestations of buildkit
		case d.Platform.Satisfies(wanted):
			return d, nil
		default:
			names = append(names, fmt.Sprintf("%.40q", d.Platform.String()))
		}
	}
	if len(names) == 0 {
		return v1.Descriptor{}, errNoImage
	}
	return v1.Descriptor{}, fmt.Errorf("there is none for %s, only for %s (--platform chooses)", wanted, strings.Join(names[:min(len(names), 16)], ", "))
}

// fromManifest reads the configuration, which a manifest names with the layers.
func fromManifest(s store, raw []byte) (*Image, error) {
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("parse its manifest: %w", err)
	}
	if m.Config.Digest.Hex == "" {
		return nil, errNoImage
	}
	body, err := s.blob(m.Config)
	if err != nil {
		return nil, fmt.Errorf("read its configuration: %w", err)
	}
	defer func() { _ = body.Close() }()
	data, err := readDocument(body)
	if err != nil {
		return nil, fmt.Errorf("read its configuration: %w", err)
	}
	found := &Image{}
	if found.config, err = parseConfig(data); err != nil {
		return nil, err
	}
	for _, d := range m.Layers {
		found.layers = append(found.layers, layer{d.Digest.String(), d.Size, func() (io.ReadCloser, error) { return s.blob(d) }})
	}
	return found, nil
}
