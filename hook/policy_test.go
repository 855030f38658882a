package hook

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gpu-preflight/testdata/fixture"
)

// defaults is the policy as its documentation prints it.
const defaults = `
mode         = "enforce"
requirement  = "auto"
evidence     = "certain"
unknown      = "allow"
timeout      = "5s"
nvml_timeout = "2s"
settle       = "20s"
overrides    = false
[checks]
[exempt]
namespaces = ["kube-system", "gpu-operator", "nvidia-gpu-operator", "nvidia-device-plugin", "nvidia-dra-driver-gpu", "dra-driver-nvidia-gpu", "gpu-resources"]
images     = ["*/k8s-device-plugin*", "*/dcgm-exporter*", "*/gpu-operator*", "nvcr.io/nvidia/cloud-native/*", "nvcr.io/nvidia/driver*"]
[host]
root = ""
nvml_library = ""
[runtime]
runtimes = ["runc", "crun"]
[log]
file = "/var/log/gpu-preflight/launches.jsonl"
journald = true
`

func policyFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreTheDocumented(t *testing.T) {
	p, err := ReadPolicy(policyFile(t, defaults))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Set) < 14 {
		t.Errorf("only %q were set", p.Set)
	}
	p.Path, p.Set = "", nil
	if want := DefaultPolicy(); !reflect.DeepEqual(p, want) {
		t.Errorf("%+v\nwant %+v", p, want)
	}
	absent, err := ReadPolicy(filepath.Join(t.TempDir(), "config.toml"))
	if err != nil || !reflect.DeepEqual(absent, DefaultPolicy()) {
		t.Errorf("an absent file: %v, %+v", err, absent)
	}
}

// TestDeployedPolicy: the file that is installed sets nothing, and without its comment marks is the defaults.
func TestDeployedPolicy(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(fixture.Root(), "deploy", "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePolicy(data)
	if err != nil || len(p.Set) != 0 {
		t.Errorf("%v, sets %q", err, p.Set)
	}
	var live []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if text, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(text, " ") && !strings.HasPrefix(text, "fabric-manager-running") {
			live = append(live, text)
		}
	}
	p, err = parsePolicy([]byte(strings.Join(live, "\n")))
	p.Set = nil
	if err != nil || !reflect.DeepEqual(p, DefaultPolicy()) {
		t.Errorf("%v: %+v\nwant %+v", err, p, DefaultPolicy())
	}
}

