package hook

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gpu-preflight/hook/record"
	"gpu-preflight/oci"
	"gpu-preflight/testdata/fixture"
)

// Configurations of a container: the GPU's node without /dev/nvidiactl, which CUDA cannot do without; the same with
// it; and one without a GPU.
const (
	brokenGPU = `{"process":{"env":["NVIDIA_DRIVER_CAPABILITIES=compute,utility","CUDA_VERSION=12.2.0"]},"root":{"path":"rootfs"},
		"annotations":{ANNOTATIONS},"linux":{"devices":[{"path":"/dev/nvidia0","type":"c","major":195,"minor":0}]}}`
	soundGPU = `{"root":{"path":"rootfs"},"annotations":{ANNOTATIONS},"linux":{"devices":[{"path":"/dev/nvidia0","type":"c","major":195,"minor":0},
		{"path":"/dev/nvidiactl","type":"c","major":195,"minor":255},{"path":"/dev/nvidia-uvm","type":"c","major":235,"minor":0}]}}`
	withoutGPU = `{"root":{"path":"rootfs"},"annotations":{ANNOTATIONS}}`
)

// place is a host of the tests, with a policy, a log and a bundle.
type place struct {
	Options
	bundle, log string
}

// newPlace makes a healthy host with one A100 whose NVML cannot be asked.
func newPlace(t *testing.T, policy, config, annotations string) place {
	t.Helper()
	files, links := fixture.HealthyHost(1)
	dir := t.TempDir()
	p := place{bundle: filepath.Join(dir, "bundle"), log: filepath.Join(dir, "launches.jsonl")}
	must(t, os.Mkdir(p.bundle, 0o755))
	must(t, os.WriteFile(filepath.Join(p.bundle, "config.json"), []byte(strings.Replace(config, "ANNOTATIONS", annotations, 1)), 0o644))
	p.Options = Options{
		Config: filepath.Join(dir, "config.toml"), Root: fixture.Tree(t, files, links), RunDir: filepath.Join(dir, "run"),
		Switch: Switch{Etc: filepath.Join(dir, "etc"), Run: filepath.Join(dir, "off")},
	}
	must(t, os.WriteFile(p.Config, []byte(policy+"\n[log]\nfile = \""+p.log+"\"\njournald = false\n"), 0o644))
	return p
}

// run is one launch; it wants nothing on stderr unless it is refused.
func (p place) run(t *testing.T) (code int, stderr string) {
	t.Helper()
	return p.runWith(t, strings.NewReader(`{"ociVersion":"1.0.2","id":"c1","status":"creating","pid":1,"bundle":"`+p.bundle+`"}`))
}

func (p place) runWith(t *testing.T, stdin io.Reader) (code int, stderr string) {
	t.Helper()
	var said strings.Builder
	code = Run(t.Context(), p.Options, stdin, &said)
	if (code == 1) != (said.Len() > 0) || code < 0 || code > 1 {
		t.Errorf("exit code %d with %q", code, said.String())
	}
	return code, said.String()
}

