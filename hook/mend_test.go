package hook

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
	"gpu-preflight/testdata/fixture"
	"gpu-preflight/testdata/fixture/installed"
)

// TestMendChangesFixesOnly: on every reported host, however its driver may have been installed, the second judgement
// of a launch differs from the first in its fixes alone.
func TestMendChangesFixesOnly(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixture.Root(), "testdata", "hosts", "[0-9]*.json"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d hosts: %v", len(files), err)
	}
	judged, other := 0, 0
	for _, file := range files {
		var h reportedHost
		readJSON(t, file, &h)
		if h.NVML == nil || h.Uptime == nil {
			continue // the report shows no fact to make a host of
		}
		facts := host.Gather(t.Context(), host.Options{Root: h.tree(t), NVMLTimeout: 10 * time.Second, RunDir: t.TempDir(), Helper: "/nonexistent"})
		facts.NVML = *h.NVML
		launch := checks.Launch{
			GPUs:  oci.GPURequest{GPU: true, Injected: true, All: true, Route: oci.RouteCDI},
			Needs: image.FromContainer(&oci.Container{Env: append(slices.Clone(h.Launch.Env), "CUDA_VERSION=99.0.0")}),
		}
		before := Judge(facts, launch, DefaultPolicy())
		judged++
		for _, ways := range installed.All() {
			facts.Installed = ways
			after := Judge(facts, launch, DefaultPolicy())
			if !reflect.DeepEqual(fixes(before), fixes(after)) {
				other++
			}
			if !reflect.DeepEqual(withoutFixes(before), withoutFixes(after)) {
				t.Fatalf("%s: %+v changes more than the fixes:\n%s\n%s", h.ID, ways, told(before), told(after))
			}
		}
	}
	if judged < 100 || other == 0 {
		t.Errorf("%d hosts judged, %d judgements with other fixes", judged, other)
	}
}

func fixes(v Verdict) (list [][]string) {
	for _, r := range v.Results {
		list = append(list, r.Fix)
	}
	return list
}

func withoutFixes(v Verdict) Verdict {
	v.Results = slices.Clone(v.Results)
	for i := range v.Results {
		v.Results[i].Fix = nil
	}
	return v
}

