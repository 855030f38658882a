package image

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	cudaVersionEnv  = "CUDA_VERSION"
	requirePrefix   = "NVIDIA_REQUIRE_"
	requireCUDAEnv  = requirePrefix + "CUDA"
	jetpackPrefix   = requirePrefix + "JETPACK"
	disableEnv      = "NVIDIA_DISABLE_REQUIRE"
	misspeltDisable = "NVIDIA_DISABLE_REQUIRES"
	archListEnv     = "TORCH_CUDA_ARCH_LIST"

	// maxRequirements is what nvidia-container-cli takes; with more it ends in "too many requirements".
	maxRequirements = 32
)

// Declared is what a container's environment says about the driver that its software needs.
type Declared struct {
	// Requirements are the NVIDIA_REQUIRE_* variables that are not empty, NVIDIA_REQUIRE_CUDA first, then by
	// name. All must hold. NVIDIA_REQUIRE_JETPACK* is left out, as the NVIDIA Container Toolkit does.
	Requirements []Requirement `json:"requirements,omitempty"`
	// Excess counts the variables beyond the 32 that nvidia-container-cli takes; they were not read.
	Excess int `json:"excess,omitempty"`
	// Disabled is NVIDIA_DISABLE_REQUIRE, true for what strconv.ParseBool takes as true and for nothing else.
	Disabled bool `json:"disabled,omitempty"`
	// MisspelledDisable is the assignment of NVIDIA_DISABLE_REQUIRES, which nothing reads, when it looks meant.
	MisspelledDisable string `json:"misspelled_disable,omitempty"`
	// CUDAVersion is CUDA_VERSION as written.
	CUDAVersion string `json:"cuda_version,omitempty"`
	// Legacy: CUDA_VERSION is set and NVIDIA_REQUIRE_CUDA is empty or not set.
	Legacy bool `json:"legacy,omitempty"`
	// LegacyRequirement is what the toolkit adds for a legacy image: cuda>= the major.minor of CUDA_VERSION.
	// It is nil when the toolkit's parser does not take CUDA_VERSION, and stands beside Requirements because
	// it applies only where the toolkit enforces requirements.
	LegacyRequirement *Requirement `json:"legacy_requirement,omitempty"`
	// DriverVersion is CUDA_DRIVER_VERSION: in NGC images the version of their compatibility library, no need.
	DriverVersion string `json:"driver_version,omitempty"`
	// CompatPath is _CUDA_COMPAT_PATH, where NGC images keep that library.
	CompatPath string `json:"compat_path,omitempty"`
	// Code is what TORCH_CUDA_ARCH_LIST lists, in nvcc's words: sm_80 sm_90 compute_90; "" where it is not set or not read.
	Code string `json:"code,omitempty"`
}

// FromEnv reads the declarations out of an environment of KEY=VALUE strings, by the rules of the NVIDIA
// Container Toolkit (internal/config/image): the last value of a key counts. Strings without "=" are ignored.
func FromEnv(env []string) Declared {
	var d Declared
	var disable, misspelt, archs string
	fields := map[string]*string{
		cudaVersionEnv:        &d.CUDAVersion,
		"CUDA_DRIVER_VERSION": &d.DriverVersion,
		"_CUDA_COMPAT_PATH":   &d.CompatPath,
		disableEnv:            &disable,
		misspeltDisable:       &misspelt,
		archListEnv:           &archs,
	}
	required := map[string]string{}
	for _, entry := range env {
		key, value, ok := strings.Cut(entry, "=")
		if !ok {
			continue
		}
		if field, known := fields[key]; known {
			*field = value
		} else if strings.HasPrefix(key, requirePrefix) && !strings.HasPrefix(key, jetpackPrefix) {
			required[key] = value
		}
	}
	d.Disabled, _ = strconv.ParseBool(disable)
	d.MisspelledDisable = misspelledDisable(misspelt)
	d.Code = archList(archs)
	d.Legacy = d.CUDAVersion != "" && required[requireCUDAEnv] == ""
	if version, ok := legacyCUDA(d.CUDAVersion); ok && d.Legacy {
		legacy := ParseRequirement(cudaVersionEnv, "cuda>="+version)
		d.LegacyRequirement = &legacy
	}
	d.Requirements, d.Excess = requirements(required)
	return d
}

func requirements(required map[string]string) (parsed []Requirement, excess int) {
	names := make([]string, 0, len(required))
	for name, value := range required {
		if value != "" && name != requireCUDAEnv {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if required[requireCUDAEnv] != "" {
		names = slices.Insert(names, 0, requireCUDAEnv)
	}
	if len(names) > maxRequirements {
		excess = len(names) - maxRequirements
		names = names[:maxRequirements]
	}
	for _, name := range names {
		parsed = append(parsed, ParseRequirement(name, required[name]))
	}
	return parsed, excess
}

// misspelledDisable returns the assignment, its value cut, unless the value says no.
func misspelledDisable(value string) string {
	if on, err := strconv.ParseBool(value); value == "" || err == nil && !on {
		return ""
	}
	return fmt.Sprintf("%s=%.16s", misspeltDisable, value)
}

// legacyCUDA returns the major.minor of a CUDA_VERSION by the toolkit's rule for legacy images: a semantic
// version of one to three numbers without leading zeros, with or without a "v", the first two below 2^32;
// only three numbers may carry "-pre" and "+build". The four numbers of NGC images are none.
func legacyCUDA(version string) (string, bool) {
	core := strings.TrimPrefix(version, "v")
	suffix := ""
	if i := strings.IndexAny(core, "-+"); i >= 0 {
		core, suffix = core[:i], core[i:]
	}
	numbers := strings.SplitN(core, ".", 4)
	if len(numbers) > 3 || slices.ContainsFunc(numbers, notNumber) {
		return "", false
	}
	if suffix != "" && (len(numbers) < 3 || !versionSuffix(suffix)) {
		return "", false
	}
	numbers = append(numbers, "0")[:2]
	for _, n := range numbers {
		if _, err := strconv.ParseUint(n, 10, 32); err != nil {
			return "", false
		}
	}
	return numbers[0] + "." + numbers[1], true
}

func notNumber(s string) bool {
	return s == "" || strings.Trim(s, "0123456789") != "" || s[0] == '0' && s != "0"
}

// versionSuffix tells whether s is "-pre", "+build" or both: identifiers of letters, digits and hyphens
// between dots, those of digits alone without leading zeros before the "+".
func versionSuffix(s string) bool {
	pre, build, hasBuild := strings.Cut(s, "+")
	if pre != "" {
		for id := range strings.SplitSeq(pre[1:], ".") {
			digits := strings.Trim(id, "0123456789") == ""
			if !identifier(id) || digits && notNumber(id) {
				return false
			}
		}
	}
	if !hasBuild {
		return true
	}
	for id := range strings.SplitSeq(build, ".") {
		if !identifier(id) {
			return false
		}
	}
	return true
}

func identifier(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
