package hook

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
	"gpu-preflight/testdata/fixture"
)

// platform is testdata/platforms/<id>.json: a healthy host as testdata/hosts has it, and a launch on it.
type platform struct {
	reportedHost
	Config  json.RawMessage   `json:"config"`               // config.json of the launch
	Above   bool              `json:"above_nvidia_runtime"` // the shim stands above nvidia-container-runtime
	Verdict string            `json:"verdict"`
	Skips   map[string]string `json:"skips"`   // checks that do not apply on this platform, and words of why
	Unknown map[string]string `json:"unknown"` // facts that cannot be had there, and words of why
}

// always are the checks that a healthy launch of any platform may leave out: what it does not ask for, and what the
// kind of its GPU does not have.
var always = []string{
	"gpu-recovery-action", "gpu-row-remapping", "gpu-retired-pages", "gpu-ecc", "conf-compute-ready", "imex",
	"libcuda-injected", // the sources of mounts are looked for by the shim
	"cuda-requirement", "gpu-compute-capability", "gpu-code-available",
	"cuda-forward-compat", // the image is looked into where it may matter
}

func (p platform) judge(t *testing.T) Verdict {
	t.Helper()
	root := p.tree(t)
	launch := p.launch(t, root)
	if !launch.GPUs.GPU {
		return Verdict{Verdict: NotGPU}
	}
	return Judge(p.gather(t, root, false), launch, DefaultPolicy())
}

// launch is what the fixture starts, on the host below root.
func (p platform) launch(t *testing.T, root string) checks.Launch {
	t.Helper()
	bundle := t.TempDir()
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), p.Config, 0o600); err != nil {
		t.Fatal(err)
	}
	container, err := oci.LoadContainer(bundle)
	if err != nil {
		t.Fatal(err)
	}
	gpus := oci.FindGPUs(container, oci.Host{
		Majors:             func() (map[string]int, error) { return host.Majors(root) },
		AboveNVIDIARuntime: p.Above,
	})
	return checks.Launch{Container: container, GPUs: gpus, Needs: image.FromContainer(container)}
}

// TestPlatforms: a healthy launch starts on every platform, without a warning. What does not apply there is skipped
// for the reason that the fixture gives, and nothing else is; what cannot be known there is unknown.
func TestPlatforms(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixture.Root(), "testdata", "platforms", "*.json"))
	if err != nil || len(files) < 16 {
		t.Fatalf("%d fixtures: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var p platform
			if err := json.Unmarshal(data, &p); err != nil {
				t.Fatal(err)
			}
			v := p.judge(t)
			if v.Verdict != p.Verdict {
				t.Fatalf("%s, want %s\n%s", v.Verdict, p.Verdict, told(v))
			}
			skips, unknown := maps.Clone(p.Skips), maps.Clone(p.Unknown)
			for _, r := range v.Results {
				for status, want := range map[checks.Status]map[string]string{checks.StatusSkip: skips, checks.StatusUnknown: unknown} {
					words, named := want[r.ID]
					delete(want, r.ID)
					switch {
					case named && (r.Status != status || !strings.Contains(r.What, words)):
						t.Errorf("%s: %s (%s), want %s (%s)", r.ID, r.Status, r.What, status, words)
					case !named && r.Status == status && !slices.Contains(always, r.ID):
						t.Errorf("%s: %s (%s), which the fixture does not name", r.ID, r.Status, r.What)
					}
				}
			}
			if len(skips)+len(unknown) > 0 {
				t.Errorf("never asked: %v %v", skips, unknown)
			}
		})
	}
}
