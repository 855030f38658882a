package checks

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
	"gpu-preflight/testdata/fixture/installed"
)

// row is one launch and what the check says of it: a status, with "transient" or "again" where the launch waits,
// and words of the text, with | between them.
type row struct {
	name   string
	change change
	want   string
	says   string
}

// testCheck judges each row, and holds every text to the rules for texts.
func testCheck(t *testing.T, check Check, rows []row) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := healthy()
			if row.change != nil {
				row.change(&f)
			}
			r := Run(f, []Check{check})[0]
			if got := told(r); got != row.want {
				t.Fatalf("%s (%s), want %s", got, r.What, row.want)
			}
			text := r.What + " | " + r.Why + " | " + strings.Join(r.Fix, " | ")
			for word := range strings.SplitSeq(row.says, "|") {
				if !strings.Contains(text, word) {
					t.Errorf("%q does not say %q", text, word)
				}
			}
			checkTexts(t, r)
			if again := Run(f, []Check{check})[0]; !reflect.DeepEqual(r, again) {
				t.Errorf("judged twice with two results: %+v, %+v", r, again)
			}
			if !check.Doctor {
				checkFixesOnly(t, f, check, r)
			}
		})
	}
}

// checkFixesOnly holds a result to what a launch may learn of the driver's installation after it failed: other fixes,
// and nothing else.
func checkFixesOnly(t *testing.T, f Facts, check Check, before Result) {
	t.Helper()
	for _, ways := range installed.All() {
		f.Host.Installed = ways
		after := Run(f, []Check{check})[0]
		checkTexts(t, after)
		if after.Fix = before.Fix; !reflect.DeepEqual(before, after) {
			t.Errorf("%+v changes more than the fix: %+v, %+v", ways, before, after)
		}
	}
}

func told(r Result) string {
	switch {
	case r.Transient && r.LookAgain:
		return string(r.Status) + " transient and again"
	case r.Transient:
		return string(r.Status) + " transient"
	case r.LookAgain:
		return string(r.Status) + " again"
	}
	return string(r.Status)
}

// rewritten are the words for which Docker changes an exit code (moby, daemon/start.go).
var rewritten = []string{
	"permission denied", "no such file or directory", "is a directory", "not a directory", "executable file not found",
}

// checkTexts holds a result to the rules for every text of every check. A warning has a fix too: the policy may
// make it a refusal.
func checkTexts(t *testing.T, r Result) {
	t.Helper()
	for _, text := range append([]string{r.What, r.Why}, r.Fix...) {
		checkText(t, text)
	}
	if r.What == "" || slices.Contains(r.Fix, "") || slices.Contains(r.Source, "") {
		t.Errorf("empty text: %+v", r)
	}
	bad := r.Status == StatusFail || r.Status == StatusWarn
	if bad != (r.Why != "") || bad && len(r.Fix) == 0 {
		t.Errorf("%s with why %q and fix %q: %s", r.Status, r.Why, r.Fix, r.What)
	}
}

func checkText(t *testing.T, text string) {
	t.Helper()
	if strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text {
		t.Errorf("%q ends in a period or has space around it", text)
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
		t.Errorf("%q is not plain ASCII", text)
	}
	for _, word := range rewritten {
		if strings.Contains(strings.ToLower(text), word) {
			t.Errorf("%q has words for which Docker rewrites exit codes", text)
		}
	}
}

func TestAllIsWhole(t *testing.T) {
	want := []string{
		"nouveau-not-bound", "driver-loaded", "libcuda-injected",
		"driver-library-version", "nvml-responds",
		"kernel-module-flavor", "gpu-present", "gpu-reachable", "gpu-recovery-action", "gpu-compute-mode", "mig-mode",
		"gpu-drain", "gpu-row-remapping", "gpu-retired-pages", "gpu-ecc", "gpu-inforom", "gpu-slowdown",
		"nvidia-uvm-loaded", "conf-compute-ready", "gpu-injected",
		"container-devices", "cuda-forward-compat", "cuda-requirement", "cuda-driver-version", "gpu-compute-capability",
		"gpu-code-available",
		"fabric-manager-running", "fabric-manager-version", "nvlsm-running", "fabric-state", "imex",
	}
	doctors := []string{
		"gpu-on-pci", "module-for-running-kernel", "module-for-next-kernel", "module-origin", "module-on-disk", "dkms-tree",
		"secure-boot", "module-parameters", "companion-modules", "kernel-log", "library-copies", "host-cuda-toolkit", "nvidia-smi",
		"package-state", "package-metapackage", "package-branches", "package-origins", "package-holds",
		"fabric-manager-package", "fabric-manager-log", "nvlink5-modules", "container-toolkit", "cdi-files", "device-links",
		"persistence-mode", "driver-branch-supported",
	}
	want = append(want, doctors...)
	var ids []string
	for _, c := range All() {
		if !c.Doctor && slices.Contains(doctors, c.ID) {
			t.Errorf("a launch asks %s", c.ID)
		}
		for _, id := range c.After {
			if !slices.Contains(ids, id) {
				t.Errorf("%s comes after %s, which is no earlier check", c.ID, id)
			}
		}
		ids = append(ids, c.ID)
		if c.Title == "" || c.Why == "" || c.Layer == "" || len(c.CUDA) == 0 && !c.Doctor || len(c.Links) == 0 || c.Run == nil {
			t.Errorf("%s lacks a title, a why, a layer, CUDA errors, links or Run", c.ID)
		}
		checkText(t, c.Title)
		checkText(t, c.Why)
	}
	if !slices.Equal(ids, want) {
		t.Errorf("%q, want %q", ids, want)
	}
}

