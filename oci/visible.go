package oci

import (
	"path"
	"slices"
	"strings"
	"unicode"
)

const (
	visibleDevices = "NVIDIA_VISIBLE_DEVICES"
	mountRoot      = "/var/run/nvidia-container-devices"
	cdiPrefix      = "cdi.k8s.io/"        // the key prefix of the CDI library
	operatorPrefix = "nvidia.cdi.k8s.io/" // the GPU operator's and the device plugin's

	managementKind = "management.nvidia.com/gpu" // every GPU for the operator's own pods, which repair hosts
)

// plainKinds are the CDI kinds whose device names are NVIDIA's own: index, UUID, all
// (cdi/spec-kinds-and-files.tsv).
var plainKinds = []string{"nvidia.com/gpu", "k8s.device-plugin.nvidia.com/gpu", "runtime.nvidia.com/gpu"}

// isGPUKind knows the other kinds that give GPUs under names that only the specification resolves: the DRA
// driver's claims, Tegra's nvidia.com/xavier-gpu. Not nvidia.com/pva, not compute domains.
func isGPUKind(kind string) bool {
	vendor, class, _ := strings.Cut(kind, "/")
	ours := vendor == "nvidia.com" || strings.HasSuffix(vendor, ".nvidia.com")
	return vendor == "k8s.gpu.nvidia.com" || ours && (class == "gpu" || strings.HasSuffix(class, "-gpu"))
}

// VisibleDevices is the rule by which the NVIDIA Container Toolkit (v1.20, internal/config/image) finds the
// devices that a container asks for: annotations first, where they count (only in nvidia-container-runtime's cdi
// mode), then volume mounts if the configuration accepts them, then the environment unless the configuration
// wants privilege for it. None, void, an empty value and an unset one on an image that is not legacy ask for
// nothing.
func (t Toolkit) VisibleDevices(c *Container, annotations bool) []string {
	if annotations {
		if names := annotated(c, t.AnnotationPrefixes...); len(names) > 0 {
			return names
		}
	}
	if t.AcceptVolumeMounts {
		if names := mounted(c); len(names) > 0 {
			return names
		}
	}
	if !t.AcceptEnvvarUnprivileged && !slices.Contains(c.Bounding, "CAP_SYS_ADMIN") {
		return nil
	}
	return t.fromEnv(c)
}

// route says what nvidia-container-runtime will do (internal/info/auto.go, internal/runtime/runtime_factory.go):
// annotations count in cdi mode only, and auto is cdi when every device is a CDI name, else jit-cdi. Tegra's csv
// is seen only where the configuration names it.
func (t Toolkit) route(c *Container) (Route, []string) {
	names := t.VisibleDevices(c, true)
	qualified := len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return !isCDIName(n) })
	if t.Mode == string(RouteCDI) || t.Mode == "auto" && qualified {
		return RouteCDI, names
	}
	names = t.VisibleDevices(c, false)
	switch t.Mode {
	case string(RouteLegacy), string(RouteCSV):
		return Route(t.Mode), names
	default:
		return RouteJITCDI, names
	}
}

// annotated joins the devices of all annotations with such a key, in the order of the keys.
func annotated(c *Container, prefixes ...string) []string {
	var keys []string
	for key := range c.Annotations {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var names []string
	for _, key := range keys {
		names = append(names, strings.Split(c.Annotations[key], ",")...)
	}
	return names
}

// mounted reads requests made by mounting /dev/null onto /var/run/nvidia-container-devices/<device>; a CDI device
// is …/cdi/<vendor>/<class>/<name> or …/cdi/<vendor>/<class>=<name>.
func mounted(c *Container) []string {
	var names []string
	for _, m := range c.Mounts {
		rest, ok := strings.CutPrefix(path.Clean(m.Destination), mountRoot)
		name := strings.Trim(rest, "/")
		if !ok || name == "" || path.Clean(m.Source) != "/dev/null" || strings.HasPrefix(name, "imex/") {
			continue
		}
		if cdi, isCDI := strings.CutPrefix(name, "cdi/"); isCDI {
			name = cdi
			if parts := strings.SplitN(cdi, "/", 3); !isCDIName(cdi) && len(parts) == 3 {
				name = parts[0] + "/" + parts[1] + "=" + parts[2]
			} else if !isCDIName(cdi) {
				continue
			}
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// fromEnv reads NVIDIA_VISIBLE_DEVICES, or instead of it those swarm-resource variables that are set.
func (t Toolkit) fromEnv(c *Container) []string {
	var values []string
	for _, key := range t.SwarmResources {
		if value, ok := c.Getenv(key); ok {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		value, ok := c.Getenv(visibleDevices)
		if !ok && isLegacyImage(c) {
			return []string{"all"}
		}
		values = []string{value}
	}
	return splitDevices(strings.Join(values, ","))
}

// isLegacyImage: CUDA_VERSION without NVIDIA_REQUIRE_CUDA.
func isLegacyImage(c *Container) bool {
	version, _ := c.Getenv("CUDA_VERSION")
	require, _ := c.Getenv("NVIDIA_REQUIRE_CUDA")
	return version != "" && require == ""
}

// splitDevices splits a list. void anywhere asks for nothing; then the first of all and none decides.
func splitDevices(value string) []string {
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	if slices.Contains(names, "void") {
		return nil
	}
	for _, name := range names {
		switch name {
		case "all":
			return []string{"all"}
		case "none":
			return nil
		}
	}
	return names
}

func isCDIName(name string) bool {
	_, _, ok := parseCDIName(name)
	return ok
}

// parseCDIName splits a fully qualified vendor/class=device name, by the CDI library's pkg/parser.
func parseCDIName(name string) (kind, device string, ok bool) {
	kind, device, _ = strings.Cut(name, "=")
	vendor, class, _ := strings.Cut(kind, "/")
	letters := func(s string) bool { return s != "" && unicode.IsLetter(rune(s[0])) }
	ok = letters(vendor) && isCDIWord(vendor, "_-.") &&
		letters(class) && isCDIWord(class, "_-.") && isCDIWord(device, "_-.:")
	return kind, device, ok
}

// isCDIWord accepts ASCII letters, digits and the given marks, the ends being letters or digits.
func isCDIWord(s, marks string) bool {
	alphanumeric := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if s == "" || !alphanumeric(rune(s[0])) || !alphanumeric(rune(s[len(s)-1])) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune(marks, r) })
}
