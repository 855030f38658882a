// Package report writes what was judged, for people and for programs.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"gpu-preflight/checks"
)

// Schema names the JSON form of Report; additions only.
const Schema = "gpu-preflight.report/v1"

// Report is one judgement: a launch (check) or the host alone.
type Report struct {
	Schema      string          `json:"schema"`
	Verdict     string          `json:"verdict"` // allow | warn | refuse | not-gpu | exempt
	Mode        string          `json:"mode,omitempty"`
	WouldRefuse bool            `json:"would_refuse"`     // mode warn hid a refusal
	Reason      string          `json:"reason,omitempty"` // why it was not judged
	Host        Host            `json:"host"`
	Container   Container       `json:"container,omitzero"`
	Results     []checks.Result `json:"results"`
	Refusing    []string        `json:"-"`                   // IDs of the results that refuse, where the policy decided
	Use         string          `json:"use,omitempty"`       // doctor: how the host is used
	Cause       []string        `json:"cause,omitempty"`     // doctor: the check to read first, then those that say why
	Questions   []checks.Answer `json:"questions,omitempty"` // doctor: what somebody asks first on such a host
}

// Host says which host was judged; what is unknown is empty.
type Host struct {
	Driver string   `json:"driver,omitempty"` // 535.183.06
	CUDA   string   `json:"cuda,omitempty"`   // 12.2, what the driver gives
	GPUs   []string `json:"gpus,omitempty"`   // names, in NVML's order
	Kernel string   `json:"kernel,omitempty"`
	OS     string   `json:"os,omitempty"`   // as os-release calls it
	Root   string   `json:"root,omitempty"` // the host's files were read below it
}

// Container says what was asked; zero for the host alone.
type Container struct {
	ID           string   `json:"id,omitempty"`
	Image        string   `json:"image,omitempty"`
	Route        string   `json:"route,omitempty"`
	GPUs         []string `json:"gpus,omitempty"`         // as asked for: all, 0, GPU-…, minor:0
	CUDAVersion  string   `json:"cuda_version,omitempty"` // CUDA_VERSION
	Requirements []string `json:"requirements,omitempty"` // NVIDIA_REQUIRE_CUDA=cuda>=12.4
	Disabled     bool     `json:"disable_require,omitempty"`

	Evidence     []Evidence `json:"evidence,omitempty"`     // signs of the CUDA that its software was built for
	Unread       []string   `json:"unread,omitempty"`       // what was looked for in the image and could not be read
	Disagreement string     `json:"disagreement,omitempty"` // declaration and certain evidence differ, in words

	Compat []CompatLibrary `json:"compat_libraries,omitempty"` // libcudas that lie in the image
}

// CompatLibrary is a libcuda in an image. CUDA and Branches are its own word, in its ELF note.
type CompatLibrary struct {
	Path     string `json:"path"`
	Version  string `json:"version,omitempty"`  // of the driver it came with
	CUDA     string `json:"cuda,omitempty"`     // the CUDA that it brings
	Branches []int  `json:"branches,omitempty"` // of the kernel driver, which it serves
}

// Evidence is one sign of the CUDA that an image's software was built for.
type Evidence struct {
	Kind    string `json:"kind"`
	Version string `json:"version"`
	Path    string `json:"path,omitempty"`
	Certain bool   `json:"certain"`
	Stack   string `json:"stack,omitempty"`
	Code    string `json:"code,omitempty"` // sm_80 sm_90 compute_90
}

// IsZero tells whether no container was judged.
func (c Container) IsZero() bool {
	return c.ID == "" && c.Image == "" && c.Route == "" && c.CUDAVersion == "" && !c.Disabled && c.Disagreement == "" &&
		len(c.GPUs)+len(c.Requirements)+len(c.Evidence)+len(c.Unread)+len(c.Compat) == 0
}

// JSON writes the report as one indented object.
func JSON(w io.Writer, r Report) error {
	r.Schema = Schema
	if r.Results == nil {
		r.Results = []checks.Result{}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // cuda>=12 stays as it is
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if _, err := w.Write(checks.EscapeJSON(b.Bytes())); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