// records reads the log.
func (p place) records(t *testing.T) []record.Record {
	t.Helper()
	data, err := os.ReadFile(p.log)
	if err != nil {
		return nil
	}
	var list []record.Record
	for line := range strings.Lines(string(data)) {
		var r record.Record
		must(t, json.Unmarshal([]byte(line), &r))
		list = append(list, r)
	}
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRun: what the policy, the container and the operator make of one and the same fault.
func TestRun(t *testing.T) {
	const cri = `"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-id":"s","io.kubernetes.cri.sandbox-namespace":"kube-system"`
	for _, tt := range []struct {
		about, policy, config, annotations string
		code                               int
		verdict                            string // empty: no record
		would                              bool
	}{
		{"a fault", "", brokenGPU, "", 1, Refuse, false},
		{"a sound launch", "", soundGPU, "", 0, Allow, false},
		{"no GPU", "", withoutGPU, "", 0, "", false},
		{"mode warn", `mode = "warn"`, brokenGPU, "", 0, Warn, true},
		{"mode off", `mode = "off"`, brokenGPU, "", 0, "", false},
		{"the check warns", "[checks]\ncontainer-devices = \"warn\"", brokenGPU, "", 0, Warn, false},
		{"the check is off", "[checks]\ncontainer-devices = \"off\"", brokenGPU, "", 0, Allow, false},
		{"lowered to warn", "overrides = true", brokenGPU, `"gpu-preflight.mode":"warn"`, 0, Warn, true},
		{"lowered to off", "overrides = true", brokenGPU, `"gpu-preflight.mode":"off"`, 0, "", false},
		{"lowering is not allowed", "", brokenGPU, `"gpu-preflight.mode":"off"`, 1, Refuse, false},
		{"raising is never allowed", "overrides = true\nmode = \"warn\"", brokenGPU, `"gpu-preflight.mode":"enforce"`, 0, Warn, true},
		{"an unknown word lowers nothing", "overrides = true", brokenGPU, `"gpu-preflight.mode":"OFF"`, 1, Refuse, false},
		{"a namespace that anybody may claim", "", brokenGPU, cri, 1, Refuse, false},
	} {
		t.Run(tt.about, func(t *testing.T) {
			p := newPlace(t, tt.policy, tt.config, tt.annotations)
			code, stderr := p.run(t)
			if code != tt.code {
				t.Errorf("exit code %d, want %d: %s", code, tt.code, stderr)
			}
			records := p.records(t)
			switch {
			case tt.verdict == "" && len(records) != 0:
				t.Errorf("recorded: %+v", records)
			case tt.verdict == "":
			case len(records) != 1:
				t.Errorf("%d records", len(records))
			case records[0].Verdict != tt.verdict || records[0].WouldRefuse != tt.would:
				t.Errorf("recorded as %s, would refuse %t; want %s, %t", records[0].Verdict, records[0].WouldRefuse, tt.verdict, tt.would)
			}
		})
	}
}

// TestRecordOfARefusal: the record has the container, what was asked for, the message to the byte, and the results
// that are neither pass nor skip.
func TestRecordOfARefusal(t *testing.T) {
	p := newPlace(t, "", brokenGPU, "")
	p.Ignored = []string{"prestart"}
	_, stderr := p.run(t)
	records := p.records(t)
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	r := records[0]
	if r.Schema != record.Schema || r.Message != stderr || r.Mode != "enforce" || r.Program != "hook" || r.Problem != "" {
		t.Errorf("%+v", r)
	}
	if r.Container.ID != "c1" || r.Container.Bundle != p.bundle || r.Driver != "535.183.06" || len(r.Ignored) != 1 {
		t.Errorf("%+v", r)
	}
	if r.Requirement != "CUDA_VERSION=12.2.0" || len(r.GPUs) == 0 || r.Duration <= 0 || time.Since(r.Time) > time.Minute {
		t.Errorf("%+v", r)
	}
	for _, result := range r.Results {
		if result.Status == "pass" || result.Status == "skip" {
			t.Errorf("%s is recorded as %s", result.ID, result.Status)
		}
	}
	if !strings.Contains(stderr, "/dev/nvidiactl") || !strings.HasSuffix(stderr, "[container-devices; gpu-preflight logs]") {
		t.Errorf("message %q", stderr)
	}
}

// TestOffSwitch: neither file is opened, an expired one counts as absent, and no record is kept.
func TestOffSwitch(t *testing.T) {
	p := newPlace(t, "", brokenGPU, "")
	must(t, unix.Mkfifo(p.Switch.Run, 0o600)) // opening it would never end
	later, earlier := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	must(t, os.Chtimes(p.Switch.Run, later, later))
	if code, _ := p.run(t); code != 0 || len(p.records(t)) != 0 {
		t.Errorf("exit code %d while it is off", code)
	}
	must(t, os.Chtimes(p.Switch.Run, earlier, earlier))
	if code, _ := p.run(t); code != 1 {
		t.Errorf("exit code %d after its time", code)
	}
	must(t, os.WriteFile(p.Switch.Etc, nil, 0o600))
	if code, _ := p.run(t); code != 0 {
		t.Errorf("exit code %d while it is off without end", code)
	}
}

// panics is an input whose reading panics.
type panics struct{}

func (panics) Read([]byte) (int, error) { panic("the test panics") }

// TestFailOpen: whatever is wrong with us or our input starts the container, and is recorded.
func TestFailOpen(t *testing.T) {
	read, write, err := os.Pipe()
	must(t, err)
	defer read.Close()
	defer write.Close()
	for about, tt := range map[string]struct {
		stdin  io.Reader
		config string
		says   string
	}{
		"no state":                {strings.NewReader(""), soundGPU, "it is empty"},
		"a state that never ends": {Stdin(read, time.Now().Add(-time.Hour)), soundGPU, "no input within 5s"},
		"a closed stdin":          {Stdin(closed(t), time.Now()), soundGPU, "state on stdin"},
		"a panic":                 {panics{}, soundGPU, "the test panics"},
		"no configuration":        {nil, "", "unexpected end of JSON input"},
		"deep":                    {nil, strings.Repeat(`{"a":`, 100_000), "max depth"},
		"a wrong type":            {nil, `{"process":{"env":1}}`, "cannot unmarshal"},
		"too many values":         {nil, `{"mounts":[` + strings.Repeat("{},", 1<<18+1) + `{}]}`, "more than 262144 values: not judged"},
		"too long":                {nil, `{"a":"` + strings.Repeat("x", 16<<20) + `"}`, "more than 16777216 bytes: not judged"},
	} {
		t.Run(about, func(t *testing.T) {
			p := newPlace(t, "", tt.config, "")
			code, said := 0, ""
			if tt.stdin == nil {
				code, said = p.run(t)
			} else {
				code, said = p.runWith(t, tt.stdin)
			}
			records := p.records(t)
			if code != 0 || len(records) != 1 {
				t.Fatalf("exit code %d, %d records, %q", code, len(records), said)
			}
			if r := records[0]; r.Verdict != Allow || !strings.Contains(r.Problem, tt.says) {
				t.Errorf("%s: %q, want %q", r.Verdict, r.Problem, tt.says)
			}
		})
	}
}

func closed(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Open(os.DevNull)
	must(t, err)
	must(t, file.Close())
	return file
}

// TestPolicyRoot: [host] root of the policy is read where no --root was given.
func TestPolicyRoot(t *testing.T) {
	p := newPlace(t, "", brokenGPU, "")
	text, err := os.ReadFile(p.Config)
	must(t, err)
	must(t, os.WriteFile(p.Config, append(text, []byte("[host]\nroot = \""+p.Root+"\"\n")...), 0o600))
	p.Root = ""
	if code, _ := p.run(t); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if records := p.records(t); len(records) != 1 || records[0].Driver != "535.183.06" {
		t.Errorf("%+v", records)
	}
}

// TestLogThatCannotBeWritten changes no verdict and is not waited for.
func TestLogThatCannotBeWritten(t *testing.T) {
	for _, put := range []func(string) error{
		func(path string) error { return os.Mkdir(path, 0o700) },
		func(path string) error { return unix.Mkfifo(path, 0o600) },
		func(path string) error { return os.Symlink("/dev/full", path) },
		func(path string) error { return os.Symlink(path, path) },
	} {
		p := newPlace(t, "", brokenGPU, "")
		must(t, put(p.log))
		if code, _ := p.run(t); code != 1 {
			t.Errorf("exit code %d", code)
		}
	}
}

// TestClaim: one path of a launch waits, until its time is over or it has ended; where nothing can be noted all wait.
func TestClaim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run") // made when it is needed
	first := newClaim(dir, "c1")
	if !first.take(time.Minute) {
		t.Error("the first does not wait")
	}
	if newClaim(dir, "c1").take(time.Minute) {
		t.Error("the second waits too")
	}
	if !newClaim(dir, "c2").take(time.Minute) {
		t.Error("another container does not wait")
	}
	old := time.Now().Add(-2 * time.Minute)
	must(t, os.Chtimes(first.path, old, old))
	if !newClaim(dir, "c1").take(time.Minute) {
		t.Error("an old claim holds")
	}
	first.release()
	if !newClaim(dir, "c1").take(time.Minute) {
		t.Error("a claim that was released holds")
	}
	for _, c := range []aClaim{newClaim("/proc/nowhere", "c1"), newClaim(dir, "")} {
		for range 2 {
			if !c.take(time.Minute) {
				t.Errorf("%+v: where nothing can be noted it does not wait", c)
			}
		}
	}
}

