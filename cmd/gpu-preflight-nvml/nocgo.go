//go:build !cgo

// Command gpu-preflight-nvml asks NVML; this build of it cannot.
package main

import (
	"io"
	"os"
)

func main() {
	_, _ = io.WriteString(os.Stderr, "gpu-preflight-nvml: built without cgo, so it cannot load libnvidia-ml; build it with CGO_ENABLED=1 and a C compiler\n")
	os.Exit(1)
}
