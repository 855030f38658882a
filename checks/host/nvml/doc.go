// Package nvml asks NVIDIA's management library for facts, through go-nvml. It is the only cgo of the project,
// and only gpu-preflight-nvml links it: a missing symbol, a crash or a hang in the vendor's library ends that
// child and nothing else.
package nvml
