package main_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// TestDependencies: what runs as root at every launch is small. Each of these would cost start-up time and
// memory at every launch, and belongs to the command line.
func TestDependencies(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/gpu-preflight-hook")
	cmd.Dir = fixture.Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is built
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "gpu-preflight/hook") {
		t.Fatalf("the hook's program does not use gpu-preflight/hook; it has %d packages", len(deps))
	}
	for _, unwanted := range []string{
		"github.com/urfave/cli", "github.com/google/go-containerregistry", "github.com/prometheus",
		"tags.cncf.io/container-device-interface", "github.com/NVIDIA/go-nvml",
		"github.com/klauspost/compress", "github.com/therootcompany/xz",
		"gpu-preflight/checks/report", "gpu-preflight/checks/plan", "gpu-preflight/checks/explain",
		"gpu-preflight/hook/register", "gpu-preflight/oci/image/remote", "gpu-preflight/checks/host/nvml",
		"net/http", "runtime/cgo", "testing",
	} {
		for _, dep := range deps {
			if dep == unwanted || strings.HasPrefix(dep, unwanted+"/") {
				t.Errorf("gpu-preflight-hook depends on %s", dep)
			}
		}
	}
}
