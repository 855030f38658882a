package oci

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Forward is what the NVIDIA Container Toolkit does at this launch with the compatibility libraries of an image, as
// far as config.json and the toolkit's configuration tell.
type Forward struct {
	// Mode is cuda-compat-mode of the toolkit's legacy mode: ldconfig, mount, hook, disabled; "" where nobody says it.
	Mode string
	// Hook: enable-cuda-compat is among the createContainer hooks. It puts /usr/local/cuda/compat before every other
	// folder of the loader's cache where it finds a newer libcuda there (toolkit 1.17.5,
	// cmd/nvidia-cdi-hook/cudacompat/cudacompat.go).
	Hook       bool
	HostDriver string // its --host-driver-version; LoadedDriver for a hook that is only assumed
	HostCUDA   string // its --host-cuda-version
	Folder     string // its --cuda-compat-container-root, "" for the default
	// UpdatesCache: update-ldcache is among the hooks, so that the loader's configuration of the image counts anew.
	UpdatesCache bool
	// Open: the configuration is not final, and the hooks are still to come.
	Open bool
}

// LoadedDriver stands for the version of the driver that is loaded.
const LoadedDriver = "loaded"

// AssumedForward is what the toolkit of today (1.17.7 and later) does on a route by its defaults.
func AssumedForward(route Route) Forward {
	if route == RouteLegacy {
		return Forward{Mode: "ldconfig"}
	}
	return Forward{Hook: true, HostDriver: LoadedDriver, UpdatesCache: true}
}

// findForward reads the hooks; their paths vary, their words do not (config/hooks-ctk-1.17.*.json).
func findForward(hooks []specs.Hook) Forward {
	var f Forward
	for _, hook := range hooks {
		f.UpdatesCache = f.UpdatesCache || slices.Contains(hook.Args, "update-ldcache")
		at := slices.Index(hook.Args, "enable-cuda-compat")
		if at < 0 {
			continue
		}
		f.Hook = true
		options := hook.Args[at+1:]
		f.HostDriver = option(options, "host-driver-version")
		f.HostCUDA = option(options, "host-cuda-version")
		f.Folder = option(options, "cuda-compat-container-root")
	}
	return f
}

// in adds what the toolkit's configuration says on a route.
func (f Forward) in(route Route, t Toolkit) Forward {
	if route == RouteLegacy {
		f.Mode = t.CudaCompatMode
	}
	return f
}

// option is the value of --name=value or --name value.
func option(args []string, name string) string {
	for i, arg := range args {
		word, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case word != name || !strings.HasPrefix(arg, "-"):
		case joined:
			return value
		case i+1 < len(args):
			return args[i+1]
		}
	}
	return ""
}
