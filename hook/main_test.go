package hook

import (
	"os"
	"testing"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci/image"
)

// TestMain lets the test program be the children that it starts.
func TestMain(m *testing.M) {
	if code, handled := host.ChildMain(os.Args); handled {
		os.Exit(code)
	}
	if code, handled := image.ChildMain(os.Args); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
