package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Beyond these a launch is not judged, and recorded.
const (
	maxConfig = 16 << 20 // bytes
	maxValues = 1 << 18  // commas: "{}," costs 3 bytes and becomes a mount of 120 in memory
)

// Container is what config.json says of a container, as far as it is read here.
type Container struct {
	ID          string // given by the caller; config.json has none
	Bundle      string // folder of config.json
	Root        string // absolute path of the root file system, "" when config.json names none
	Args        []string
	Cwd         string   // of the program, "" when config.json names none
	User        string   // its number; in an image's own configuration a name and a group are possible, "" is root
	Env         []string // KEY=VALUE; a key may stand more than once, the last counts
	Bounding    []string // capability bounding set
	Annotations map[string]string
	Devices     []specs.LinuxDevice
	DeviceRules []specs.LinuxDeviceCgroup
	Mounts      []specs.Mount
	Hooks       Hooks
}

// Hooks are the hook arrays that tell of a GPU.
type Hooks struct {
	Prestart        []specs.Hook `json:"prestart"`
	CreateRuntime   []specs.Hook `json:"createRuntime"`
	CreateContainer []specs.Hook `json:"createContainer"`
}

// config is config.json, narrowed to what is read: decoding specs.Spec whole takes two thirds longer
// (BenchmarkWholeSpec).
type config struct {
	Process struct {
		Args []string `json:"args"`
		Cwd  string   `json:"cwd"`
		Env  []string `json:"env"`
		User struct {
			UID uint32 `json:"uid"`
		} `json:"user"`
		Capabilities struct {
			Bounding []string `json:"bounding"`
		} `json:"capabilities"`
	} `json:"process"`
	Root struct {
		Path string `json:"path"`
	} `json:"root"`
	Mounts      []specs.Mount     `json:"mounts"`
	Hooks       Hooks             `json:"hooks"`
	Annotations map[string]string `json:"annotations"`
	Linux       struct {
		Devices   []specs.LinuxDevice `json:"devices"`
		Resources struct {
			Devices []specs.LinuxDeviceCgroup `json:"devices"`
		} `json:"resources"`
	} `json:"linux"`
}

// TooLargeError says that an input is beyond its bound.
type TooLargeError struct {
	Limit int64
	Unit  string // what Limit counts, "" for bytes
}

// Error names the bound.
func (e *TooLargeError) Error() string {
	unit := e.Unit
	if unit == "" {
		unit = "bytes"
	}
	return fmt.Sprintf("more than %d %s", e.Limit, unit)
}

// LoadContainer reads bundle/config.json: a regular file of at most 16 MiB, beyond that the error is a
// *TooLargeError. Errors of its JSON name file, line and column.
func LoadContainer(bundle string) (*Container, error) {
	bundle, err := filepath.Abs(bundle)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", bundle, err)
	}
	file := filepath.Join(bundle, "config.json")
	data, err := readRegular(file, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if bytes.Count(data, []byte{','}) > maxValues {
		return nil, fmt.Errorf("read %s: %w", file, &TooLargeError{Limit: maxValues, Unit: "values"})
	}
	c, err := parseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s:%s%w", file, position(data, err), err)
	}
	c.Bundle = bundle
	if c.Root != "" && !filepath.IsAbs(c.Root) {
		c.Root = filepath.Join(bundle, c.Root) // relative to the bundle: runtime-spec, config.md, root.path
	}
	return c, nil
}

func parseConfig(data []byte) (*Container, error) {
	var spec config
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, err
	}
	return &Container{
		Root:        spec.Root.Path,
		Args:        spec.Process.Args,
		Cwd:         spec.Process.Cwd,
		User:        strconv.FormatUint(uint64(spec.Process.User.UID), 10),
		Env:         spec.Process.Env,
		Bounding:    spec.Process.Capabilities.Bounding,
		Annotations: spec.Annotations,
		Devices:     spec.Linux.Devices,
		DeviceRules: spec.Linux.Resources.Devices,
		Mounts:      spec.Mounts,
		Hooks:       spec.Hooks,
	}, nil
}

// Getenv returns the last value of an environment variable of the container: docker --gpus and device plugins
// append a key that the image has already set.
func (c *Container) Getenv(key string) (string, bool) {
	for _, entry := range slices.Backward(c.Env) {
		if name, value, ok := strings.Cut(entry, "="); ok && name == key {
			return value, true
		}
	}
	return "", false
}

// readRegular reads a regular file of at most limit bytes. O_NONBLOCK keeps a FIFO in its place from holding us.
func readRegular(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, bareError(err)
	}
	defer func() { _ = f.Close() }()
	return readBounded(f, limit)
}

func readBounded(f *os.File, limit int64) ([]byte, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, bareError(err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	case info.Size() > limit:
		return nil, &TooLargeError{Limit: limit}
	}
	var data bytes.Buffer
	data.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := data.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, bareError(err)
	}
	if int64(data.Len()) > limit {
		return nil, &TooLargeError{Limit: limit}
	}
	return data.Bytes(), nil
}

// bareError drops the operations and paths of *PathErrors: the caller names the file once.
func bareError(err error) error {
	for failed, ok := errors.AsType[*os.PathError](err); ok; failed, ok = errors.AsType[*os.PathError](err) {
		err = failed.Err
	}
	return err
}

// position gives the line and column of a JSON error as "line:column: ", counted from 1 in bytes.
func position(data []byte, err error) string {
	at, ok := errorOffset(err)
	if !ok {
		at = int64(len(data))
	}
	at = max(0, min(at, int64(len(data))))
	before := data[:at]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return fmt.Sprintf("%d:%d: ", line, max(1, column))
}

func errorOffset(err error) (int64, bool) {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return syntax.Offset, true
	case errors.As(err, &mistyped):
		return mistyped.Offset, true
	}
	return 0, false
}