// TestACheckIsItsFile: the ID is the file name, so that a message leads to its code.
func TestACheckIsItsFile(t *testing.T) {
	for _, c := range All() {
		source, err := os.ReadFile(c.ID + ".go")
		if err != nil || !strings.Contains(string(source), `"`+c.ID+`"`) {
			t.Errorf("%s is not in a file of its name: %v", c.ID, err)
		}
		if _, err := os.Stat(c.ID + "_test.go"); err != nil {
			t.Error(err)
		}
	}
}

// ageless are all checks but the one that the drivers of the healthy hosts, real ones, are too old for.
func ageless() []Check {
	return slices.DeleteFunc(All(), func(c Check) bool { return c.ID == driverBranchSupported.ID })
}

func TestHealthyHostsPass(t *testing.T) {
	for name, c := range map[string]change{
		"H200": and(), "A100": hgxA100, "B200": hgxB200,
		"PCIe": and(gpus(2, t4), driver("535.183.06", "12.2")), "GeForce": gpus(1, rtx4090),
	} {
		f := healthy()
		c(&f)
		env("NVIDIA_REQUIRE_CUDA=cuda>=12.2")(&f)
		for _, r := range Run(f, ageless()) {
			if r.Status != StatusPass && r.Status != StatusSkip {
				t.Errorf("%s: %s: %s (%s)", name, r.ID, r.Status, r.What)
			}
		}
	}
}

// TestNothingKnown: facts that nobody read give unknown, whatever the launch asks for. The checks named here
// rest on the launch alone.
func TestNothingKnown(t *testing.T) {
	whole := healthy()
	env("CUDA_VERSION=13.0.0", "NVIDIA_REQUIRE_CUDA=cuda>=99", "NVIDIA_REQUIRE_ARCH=arch>=9.0")(&whole)
	whole.Launch.GPUs.Capabilities = []string{"compute"}
	bare := Launch{GPUs: oci.GPURequest{GPU: true, Injected: true}}
	hooked := whole.Launch
	hooked.GPUs.NVIDIAHook = true
	torched := whole.Launch
	torched.Needs.Evidence = []image.Evidence{torch130}
	noNodes := whole.Launch
	noNodes.Container = &oci.Container{}
	for name, tt := range map[string]struct {
		launch Launch
		rests  map[string]Status
	}{
		"bare": {bare, map[string]Status{
			"libcuda-injected": StatusSkip, "gpu-injected": StatusPass, "container-devices": StatusSkip, "cuda-requirement": StatusSkip,
			"cuda-driver-version": StatusSkip, "gpu-compute-capability": StatusSkip, "gpu-code-available": StatusSkip,
			"imex": StatusSkip,
		}},
		"all asked": {whole.Launch, map[string]Status{
			"gpu-injected": StatusPass, "libcuda-injected": StatusSkip, "imex": StatusSkip, "cuda-forward-compat": StatusSkip,
			"gpu-code-available": StatusSkip,
		}},
		"hook": {hooked, map[string]Status{
			"gpu-injected": StatusPass, "libcuda-injected": StatusSkip, "imex": StatusSkip, "container-devices": StatusSkip,
			"cuda-forward-compat": StatusSkip, "gpu-code-available": StatusSkip,
		}},
		"torch": {torched, map[string]Status{
			"gpu-injected": StatusPass, "libcuda-injected": StatusSkip, "imex": StatusSkip, "cuda-forward-compat": StatusSkip,
			"gpu-compute-capability": StatusSkip,
		}},
		"no nodes": {noNodes, map[string]Status{
			"gpu-injected": StatusPass, "libcuda-injected": StatusSkip, "imex": StatusSkip, "cuda-forward-compat": StatusSkip,
			"gpu-code-available": StatusSkip,
		}},
	} {
		for _, mode := range []Requirement{RequirementAuto, RequirementDeclared, RequirementMinorVersion} {
			for _, r := range Run(Facts{Launch: tt.launch, Requirement: mode}, All()) {
				want, ok := tt.rests[r.ID]
				if !ok {
					want = StatusUnknown
				}
				if r.Status != want {
					t.Errorf("%s, %s: %s: %s (%s), want %s", name, mode, r.ID, r.Status, r.What, want)
				}
				checkTexts(t, r)
			}
		}
	}
}

