// Package checks judges whether a launch can work on a host. It does no I/O: facts go in, results come out.
//
// One check is one file, named by its ID. The status rule: a fact that could not be read gives unknown, never
// fail, pass or skip; what is certain to stop CUDA on every GPU asked for fails; a doubt warns.
package checks

import (
	"gpu-preflight/checks/host"
	"gpu-preflight/checks/remedy"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// Layer is the part of the driver stack that a check looks at.
type Layer string

// The layers, from the hardware up.
const (
	Hardware  Layer = "hardware"
	Kernel    Layer = "kernel"
	Libraries Layer = "libraries"
	Utilities Layer = "utilities"
	Packages  Layer = "packages"
	FabricSys Layer = "fabric"
	Container Layer = "container"
	Image     Layer = "image"
)

// Check is one question about a launch.
type Check struct {
	ID    string
	Title string // the good condition
	Layer Layer
	Why   string   // what CUDA does when it does not hold
	CUDA  []int    // the CUDA errors in which it shows
	Links []string // NVIDIA documents, upstream files and issues the rule follows
	After []string // when one of these fails, this one is skipped: one cause, one finding
	// Doctor marks a check of the host's care that cannot matter for the verdict on a launch: no launch asks it.
	Doctor bool
	// Launch marks a check of what only a launch has, a container and an image: doctor does not ask it.
	Launch bool
	// Linux marks a check of Linux's own driver: it applies on no other platform, and fails on no unknown one.
	Linux bool
	Run   func(Facts) Result
}

// Launch is one container that is about to start.
type Launch struct {
	Container *oci.Container
	GPUs      oci.GPURequest
	Needs     image.Requirements
}

// Requirement is how NVIDIA_REQUIRE_* is judged.
type Requirement string

// The three modes of the policy's requirement.
const (
	RequirementAuto         Requirement = "auto"          // declared where NVIDIA's own hook is in the final spec, else minor-version
	RequirementDeclared     Requirement = "declared"      // an unmet expression fails, as with NVIDIA's own hook
	RequirementMinorVersion Requirement = "minor-version" // only what cannot run fails
)

// Facts is all that a check may look at.
type Facts struct {
	Host        host.Facts
	Launch      Launch
	Requirement Requirement

	joined []gpu       // what gpus joins, once for all checks
	mend   remedy.Host // the commands that mend this host
}
