package oci

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// evidence is what config.json holds of NVIDIA's, each with the word that a reason quotes.
type evidence struct {
	nodes         nodes
	everyDevice   bool     // privileged: the nodes are there because all are
	libcuda       string   // a mounted libcuda.so.<version>
	libcudaSource string   // its path on the host, when the version is a driver's
	cdiHook       string   // a createContainer hook of nvidia-cdi-hook or nvidia-ctk
	nvidiaHook    string   // NVIDIA's own hook in prestart or createRuntime
	cliHook       []string // arguments of an oci-hook that starts nvidia-container-cli
}

// injected tells whether a CDI specification was applied.
func (e evidence) injected() bool { return e.libcuda != "" || e.cdiHook != "" }

// hasMIGControl tells whether MIG's config or monitor node was given, other than with every node of the host.
func (e evidence) hasMIGControl() bool {
	return !e.everyDevice && len(e.nodes.caps) > len(e.nodes.instances())
}

func look(c *Container, h Host) evidence {
	e := evidence{everyDevice: allowsAll(c.DeviceRules) || mountsAll(c)}
	majors := h.Majors
	if e.everyDevice {
		majors = nil // whatever the nodes are, they name nothing
	}
	e.nodes = findNodes(c, majors)
	e.lookAtMounts(c.Mounts)
	e.lookAtHooks(c.Hooks)
	return e
}

// allowsAll finds the device-cgroup rule of a privileged container: it allows, without type and without numbers
// (config/oci-docker-devices-normal-vs-privileged.json, config/oci-crio-privileged.json). Docker, containerd's
// CRI, CRI-O and podman then add every node of the host to linux.devices.
func allowsAll(rules []specs.LinuxDeviceCgroup) bool {
	return slices.ContainsFunc(rules, func(r specs.LinuxDeviceCgroup) bool {
		return r.Allow && r.Type == "" && r.Major == nil && r.Minor == nil
	})
}

// mountsAll finds podman's privileged container without root: every node of the host is bind-mounted in its own place
// and no rule is left (pkg/util/utils_linux.go, AddPrivilegedDevices). /dev/full and /dev/zero are nobody's wish.
func mountsAll(c *Container) bool {
	found := 0
	for _, m := range c.Mounts {
		if m.Source == m.Destination && (m.Source == "/dev/full" || m.Source == "/dev/zero") {
			found++
		}
	}
	return found == 2 && len(c.DeviceRules) == 0
}

// lookAtMounts finds libcuda.so.<version>. Compatibility libraries lie in folders named compat and prove nothing;
// Tegra and WSL have libcuda.so.1.1, which is no driver version.
func (e *evidence) lookAtMounts(mounts []specs.Mount) {
	for _, m := range mounts {
		version, ok := strings.CutPrefix(path.Base(m.Destination), "libcuda.so.")
		if !ok || !isVersion(version) || inCompat(m.Destination) || inCompat(m.Source) {
			continue
		}
		if e.libcuda == "" {
			e.libcuda = fmt.Sprintf("mount %.100q", m.Destination)
		}
		if e.libcudaSource == "" && isDriverVersion(version) {
			e.libcudaSource = path.Clean(m.Source)
		}
	}
}

func inCompat(file string) bool {
	return slices.Contains(strings.Split(file, "/"), "compat")
}

// isVersion accepts numbers between dots, at least two: libcuda.so.1 is only the SONAME's link.
func isVersion(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) > 1 && !slices.ContainsFunc(parts, func(p string) bool { return !isNumber(p) })
}

// isDriverVersion accepts 384.81 and 615.71.09: Linux driver branches have three digits or more.
func isDriverVersion(s string) bool {
	return isVersion(s) && strings.IndexByte(s, '.') >= 3
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// lookAtHooks recognises hooks by base name: paths vary (/usr/bin, /usr/local/nvidia/toolkit, the DRA plugin's
// folder, /run/current-system/sw/bin; config/hooks-ctk-*.json, cdi/nixos-ctk-1.15-tail.yaml).
func (e *evidence) lookAtHooks(hooks Hooks) {
	stages := []struct {
		name  string
		hooks []specs.Hook
	}{{"prestart", hooks.Prestart}, {"createRuntime", hooks.CreateRuntime}}
	for _, stage := range stages {
		for _, hook := range stage.hooks {
			switch name := path.Base(hook.Path); {
			case e.nvidiaHook == "" && isNVIDIAHook(name):
				e.nvidiaHook = stage.name + " hook " + name
			case e.cliHook == nil:
				e.cliHook = cliArguments(hook.Args)
			}
		}
	}
	for _, hook := range hooks.CreateContainer {
		if name := path.Base(hook.Path); e.cdiHook == "" && (name == "nvidia-cdi-hook" || name == "nvidia-ctk") {
			e.cdiHook = "createContainer hook " + name
		}
	}
}

// isNVIDIAHook knows the two names of NVIDIA's hook (toolkit, internal/modifier/hook_remover.go). Since
// containers/common 0.58 hooks.d puts it into createRuntime.
func isNVIDIAHook(name string) bool {
	return name == "nvidia-container-runtime-hook" || name == "nvidia-container-toolkit"
}

// cliArguments returns the arguments after nvidia-container-cli when a hook is `… oci-hook … nvidia-container-cli`.
func cliArguments(args []string) []string {
	at := slices.Index(args, "oci-hook")
	if at < 0 {
		return nil
	}
	for i := at + 1; i < len(args); i++ {
		if path.Base(args[i]) == "nvidia-container-cli" {
			return args[i:]
		}
	}
	return nil
}