// TestSecondPathRefusesNothingUnlooked: the path that may not wait must not refuse what only a second look confirms,
// nor let pass what is certain.
func TestSecondPathRefusesNothingUnlooked(t *testing.T) {
	facts := registering(t, 2, 86400) // the fabric is still coming up, long after boot
	launch, p := launchOf(), DefaultPolicy()
	first := Judge(facts, launch, p)
	if first.Verdict != Refuse || !mayMend(first.Results) {
		t.Fatalf("the example is no failure to be looked at again: %s", told(first))
	}
	o := Options{RunDir: t.TempDir()}
	launch.Container = &oci.Container{ID: "c1"}
	newClaim(o.RunDir, "c1").take(time.Minute)
	world := &Timeline{}
	if _, v, waited := o.wait(t.Context(), world, facts, first, launch, p); v.Verdict != Warn || waited != 0 || world.Elapsed() != 0 {
		t.Errorf("%s after %s: %s", v.Verdict, waited, told(v))
	}
	if v := p.withoutSecondLook(Judge(geforce(t), launchOf("NVIDIA_REQUIRE_CUDA=cuda>=13.0"), p)); v.Verdict != Refuse {
		t.Errorf("what is certain: %s", v.Verdict)
	}
}

// TestStderr gives all of a message to descriptor 2, and says when it cannot.
func TestStderr(t *testing.T) {
	read, write, err := os.Pipe()
	must(t, err)
	kept, err := unix.Dup(unix.Stderr)
	must(t, err)
	must(t, unix.Dup2(int(write.Fd()), unix.Stderr))
	n, failed := Stderr{}.Write([]byte("message"))
	must(t, read.Close())
	_, broken := Stderr{}.Write([]byte("nobody reads"))
	must(t, unix.Dup2(kept, unix.Stderr))
	if n != 7 || failed != nil || !errors.Is(broken, unix.EPIPE) {
		t.Errorf("%d bytes, %v; broken pipe: %v", n, failed, broken)
	}
}
