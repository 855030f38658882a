package oci

import (
	"path"
	"slices"
	"strings"
)

// starters are programs that only start what their arguments name: the entrypoint of nvidia/cuda and NGC images,
// and the init processes of engines and images.
var starters = []string{"nvidia_entrypoint.sh", "docker-init", "podman-init", "catatonit", "tini", "dumb-init"}

// cliFlags are the capabilities as flags of nvidia-container-cli (containerd contrib/nvidia).
var cliFlags = []string{"compat32", "compute", "display", "graphics", "ngx", "utility", "video"}

// watchers are programs that look at GPUs of any state and must start on a broken host.
var watchers = []string{
	"nvidia-smi", "dcgm-exporter", "nv-hostengine", "nvidia-device-plugin", "gpu-feature-discovery", "nvidia-mig-manager",
}

// capabilities reads NVIDIA_DRIVER_CAPABILITIES, or the flags where nvidia-container-cli gets them as arguments.
func capabilities(c *Container, cliHook []string) []string {
	if cliHook != nil {
		var flags []string
		for _, arg := range cliHook {
			if flag, ok := strings.CutPrefix(arg, "--"); ok && slices.Contains(cliFlags, flag) {
				flags = append(flags, flag)
			}
		}
		return flags
	}
	value, _ := c.Getenv("NVIDIA_DRIVER_CAPABILITIES")
	return words(value)
}

// observer says why a container only looks at GPUs, or manages them, and gets warnings instead of refusals.
func observer(c *Container, capabilities []string, migControl bool) string {
	if len(capabilities) == 1 && capabilities[0] == "utility" {
		return "NVIDIA_DRIVER_CAPABILITIES is utility alone"
	}
	for _, key := range []string{"NVIDIA_MIG_MONITOR_DEVICES", "NVIDIA_MIG_CONFIG_DEVICES"} {
		if value, _ := c.Getenv(key); value != "" {
			return key + " is set"
		}
	}
	if migControl {
		return "it has MIG's config or monitor node"
	}
	if value, _ := c.Getenv("DRA_ADMIN_ACCESS"); value == "true" {
		return "DRA admin access" // written by drivers after kubernetes-sigs/dra-example-driver
	}
	if value, set := c.Getenv("CUDA_VISIBLE_DEVICES"); set && hidesAll(value) {
		return "CUDA_VISIBLE_DEVICES hides every GPU from CUDA"
	}
	if name := program(c.Args); slices.Contains(watchers, name) {
		return "its program is " + name
	}
	return ""
}

// hidesAll reads CUDA_VISIBLE_DEVICES: an empty one hides every GPU, and an invalid index all that follow it
// (CUDA Programming Guide, CUDA Environment Variables).
func hidesAll(value string) bool {
	first, _, _ := strings.Cut(value, ",")
	first = strings.TrimSpace(first)
	return first == "" || first == "-1"
}

// program is the name of the program that a container runs, past what only starts it. The entrypoint of the
// dcgm-exporter image carries the exporter's name.
func program(args []string) string {
	name := ""
	for _, arg := range args {
		if name != "" && strings.HasPrefix(arg, "-") {
			continue // a flag of the starter
		}
		if name = path.Base(arg); !slices.Contains(starters, name) {
			return strings.TrimSuffix(name, "-entrypoint.sh")
		}
	}
	return name
}
