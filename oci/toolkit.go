package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

const (
	toolkitFile = "/etc/nvidia-container-runtime/config.toml"
	// The GPU operator's toolkit container keeps its own beside its wrappers (v1.20,
	// cmd/nvidia-ctk-installer/toolkit/toolkit.go), on hosts that as a rule have none in /etc.
	operatorToolkitFile = "/usr/local/nvidia/toolkit/.config/nvidia-container-runtime/config.toml"

	maxToolkitFile = 64 << 10 // bytes
)

// Toolkit is what the configuration of the NVIDIA Container Toolkit says about this launch (v1.20,
// api/config/v1/config.go).
type Toolkit struct {
	DisableRequire           bool     // disable-require
	AcceptEnvvarUnprivileged bool     // accept-nvidia-visible-devices-envvar-when-unprivileged
	AcceptVolumeMounts       bool     // accept-nvidia-visible-devices-as-volume-mounts
	SwarmResources           []string // swarm-resource, split: variables that stand before NVIDIA_VISIBLE_DEVICES
	SupportedCapabilities    []string // supported-driver-capabilities, split
	CLIRoot                  string   // [nvidia-container-cli] root: the driver root, "" for /
	Mode                     string   // [nvidia-container-runtime] mode: auto, legacy, cdi, jit-cdi, csv
	CudaCompatMode           string   // modes.legacy cuda-compat-mode: ldconfig, mount, disabled, hook; "": not said, and versions differ
	AnnotationPrefixes       []string // modes.cdi annotation-prefixes
}

// DefaultToolkit is the toolkit's configuration where there is no file.
func DefaultToolkit() Toolkit {
	return Toolkit{
		AcceptEnvvarUnprivileged: true,
		SupportedCapabilities:    words("compat32,compute,display,graphics,ngx,utility,video"),
		Mode:                     "auto",
		AnnotationPrefixes:       []string{cdiPrefix},
	}
}

// ReadToolkit reads /etc/nvidia-container-runtime/config.toml below root, or where there is none the GPU
// operator's, at most 64 KiB. Keys that are not set, and no file, mean the toolkit's defaults; a file that cannot
// be read or parsed is an error. Unknown keys are ignored.
func ReadToolkit(root string) (Toolkit, error) {
	for _, name := range []string{toolkitFile, operatorToolkitFile} {
		file := filepath.Join(root, name)
		data, err := readRegular(file, maxToolkitFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Toolkit{}, fmt.Errorf("read %s: %w", file, err)
		}
		t, err := parseToolkit(data)
		if err != nil {
			return Toolkit{}, fmt.Errorf("parse %s: %w", file, err)
		}
		return t, nil
	}
	return DefaultToolkit(), nil
}

type toolkitConfig struct {
	DisableRequire bool   `toml:"disable-require"`
	SwarmResource  string `toml:"swarm-resource"`
	AcceptEnvvar   bool   `toml:"accept-nvidia-visible-devices-envvar-when-unprivileged"`
	AcceptMounts   bool   `toml:"accept-nvidia-visible-devices-as-volume-mounts"`
	Capabilities   string `toml:"supported-driver-capabilities"`
	CLI            struct {
		Root string `toml:"root"`
	} `toml:"nvidia-container-cli"`
	Runtime struct {
		Mode  string `toml:"mode"`
		Modes struct {
			CDI struct {
				AnnotationPrefixes []string `toml:"annotation-prefixes"`
			} `toml:"cdi"`
			Legacy struct {
				CudaCompatMode string `toml:"cuda-compat-mode"`
			} `toml:"legacy"`
		} `toml:"modes"`
	} `toml:"nvidia-container-runtime"`
}

func parseToolkit(data []byte) (Toolkit, error) {
	defaults := DefaultToolkit()
	var file toolkitConfig
	file.AcceptEnvvar = defaults.AcceptEnvvarUnprivileged
	file.Capabilities = strings.Join(defaults.SupportedCapabilities, ",")
	file.Runtime.Mode = defaults.Mode
	file.Runtime.Modes.CDI.AnnotationPrefixes = defaults.AnnotationPrefixes
	if err := toml.Unmarshal(data, &file); err != nil {
		if at, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, column := at.Position()
			return Toolkit{}, fmt.Errorf("line %d, column %d: %w", row, column, err)
		}
		return Toolkit{}, err
	}
	return Toolkit{
		DisableRequire:           file.DisableRequire,
		AcceptEnvvarUnprivileged: file.AcceptEnvvar,
		AcceptVolumeMounts:       file.AcceptMounts,
		SwarmResources:           words(file.SwarmResource),
		SupportedCapabilities:    words(file.Capabilities),
		CLIRoot:                  file.CLI.Root,
		Mode:                     file.Runtime.Mode,
		CudaCompatMode:           file.Runtime.Modes.Legacy.CudaCompatMode,
		AnnotationPrefixes:       file.Runtime.Modes.CDI.AnnotationPrefixes,
	}, nil
}

// driverRoot is where the toolkit takes the driver's libraries from; "" for CDI, whose files say it themselves.
func (t Toolkit) driverRoot(route Route) string {
	switch {
	case route == RouteCDI:
		return ""
	case t.CLIRoot == "":
		return "/"
	}
	return path.Clean(t.CLIRoot)
}

// words splits a list with commas, without empty words and spaces around.
func words(list string) []string {
	var out []string
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			out = append(out, word)
		}
	}
	return out
}
