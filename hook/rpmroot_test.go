package hook

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks/host"
	"gpu-preflight/testdata/fixture"
)

// TestRealRPM: packages of the real names are built by rpmbuild and installed below a root by rpm itself; doctor finds
// that libraries of another branch lie beside the driver.
func TestRealRPM(t *testing.T) {
	files, links := fixture.HealthyHost(1)
	files["/etc/os-release"] = "ID=rocky\nID_LIKE=\"rhel centos fedora\"\nPRETTY_NAME=\"Rocky Linux 9\"\n"
	root := fixture.Tree(t, files, links)
	for _, p := range []struct{ name, version string }{
		{"nvidia-driver", "535.183.06"},
		{"nvidia-driver-cuda", "535.183.06"},
		{"kmod-nvidia-latest-dkms", "535.183.06"},
		{"nvidia-driver-cuda-libs", "570.124.06"},
		{"bash", "5.1"},
	} {
		rpm(t, "--root", root, "--dbpath", "/var/lib/rpm", "-i", "--nodeps", "--ignorearch", "--nosignature", buildRPM(t, p.name, p.version))
	}
	o := host.Options{Root: root, AskAll: true, Stack: true, NVMLTimeout: 20 * time.Second, RunDir: t.TempDir(), Helper: "/nonexistent"}
	facts := host.Gather(t.Context(), o)
	packages := facts.Stack.Packages
	if !packages.Known() || len(packages.Value) != 4 || packages.Value[1].Name != "nvidia-driver" || packages.Value[1].Version != "3:535.183.06-1.el9" {
		t.Fatalf("packages %+v (%s)", packages.Value, packages.Why())
	}
	v := JudgeHost(facts, DefaultPolicy())
	compareWithScene(t, v, "package-branches", "warn 535 (|570 (nvidia-driver-cuda-libs)|dnf remove nvidia-driver-cuda-libs")
	compareWithScene(t, v, "package-metapackage", "skip pin each other")
	compareWithScene(t, v, "package-state", "pass whole")
}

// buildRPM makes an empty package and returns its file.
func buildRPM(t *testing.T, name, version string) string {
	t.Helper()
	dir := t.TempDir()
	spec := filepath.Join(dir, name+".spec")
	text := "Name: " + name + "\nEpoch: 3\nVersion: " + version + "\nRelease: 1.el9\nSummary: x\nLicense: x\nBuildArch: noarch\n%description\nx\n%files\n"
	if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "rpmbuild", "--quiet", "-bb", "--define", "_topdir "+dir, "--define", "_rpmdir "+dir, spec).CombinedOutput()
	if err != nil {
		t.Fatalf("rpmbuild %s: %v\n%s", name, err, out)
	}
	return filepath.Join(dir, "noarch", strings.Join([]string{name, version, "1.el9.noarch.rpm"}, "-"))
}

func rpm(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "rpm", args...).CombinedOutput(); err != nil {
		t.Fatalf("rpm %q: %v\n%s", args, err, out)
	}
}