func TestReadPolicy(t *testing.T) {
	p, err := ReadPolicy(policyFile(t, "settle = \"1m30s\"\n[checks]\nfabric-state = \"off\"\n\"gpu-present\" = \"refuse\"\n[log]\njournald = false\n"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Settle != Duration(90*time.Second) || p.Checks["fabric-state"] != SettingOff || p.Checks["gpu-present"] != SettingRefuse || p.Log.Journald {
		t.Errorf("%+v", p)
	}
	if p.Mode != ModeEnforce || p.Log.File == "" || len(p.Exempt.Namespaces) != 7 {
		t.Errorf("what the file does not set must stay: %+v", p)
	}
	if want := []string{"checks.fabric-state", "checks.gpu-present", "log.journald", "settle"}; !reflect.DeepEqual(p.Set, want) {
		t.Errorf("set %q, want %q", p.Set, want)
	}
	if _, err := json.Marshal(p); err != nil {
		t.Error(err)
	}
}

func TestBrokenPolicy(t *testing.T) {
	for _, tt := range []struct{ name, text, says string }{
		{"not TOML", "mode = \"warn\"\n\nthis is no TOML\n", "line 3, column "},
		{"unknown key", "mode = \"warn\"\n  modus = \"warn\"\n", "line 2, column 3: unknown key modus"},
		{"unknown section", "[policy]\nmode = \"warn\"\n", "line 1"},
		{"a key of a section", "[log]\nfiles = \"x\"\n", "line 2, column 1: unknown key log.files"},
		{"an unknown mode", "\nmode = \"strict\"\n", "line 2|\"strict\"|enforce"},
		{"an unknown requirement", "requirement = \"cuda\"\n", "line 1|requirement|minor-version"},
		{"an unknown evidence", "evidence = \"all\"\n", "line 1|evidence"},
		{"an unknown unknown", "unknown = \"warn\"\n", "line 1|unknown|refuse"},
		{"a number for a time", "settle = 20\n", "line 1|settle|5s"},
		{"a time without a unit", "settle = \"20\"\n", "line 1|unit"},
		{"a negative time", "settle = \"-1s\"\n", "line 1|-1s"},
		{"a time beyond an hour", "timeout = \"2h\"\n", "line 1|2h"},
		{"a word for a truth", "overrides = \"yes\"\n", "line 1"},
		{"no such check", "[checks]\ndriver-loaded = \"warn\"\nfabric-sate = \"warn\"\n", "line 3|no check is called|fabric-sate"},
		{"a setting that is none", "[checks]\nfabric-state = \"ignore\"\n", "line 2|\"ignore\"|refuse"},
		{"a check that is switched by a truth", "[checks]\nfabric-state = false\n", "line 2|fabric-state|false"},
		{"a number for a mode", "settle = \"1s\"\nmode = 1\n", "line 2|mode"},
		{"a list for a mode", "mode = [\"warn\"]\n", "line 1|mode"},
		{"a word for the section", "checks = \"off\"\n", "line 1"},
		{"twice", "mode = \"warn\"\nmode = \"off\"\n", "line 2|mode"},
		{"too long", "#" + strings.Repeat("x", maxPolicy), "65537 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := policyFile(t, tt.text)
			_, err := ReadPolicy(path)
			if err == nil {
				t.Fatal("it was accepted")
			}
			for word := range strings.SplitSeq(path+"|"+tt.says, "|") {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not say %q", err, word)
				}
			}
			p := LoadPolicy(path)
			want := DefaultPolicy()
			want.Mode, want.Path, want.Problem = ModeWarn, path, err.Error()
			if !reflect.DeepEqual(p, want) {
				t.Errorf("a launch is judged by %+v, want the defaults in mode warn", p)
			}
		})
	}
}

// TestPolicyThatIsNoFile: nobody waits for a FIFO, and a folder is no policy.
func TestPolicyThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo} {
		if p := LoadPolicy(path); p.Mode != ModeWarn || p.Problem == "" {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

// FuzzReadPolicy: what is accepted has only known words, times within bounds and known checks, and can be printed.
func FuzzReadPolicy(f *testing.F) {
	f.Add([]byte(defaults))
	f.Add([]byte("settle = \"1h\"\n[checks]\nfabric-state = \"off\"\n"))
	f.Add([]byte("mode.x = 1\n[[checks]]\n"))
	f.Add([]byte("timeout = 2020-01-01T00:00:00Z\n[exempt]\nimages = [\"\x00\"]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsePolicy(data)
		if err != nil {
			return
		}
		for _, wrong := range []error{
			p.Mode.UnmarshalText([]byte(p.Mode)), p.Requirement.UnmarshalText([]byte(p.Requirement)),
			p.Evidence.UnmarshalText([]byte(p.Evidence)), p.Unknown.UnmarshalText([]byte(p.Unknown)),
		} {
			if wrong != nil {
				t.Error(wrong)
			}
		}
		for _, d := range []Duration{p.Timeout, p.NVMLTimeout, p.Settle} {
			if d < 0 || d > Duration(time.Hour) {
				t.Errorf("%s", time.Duration(d))
			}
		}
		for id, setting := range p.Checks {
			if setting != SettingOff && setting != SettingWarn && setting != SettingRefuse {
				t.Errorf("%q = %q", id, setting)
			}
		}
		if _, err := json.Marshal(p); err != nil {
			t.Error(err)
		}
	})
}
