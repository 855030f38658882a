package hook

import (
	"fmt"
	"slices"
	"time"

	"gpu-preflight/checks"
)

// DefaultConfig is where the policy is read from.
const DefaultConfig = "/etc/gpu-preflight/config.toml"

// Mode says what a refusal means.
type Mode string

// The three modes, from the strictest down.
const (
	ModeEnforce Mode = "enforce"
	ModeWarn    Mode = "warn"
	ModeOff     Mode = "off"
)

// Setting is what the policy says of one check.
type Setting string

// off: not run; warn: a failure only warns; refuse: a warning refuses too.
const (
	SettingOff    Setting = "off"
	SettingWarn   Setting = "warn"
	SettingRefuse Setting = "refuse"
)

// Requirement is the policy's word for how NVIDIA_REQUIRE_* is judged.
type Requirement checks.Requirement

// Evidence is what the image's contents may prove: certain refuses, warn never does, off is not looked for.
type Evidence string

// The words for it.
const (
	EvidenceCertain Evidence = "certain"
	EvidenceWarn    Evidence = "warn"
	EvidenceOff     Evidence = "off"
)

// Unknown is what an unknown fact of a check set to refuse means: allow | refuse.
type Unknown string

// UnmarshalText accepts enforce, warn and off.
func (m *Mode) UnmarshalText(text []byte) error {
	return word(m, text, ModeEnforce, ModeWarn, ModeOff)
}

// UnmarshalText accepts off, warn and refuse.
func (s *Setting) UnmarshalText(text []byte) error {
	return word(s, text, SettingOff, SettingWarn, SettingRefuse)
}

// UnmarshalText accepts auto, declared and minor-version.
func (r *Requirement) UnmarshalText(text []byte) error {
	return word(r, text, Requirement(checks.RequirementAuto), Requirement(checks.RequirementDeclared), Requirement(checks.RequirementMinorVersion))
}

// UnmarshalText accepts certain, warn and off.
func (e *Evidence) UnmarshalText(text []byte) error { return word(e, text, "certain", "warn", "off") }

// UnmarshalText accepts allow and refuse.
func (u *Unknown) UnmarshalText(text []byte) error { return word(u, text, "allow", "refuse") }

func word[T ~string](into *T, text []byte, words ...T) error {
	if !slices.Contains(words, T(text)) {
		return fmt.Errorf("%.40q is none of %q", text, words)
	}
	*into = T(text)
	return nil
}

// Duration is a time written as Go writes it: 5s, 500ms.
type Duration time.Duration

// UnmarshalText accepts a duration from 0 to an hour.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	if v < 0 || v > time.Hour {
		return fmt.Errorf("%s is not between 0s and 1h", v)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the duration as it is read.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Policy says what the findings mean on this host. DESIGN: config.toml.
type Policy struct {
	Mode        Mode               `toml:"mode" json:"mode"`
	Requirement Requirement        `toml:"requirement" json:"requirement"`
	Evidence    Evidence           `toml:"evidence" json:"evidence"`
	Unknown     Unknown            `toml:"unknown" json:"unknown"`
	Timeout     Duration           `toml:"timeout" json:"timeout"`           // the whole judgement
	NVMLTimeout Duration           `toml:"nvml_timeout" json:"nvml_timeout"` // NVML's share of it
	Settle      Duration           `toml:"settle" json:"settle"`             // how long transient faults are waited for
	Overrides   bool               `toml:"overrides" json:"overrides"`       // containers may lower the mode for themselves
	Checks      map[string]Setting `toml:"checks" json:"checks"`
	Exempt      Exempt             `toml:"exempt" json:"exempt"`
	Host        HostPaths          `toml:"host" json:"host"`
	Runtime     Runtime            `toml:"runtime" json:"runtime"`
	Log         Log                `toml:"log" json:"log"`

	// Path is the file it came from, empty when there is none and the defaults hold.
	Path string `toml:"-" json:"path"`
	// Problem says why the file could not be used; the policy is then the defaults in mode warn.
	Problem string `toml:"-" json:"problem,omitempty"`
	// Set are the keys that the file sets; the others have their defaults.
	Set []string `toml:"-" json:"set"`
}

// Exempt are the containers that are never judged, by Kubernetes namespace and by image pattern (* and ?).
type Exempt struct {
	Namespaces []string `toml:"namespaces" json:"namespaces"`
	Images     []string `toml:"images" json:"images"`
}

// HostPaths say where the host's files and its NVML are.
type HostPaths struct {
	Root        string `toml:"root" json:"root"`
	NVMLLibrary string `toml:"nvml_library" json:"nvml_library"`
}

// Runtime names the runtimes that the shim looks for when its registration names none.
type Runtime struct {
	Runtimes []string `toml:"runtimes" json:"runtimes"`
}

// Log says where launches are recorded.
type Log struct {
	File     string `toml:"file" json:"file"`
	Journald bool   `toml:"journald" json:"journald"`
}

// DefaultPolicy holds where the file says nothing.
func DefaultPolicy() Policy {
	return Policy{
		Mode: ModeEnforce, Requirement: Requirement(checks.RequirementAuto), Evidence: EvidenceCertain, Unknown: "allow",
		Timeout: Duration(5 * time.Second), NVMLTimeout: Duration(2 * time.Second), Settle: Duration(20 * time.Second),
		Checks: map[string]Setting{},
		Exempt: Exempt{
			Namespaces: []string{
				"kube-system", "gpu-operator", "nvidia-gpu-operator", "nvidia-device-plugin",
				"nvidia-dra-driver-gpu", "dra-driver-nvidia-gpu", "gpu-resources",
			},
			Images: []string{
				"*/k8s-device-plugin*", "*/dcgm-exporter*", "*/gpu-operator*", "nvcr.io/nvidia/cloud-native/*", "nvcr.io/nvidia/driver*",
			},
		},
		Runtime: Runtime{Runtimes: []string{"runc", "crun"}},
		Log:     Log{File: "/var/log/gpu-preflight/launches.jsonl", Journald: true},
	}
}

// refusesDoubts tells whether the warning of a check refuses.
func (p Policy) refusesDoubts() bool {
	for _, setting := range p.Checks {
		if setting == SettingRefuse {
			return true
		}
	}
	return false
}
