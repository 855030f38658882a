package plan

import "gpu-preflight/checks/fact"

// Origin is where the packages of the driver come from.
type Origin string

// The origins of packages that carry a driver; empty: not known.
const (
	Archive Origin = "archive" // the distribution's own
	NVIDIA  Origin = "nvidia"  // NVIDIA's repository for CUDA
	RunFile Origin = "runfile" // NVIDIA's .run file: no package
)

// Software is how the driver got onto the host, as far as that is known. The zero Software knows nothing.
type Software struct {
	Origin     Origin
	Desktop    bool                // packages without -server are in charge
	Packages   fact.Fact[[]string] // names of the driver's installed packages
	Held       []string            // of these
	SecureBoot fact.Fact[bool]
}
