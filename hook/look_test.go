package hook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// TestMayProve: which launches pay for the look into the image at once.
func TestMayProve(t *testing.T) {
	compatRefuses := DefaultPolicy()
	compatRefuses.Checks = map[string]Setting{"cuda-forward-compat": SettingRefuse}
	noEvidence := DefaultPolicy()
	noEvidence.Evidence = EvidenceOff
	for _, tt := range []struct {
		about  string
		driver string
		args   string
		env    []string
		legacy bool
		policy Policy
		want   bool
	}{
		{"a driver without the newest CUDA", "570.86.15", "bash", nil, false, DefaultPolicy(), true},
		{"evidence is off", "570.86.15", "python3 x.py", nil, false, noEvidence, false},
		{"an older base image", "580.95.05", "python3 x.py", []string{"CUDA_VERSION=12.9.1"}, false, DefaultPolicy(), true},
		{"its program may be a script for Python", "580.95.05", "/sbin/docker-init -- vllm serve", []string{"CUDA_VERSION=12.9.1"}, false, DefaultPolicy(), true},
		{"NVIDIA's entry point and Python", "580.95.05", "/opt/nvidia/nvidia_entrypoint.sh python3 x.py", []string{"CUDA_VERSION=12.9.1"}, false, DefaultPolicy(), true},
		{"a shell, about which nothing is certain", "580.95.05", "/opt/nvidia/nvidia_entrypoint.sh bash", []string{"CUDA_VERSION=12.9.1"}, false, DefaultPolicy(), false},
		{"a shell script", "580.95.05", "tini -- /app/entrypoint.sh python3 x.py", []string{"CUDA_VERSION=12.9.1"}, false, DefaultPolicy(), false},
		{"a shell, and the operator refuses doubts", "580.95.05", "bash", []string{"CUDA_VERSION=12.9.1"}, false, compatRefuses, true},
		{"nothing is started", "580.95.05", "", []string{"CUDA_VERSION=12.9.1"}, false, DefaultPolicy(), false},
		{"a base image as new as the driver", "580.95.05", "python3 x.py", []string{"CUDA_VERSION=13.0.1"}, false, DefaultPolicy(), false},
		{"NVIDIA's legacy hook", "580.95.05", "python3 x.py", []string{"CUDA_VERSION=12.9.1"}, true, DefaultPolicy(), false},
		{"the environment names the folder", "580.95.05", "bash", []string{"LD_LIBRARY_PATH=/usr/local/cuda/compat"}, true, DefaultPolicy(), true},
	} {
		root := t.TempDir()
		version := filepath.Join(root, "proc/driver/nvidia/version")
		must(t, os.MkdirAll(filepath.Dir(version), 0o755))
		must(t, os.WriteFile(version, []byte("NVRM version: NVIDIA UNIX x86_64 Kernel Module  "+tt.driver+"  Wed Oct 1 00:00:00 UTC 2025\n"), 0o600))
		c := &oci.Container{Args: strings.Fields(tt.args), Env: tt.env}
		launch := checks.Launch{Container: c, Needs: image.FromContainer(c)}
		launch.GPUs.Forward.UpdatesCache = !tt.legacy
		if got := mayProve(root, launch, tt.policy); got != tt.want {
			t.Errorf("%s: %v", tt.about, got)
		}
	}
}