// TestEachFactMissing takes one fact of a healthy launch away at a time: no check may fail or warn for it.
func TestEachFactMissing(t *testing.T) {
	for name, system := range map[string]change{"H200": and(), "A100": hgxA100, "B200": hgxB200, "GeForce": gpus(1, rtx4090)} {
		count := 0
		for i := 0; ; i++ {
			f := healthy()
			system(&f)
			env("NVIDIA_REQUIRE_CUDA=cuda>=12.2,driver>=535,arch>=5.0")(&f)
			field, ok := forget(reflect.ValueOf(&f.Host).Elem(), new(i))
			if !ok {
				break
			}
			count++
			for _, r := range Run(f, ageless()) {
				if r.Status == StatusFail || r.Status == StatusWarn {
					t.Errorf("%s without %s: %s: %s (%s)", name, field, r.ID, r.Status, r.What)
				}
				checkTexts(t, r)
			}
		}
		if count < 30 {
			t.Errorf("%s: only %d facts were taken away", name, count)
		}
	}
}

// forget makes the n-th fact below v unknown and returns its name.
func forget(v reflect.Value, n *int) (string, bool) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			if name, ok := forget(v.Index(i), n); ok {
				return fmt.Sprintf("[%d].%s", i, name), true
			}
		}
	case reflect.Struct:
		if unknown := v.FieldByName("Unknown"); unknown.IsValid() {
			if *n--; *n < 0 {
				v.SetZero()
				unknown.SetString("time-out")
				return "", true
			}
			return "", false
		}
		for i := range v.NumField() {
			if name, ok := forget(v.Field(i), n); ok {
				return v.Type().Field(i).Name + "." + name, true
			}
		}
	default:
	}
	return "", false
}

func TestRunSkipsWhatFollows(t *testing.T) {
	f := healthy()
	f.Host.Driver.Version = known("")
	initCode(host.NVMLDriverNotLoaded)(&f)
	for i, r := range Run(f, All()) {
		check := All()[i]
		switch after := slices.Contains(check.After, "driver-loaded"); {
		case r.ID == "driver-loaded" && r.Status != StatusFail:
			t.Errorf("driver-loaded: %s", r.Status)
		case after && (r.Status != StatusSkip || !strings.Contains(r.What, "driver-loaded")):
			t.Errorf("%s: %s (%s), want a skip that names driver-loaded", r.ID, r.Status, r.What)
		case r.ID != "driver-loaded" && r.Status == StatusFail:
			t.Errorf("%s: one cause, one finding: %s", r.ID, r.What)
		}
	}
	observer(&f)
	for _, r := range Run(f, All()) {
		if r.Status == StatusFail {
			t.Errorf("%s fails for an observer", r.ID)
		}
	}
}

func TestAtLaunchLeavesOut(t *testing.T) {
	left := AtLaunch([]string{"gpu-present", "fabric-state", "no-such-check"})
	want := slices.DeleteFunc(All(), func(c Check) bool { return c.Doctor })
	if len(left) != len(want)-2 || slices.ContainsFunc(left, func(c Check) bool { return c.ID == "gpu-present" || c.ID == "fabric-state" }) {
		t.Errorf("%d checks left", len(left))
	}
	if slices.ContainsFunc(left, func(c Check) bool { return c.Doctor }) || left[0].ID != want[0].ID {
		t.Error("doctor's own checks must go, and the order must stay")
	}
}

func TestNotInjectedAsksOnlyThat(t *testing.T) {
	f := healthy()
	f.Launch.GPUs = oci.GPURequest{GPU: true, Devices: []string{"GPU-00000000-0000-4000-8000-000000000001"}}
	for _, r := range Run(f, All()) {
		want := StatusSkip
		if r.ID == "gpu-injected" {
			want = StatusWarn
		}
		if r.Status != want {
			t.Errorf("%s: %s, want %s", r.ID, r.Status, want)
		}
	}
}
