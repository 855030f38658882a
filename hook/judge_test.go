package hook

import (
	"context"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// geforce is a healthy host with one RTX 4090, driver 535.183.06 and CUDA 12.2.
func geforce(t *testing.T) host.Facts {
	t.Helper()
	facts, err := host.Assume("driver=535.183.06,arch=8.9,brand=GeForce,gpus=1")
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// launchOf is a CDI launch for all GPUs with an environment.
func launchOf(env ...string) checks.Launch {
	return checks.Launch{
		GPUs:  oci.GPURequest{GPU: true, Injected: true, All: true, Route: oci.RouteCDI},
		Needs: image.Requirements{Declared: image.FromEnv(env)},
	}
}

func mustParse(t *testing.T, text string) Policy {
	t.Helper()
	p, err := parsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func statusOf(v Verdict, id string) checks.Status {
	for _, r := range v.Results {
		if r.ID == id {
			return r.Status
		}
	}
	return ""
}

// TestPolicyOrder: requirement makes the status, then NVIDIA_DISABLE_REQUIRE, then [checks], then unknown, then
// the mode.
func TestPolicyOrder(t *testing.T) {
	const needs13 = "NVIDIA_REQUIRE_CUDA=cuda>=13.0" // cannot: a GeForce on driver 535
	const limited = "NVIDIA_REQUIRE_CUDA=cuda>=12.9" // runs with limits
	healthy := func(*host.Facts) {}
	noDriver := func(f *host.Facts) {
		f.NVML = host.NVML{Init: fact.Of(host.NVMLDriverNotLoaded, "test")}
		f.Driver.Version, f.Uptime = fact.Of("", "test"), fact.Of(86400.0, "test")
	}
	justBooted := func(f *host.Facts) { noDriver(f); f.Uptime = fact.Of(60.0, "test") }
	noCUDA := func(f *host.Facts) { f.NVML.CUDA = fact.Missing[string]("test", "time-out") }
	plain := func(*checks.Launch) {}
	observer := func(l *checks.Launch) { l.GPUs.Observer = "the program is nvidia-smi" }
	toolkitOff := func(l *checks.Launch) { l.GPUs.DisableRequire = true }
	notInjected := func(l *checks.Launch) { l.GPUs.Injected, l.GPUs.Devices = false, []string{"GPU-1"} }

	for _, tt := range []struct {
		name   string
		policy string
		facts  func(*host.Facts)
		launch func(*checks.Launch)
		env    []string
		want   string // verdict, "would" where mode warn hid a refusal
		status checks.Status
	}{
		{"healthy", "", healthy, plain, nil, "allow", "skip"},
		{"cannot run", "", healthy, plain, []string{needs13}, "refuse", "fail"},
		{"runs with limits", "", healthy, plain, []string{limited}, "warn", "warn"},
		// 1. requirement
		{"declared refuses what is unmet", `requirement = "declared"`, healthy, plain, []string{limited}, "refuse", "fail"},
		{"minor-version does not", `requirement = "minor-version"`, healthy, plain, []string{limited}, "warn", "warn"},
		// 2. NVIDIA_DISABLE_REQUIRE and disable-require
		{"the container disables it", "", healthy, plain, []string{needs13, "NVIDIA_DISABLE_REQUIRE=1"}, "warn", "warn"},
		{"the toolkit disables it", "", healthy, toolkitOff, []string{needs13}, "warn", "warn"},
		{"a misspelling disables nothing", "", healthy, plain, []string{needs13, "NVIDIA_DISABLE_REQUIRES=1"}, "refuse", "fail"},
		{"it never disables the host's checks", "", noDriver, plain, []string{"NVIDIA_DISABLE_REQUIRE=1"}, "refuse", "skip"},
		// 3. [checks]
		{"off is not run", "[checks]\ncuda-requirement = \"off\"", healthy, plain, []string{needs13}, "allow", ""},
		{"warn", "[checks]\ncuda-requirement = \"warn\"", healthy, plain, []string{needs13}, "warn", "warn"},
		{"refuse", "[checks]\ncuda-requirement = \"refuse\"", healthy, plain, []string{limited}, "refuse", "fail"},
		{"refuse comes after the container's word", "[checks]\ncuda-requirement = \"refuse\"", healthy, plain, []string{needs13, "NVIDIA_DISABLE_REQUIRE=1"}, "refuse", "fail"},
		{"refuse makes nothing of a pass", "[checks]\ncuda-requirement = \"refuse\"", healthy, plain, []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.2"}, "allow", "pass"},
		{"refuse makes nothing of a skip", "unknown = \"refuse\"\n[checks]\ncuda-requirement = \"refuse\"\ncuda-driver-version = \"refuse\"", healthy, plain, nil, "allow", "skip"},
		{"what follows from a failure that only warns is still left out", "[checks]\ndriver-loaded = \"warn\"", noDriver, plain, []string{needs13}, "warn", "skip"},
		{"what follows from a check that is off is judged", "[checks]\ndriver-loaded = \"off\"", noDriver, plain, []string{needs13}, "warn", "unknown"},
		{"refuse and nobody put the GPU in", "[checks]\ngpu-injected = \"refuse\"", healthy, notInjected, nil, "refuse", "skip"},
		// 4. unknown
		{"unknown starts", "", noCUDA, plain, []string{needs13}, "allow", "unknown"},
		{"unknown refuses only for checks set to refuse", `unknown = "refuse"`, noCUDA, plain, []string{needs13}, "allow", "unknown"},
		{"unknown of another check set to refuse", "unknown = \"refuse\"\n[checks]\ncuda-requirement = \"refuse\"", noCUDA, plain, []string{needs13}, "refuse", "unknown"},
		{"refuse alone does not count unknowns", "[checks]\ncuda-requirement = \"refuse\"", noCUDA, plain, []string{needs13}, "allow", "unknown"},
		// 5. the mode
		{"mode warn", `mode = "warn"`, healthy, plain, []string{needs13}, "warn would", "fail"},
		{"mode warn without a refusal", `mode = "warn"`, healthy, plain, []string{limited}, "warn", "warn"},
		{"mode warn, unknown refuses", "mode = \"warn\"\nunknown = \"refuse\"\n[checks]\ncuda-requirement = \"refuse\"", noCUDA, plain, []string{needs13}, "warn would", "unknown"},
		{"mode warn on a healthy host", `mode = "warn"`, healthy, plain, nil, "allow", "skip"},
		{"mode off", `mode = "off"`, healthy, plain, []string{needs13}, "allow", "fail"},
		// Transient faults and observers.
		{"no driver", "", noDriver, plain, nil, "refuse", "skip"},
		{"a transient fault never refuses", "", justBooted, plain, nil, "warn", "skip"},
		{"nor where the check is set to refuse", "[checks]\ndriver-loaded = \"refuse\"", justBooted, plain, nil, "warn", "skip"},
		{"nor does mode warn say that it would", `mode = "warn"`, justBooted, plain, nil, "warn", "skip"},
		{"an observer starts", "", noDriver, observer, nil, "warn", "skip"},
		{"refuse is not for observers", "[checks]\ndriver-loaded = \"refuse\"", noDriver, observer, nil, "warn", "skip"},
		{"nor is unknown", "unknown = \"refuse\"\n[checks]\ncuda-requirement = \"refuse\"", noCUDA, observer, []string{needs13}, "allow", "unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			facts, launch := geforce(t), launchOf(tt.env...)
			tt.facts(&facts)
			tt.launch(&launch)
			v := Judge(facts, launch, mustParse(t, tt.policy))
			got := v.Verdict
			if v.WouldRefuse {
				got += " would"
			}
			if got != tt.want || statusOf(v, "cuda-requirement") != tt.status {
				t.Errorf("%s, cuda-requirement %q, want %s, %q: %+v", got, statusOf(v, "cuda-requirement"), tt.want, tt.status, v.Results)
			}
		})
	}
}

func TestTheMisspellingIsTold(t *testing.T) {
	launch := launchOf("NVIDIA_REQUIRE_CUDA=cuda>=13.0", "NVIDIA_DISABLE_REQUIRES=true")
	v := Judge(geforce(t), launch, DefaultPolicy())
	if text := told(v); !strings.Contains(text, "NVIDIA_DISABLE_REQUIRES=true does nothing") {
		t.Errorf("%s", text)
	}
}

// TestNothingKnownStarts: a host of which nothing is known refuses nothing by default.
func TestNothingKnownStarts(t *testing.T) {
	for _, env := range [][]string{nil, {"NVIDIA_REQUIRE_CUDA=cuda>=99", "CUDA_VERSION=99.0"}} {
		if v := Judge(host.Facts{}, launchOf(env...), DefaultPolicy()); v.Verdict != Allow {
			t.Errorf("%s: %s", v.Verdict, told(v))
		}
	}
}

// registering is an HGX H100 whose GPUs are at some state of their fabric registration.
func registering(t *testing.T, state int, uptime float64) host.Facts {
	t.Helper()
	facts, err := host.Assume("driver=570.86.15,arch=9.0,brand=NVIDIA,gpus=8")
	if err != nil {
		t.Fatal(err)
	}
	for i := range facts.NVML.GPUs {
		facts.NVML.GPUs[i].Fabric = fact.Of(host.FabricState{State: state}, "test")
	}
	facts.Uptime = fact.Of(uptime, "test")
	facts.Fabric.Switches = fact.Of(4, "test")
	facts.Fabric.Manager = fact.Of([]host.Process{{PID: 7, Name: "nv-fabricmanage", Age: uptime - 30}}, "test")
	return facts
}

func TestSettle(t *testing.T) {
	const day = 86400
	coming := func() host.Facts { return registering(t, host.FabricInProgress, 60) }
	stuck := func() host.Facts { return registering(t, host.FabricInProgress, day) }
	done := func() host.Facts { return registering(t, host.FabricCompleted, day) }
	at := func(after time.Duration, facts host.Facts) host.Timed { return host.Timed{After: after, Facts: facts} }
	never := func() host.Facts {
		f := done()
		f.NVML.Count = fact.Of(0, "test")
		return f
	}
	for _, tt := range []struct {
		name    string
		policy  string
		entries []host.Timed
		want    string
		waited  time.Duration
	}{
		{"healthy: nobody waits", "", []host.Timed{at(0, done())}, Allow, 0},
		{"coming up, done after 3 s", "", []host.Timed{at(0, coming()), at(3*time.Second, done())}, Allow, 3 * time.Second},
		{"done between two looks", "", []host.Timed{at(0, coming()), at(2500*time.Millisecond, done())}, Allow, 3 * time.Second},
		{"coming up for longer than settle: starts", "", []host.Timed{at(0, coming())}, Warn, 20 * time.Second},
		{"stuck: looked at again, then refused", "", []host.Timed{at(0, stuck())}, Refuse, 20 * time.Second},
		{"looked stuck, and came", "", []host.Timed{at(0, stuck()), at(7*time.Second, done())}, Allow, 7 * time.Second},
		{"came a moment too late", "", []host.Timed{at(0, stuck()), at(21*time.Second, done())}, Refuse, 20 * time.Second},
		{"comes with the last look", "", []host.Timed{at(0, stuck()), at(20*time.Second, done())}, Allow, 20 * time.Second},
		{"became final while it was waited for", "", []host.Timed{at(0, coming()), at(2*time.Second, never())}, Refuse, 2 * time.Second},
		{"final: nobody waits", "", []host.Timed{at(0, never())}, Refuse, 0},
		{"a shorter settle", `settle = "1500ms"`, []host.Timed{at(0, stuck())}, Refuse, 1500 * time.Millisecond},
		{"no settle", `settle = "0s"`, []host.Timed{at(0, stuck())}, Refuse, 0},
		{"no settle, transient", `settle = "0s"`, []host.Timed{at(0, coming())}, Warn, 0},
		{"the check only warns: nobody waits", "[checks]\nfabric-state = \"warn\"", []host.Timed{at(0, stuck())}, Warn, 0},
		{"off", `mode = "off"`, []host.Timed{at(0, stuck())}, Allow, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			world := &Timeline{Entries: tt.entries}
			_, v, waited := Settle(context.Background(), world, launchOf(), mustParse(t, tt.policy))
			if v.Verdict != tt.want || waited != tt.waited {
				t.Errorf("%s after %s, want %s after %s: %s", v.Verdict, waited, tt.want, tt.waited, told(v))
			}
		})
	}
}

func TestSettleEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	world := &Timeline{Entries: []host.Timed{{Facts: registering(t, host.FabricInProgress, 60)}}}
	if _, v, waited := Settle(ctx, world, launchOf(), DefaultPolicy()); waited != 0 || v.Verdict != Warn {
		t.Errorf("%s after %s", v.Verdict, waited)
	}
}
