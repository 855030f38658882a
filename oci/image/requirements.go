package image

import (
	"slices"

	"gpu-preflight/oci"
)

// Requirements is what an image needs of its host: what it declares, and what was found in it. What could not be
// read says so; nothing is judged here.
type Requirements struct {
	Declared
	Compat   Compat     `json:"compat"`
	Evidence []Evidence `json:"evidence,omitempty"`
	Unread   []string   `json:"unread,omitempty"` // where evidence was looked for in vain, each with why
}

// Evidence is one sign of the CUDA version that an image's software was built for.
type Evidence struct {
	Kind    string `json:"kind"`            // env; torch, jax, cupy, tensorflow, onnxruntime; cuda-runtime, conda, toolkit, cudart
	Version string `json:"version"`         // CUDA version as written there: 12.4.1; 12.0 where only the major is told
	Path    string `json:"path,omitempty"`  // the variable or file it stands in
	Certain bool   `json:"certain"`         // it proves what will be run, not only what lies there
	Stack   string `json:"stack,omitempty"` // signs of different stacks are alternatives: the lowest need counts
	Code    string `json:"code,omitempty"`  // the GPU architectures it was compiled for: sm_80 sm_90 compute_90; "" where it does not tell
}

// KindEnv is the kind of what the environment tells.
const KindEnv = "env"

// Framework tells software that needs this CUDA when it runs from a library that may lie there unused.
func (e Evidence) Framework() bool {
	return slices.Contains([]string{"torch", "jax", "cupy", "tensorflow", "onnxruntime"}, e.Kind)
}

// FromContainer reads the requirements that a container's environment declares, without any I/O. Compat stays
// unread: the look into the root file system is ChildMain's.
func FromContainer(c *oci.Container) Requirements {
	r := Requirements{Declared: FromEnv(c.Env), Compat: Compat{Why: NotLooked}}
	if r.CUDAVersion != "" {
		// A base image's variable outlives what is installed over it, so it proves nothing about what runs.
		r.Evidence = []Evidence{{Kind: KindEnv, Version: r.CUDAVersion, Path: cudaVersionEnv}}
	}
	return r
}