// TestWithFixes: whatever the second judgement says, nothing of it is taken but fixes of what was found before.
func TestWithFixes(t *testing.T) {
	first := Verdict{Verdict: Refuse, Results: []checks.Result{{ID: "a", Status: checks.StatusFail, What: "w", Fix: []string{"x"}}, {ID: "b", Status: checks.StatusPass}}}
	for name, tt := range map[string]struct {
		second []checks.Result
		want   []string
	}{
		"another fix":    {[]checks.Result{{ID: "a", Status: checks.StatusFail, What: "other", Transient: true, Fix: []string{"y"}}}, []string{"y"}},
		"another status": {[]checks.Result{{ID: "a", Status: checks.StatusPass, Fix: []string{"y"}}}, []string{"x"}},
		"another check":  {[]checks.Result{{ID: "b", Status: checks.StatusFail, Fix: []string{"y"}}}, []string{"x"}},
		"nothing":        {nil, []string{"x"}},
	} {
		got := first.withFixes(tt.second)
		want := first
		want.Results = slices.Clone(first.Results)
		want.Results[0].Fix = tt.want
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// mismatched is a host whose libraries went on under the module of NVIDIA's .run file, with a launch that mounts them.
func mismatched(t *testing.T, status func(path string) error) (host.Options, checks.Launch) {
	t.Helper()
	files, links := fixture.HealthyHost(1)
	files["/lib/modules/5.15.0-113-generic/kernel/drivers/video/nvidia.ko"] = ""
	files["/var/lib/dpkg/"] = ""
	root := fixture.Tree(t, files, links)
	must(t, status(filepath.Join(root, "/var/lib/dpkg/status")))
	launch := checks.Launch{GPUs: oci.GPURequest{
		GPU: true, Injected: true, All: true, Route: oci.RouteCDI, Libcuda: "/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15",
	}}
	return host.Options{Root: root, RunDir: t.TempDir(), Helper: "/nonexistent", NVMLTimeout: 10 * time.Second}, launch
}

func noPackages(path string) error { return os.WriteFile(path, []byte("Package: bash\n\n"), 0o644) }

const fromRunfile = "kernel/drivers/video/nvidia.ko is from NVIDIA's .run file"

// TestMend: a launch that fails is told of this host's installation, whether or not the policy lets it start; one that
// starts reads nothing.
func TestMend(t *testing.T) {
	o, launch := mismatched(t, noPackages)
	facts := host.Gather(t.Context(), o)
	for _, tt := range []struct {
		mode Mode
		id   string
		want bool
	}{{ModeEnforce, "", true}, {ModeWarn, "", true}, {ModeEnforce, "driver-library-version", false}} {
		p := DefaultPolicy()
		p.Mode = tt.mode
		if tt.id != "" {
			p.Checks = map[string]Setting{tt.id: SettingWarn}
		}
		before := Judge(facts, launch, p)
		after := Mend(t.Context(), o, facts, before, launch, p)
		if got := strings.Contains(strings.Join(slices.Concat(fixes(after)...), "; "), fromRunfile); got != tt.want {
			t.Errorf("mode %s, %s warned: the installation is told: %v\n%q", tt.mode, tt.id, got, fixes(after))
		}
		if !reflect.DeepEqual(withoutFixes(before), withoutFixes(after)) {
			t.Errorf("mode %s changes more than the fixes:\n%s\n%s", tt.mode, told(before), told(after))
		}
	}
}

// TestMendInTime: a database that never ends costs the deadline, and what was told before it is kept.
func TestMendInTime(t *testing.T) {
	o, launch := mismatched(t, func(path string) error {
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return err
		}
		return os.Truncate(path, 1<<40)
	})
	facts := host.Gather(t.Context(), o)
	before := Judge(facts, launch, DefaultPolicy())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	after := Mend(ctx, o, facts, before, launch, DefaultPolicy())
	if !reflect.DeepEqual(withoutFixes(before), withoutFixes(after)) {
		t.Errorf("more than the fixes changed:\n%s\n%s", told(before), told(after))
	}
	if ctx.Err() == nil || !strings.Contains(strings.Join(slices.Concat(fixes(after)...), "; "), fromRunfile) {
		t.Errorf("deadline %v, fixes %q", ctx.Err(), fixes(after))
	}
}

// TestRunMends: the refusal that the engine prints, and the record, have the fix for this host's installation.
func TestRunMends(t *testing.T) {
	const config = `{"root":{"path":"rootfs"},"mounts":[{"destination":"LIB","source":"LIB","type":"bind"}],"annotations":{ANNOTATIONS},
		"linux":{"devices":[{"path":"/dev/nvidia0","type":"c","major":195,"minor":0},{"path":"/dev/nvidiactl","type":"c","major":195,"minor":255},
		{"path":"/dev/nvidia-uvm","type":"c","major":235,"minor":0}]}}`
	p := newPlace(t, "", strings.ReplaceAll(config, "LIB", "/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15"), "")
	module := filepath.Join(p.Root, "/lib/modules/5.15.0-113-generic/kernel/drivers/video/nvidia.ko")
	must(t, os.MkdirAll(filepath.Dir(module), 0o755))
	must(t, os.WriteFile(module, nil, 0o644))
	p.FixTimeout = 10 * time.Second
	code, stderr := p.run(t)
	if code != 1 || !strings.Contains(stderr, "[driver-library-version") || !strings.Contains(stderr, fromRunfile) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	records := p.records(t)
	if len(records) != 1 || records[0].Message != stderr {
		t.Errorf("recorded: %+v", records)
	}
}
