package hook

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
	"gpu-preflight/testdata/fixture"
)

// reportedStack is an entry of testdata/hosts/stack.json; the README there explains the keys.
type reportedStack struct {
	Packages     []host.Package    `json:"packages"`
	KernelLog    []string          `json:"kernel_log"`
	ManagerLog   []string          `json:"manager_log"`
	IMEXLog      []string          `json:"imex_log"`
	InstallerLog []string          `json:"installer_log"`
	Files        map[string]string `json:"files"`
	Added        map[string]string `json:"added"`
}

// lay adds the entry to a host's files. Packages of a dpkg host become its database.
func (s reportedStack) lay(h reportedHost) reportedHost {
	h.Files = maps.Clone(h.Files)
	if h.Files == nil {
		h.Files = map[string]*string{}
	}
	put := func(path, text string) { h.Files[path] = &text }
	for path, text := range s.Files {
		put(path, text)
	}
	for path, lines := range map[string][]string{
		"/var/log/kern.log": s.KernelLog, "/var/log/fabricmanager.log": s.ManagerLog,
		"/var/log/nvidia-imex.log": s.IMEXLog, "/var/log/nvidia-installer.log": s.InstallerLog,
	} {
		if lines != nil {
			put(path, strings.Join(lines, "\n")+"\n")
		}
	}
	if os := h.Files["/etc/os-release"]; s.Packages != nil && os != nil && dpkgHost(*os) {
		put("/var/lib/dpkg/status", dpkgStatus(s.Packages))
	}
	return h
}

func dpkgHost(osRelease string) bool {
	return slices.ContainsFunc([]string{"ubuntu", "debian", "pop", "elementary"}, func(id string) bool {
		return strings.Contains(osRelease, "ID="+id+"\n") || strings.Contains(osRelease, `ID="`+id+`"`)
	})
}

// dpkgStatus writes dpkg's database (deb822(5), dpkg-query(1) for the letters).
func dpkgStatus(packages []host.Package) string {
	status := map[string]string{"ii": "install ok installed", "rc": "deinstall ok config-files", "iF": "install ok half-configured", "iU": "install ok unpacked"}
	var b strings.Builder
	for _, p := range packages {
		arch := p.Arch
		if arch == "" {
			arch = "amd64"
		}
		b.WriteString("Package: " + p.Name + "\nStatus: " + status[p.State] + "\nMaintainer: x <x@example.com>\nArchitecture: " + arch +
			"\nMulti-Arch: same\nVersion: " + p.Version + "\nConfig-Version: " + p.Version + "\nDescription: x\n\n")
	}
	return b.String()
}

// examine reads a reported host as doctor does and judges it.
func (h reportedHost) examine(t *testing.T, s reportedStack) Verdict {
	o := host.Options{Root: s.lay(h).tree(t), AskAll: true, Stack: true, NVMLTimeout: 10 * time.Second, RunDir: t.TempDir(), Helper: "/nonexistent"}
	facts := host.Gather(t.Context(), o)
	facts.NVML = *h.NVML
	if s.Packages != nil && len(facts.Stack.Packages.Value) == 0 {
		facts.Stack.Packages = fact.Of(s.Packages, "rpm -qa") // as the report lists them; TestRPM reads a real database
	}
	return JudgeHost(facts, DefaultPolicy())
}

// TestDoctorNamesTheCause: doctor names the cause that each report confirms, or what the report does not show; it
// fails nothing on a healthy host.
func TestDoctorNamesTheCause(t *testing.T) {
	dir := filepath.Join(fixture.Root(), "testdata", "hosts")
	table, err := os.ReadFile(filepath.Join(dir, "doctor.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	stacks := map[string]reportedStack{}
	readJSON(t, filepath.Join(dir, "stack.json"), &stacks)
	named, missing, healthy := map[string]int{}, map[string]int{}, map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		row := strings.Split(line, "\t")
		id, kind, names, says, notShown := row[0], row[1], row[2], row[3], row[4]
		switch {
		case notShown != "-":
			missing[kind]++
		case names == "-":
			healthy[kind]++
		default:
			named[kind]++
		}
		if id == "144-azure-aks-ubuntu1804" {
			continue // the report shows no fact to make a host of
		}
		t.Run(id, func(t *testing.T) {
			var h reportedHost
			readJSON(t, filepath.Join(dir, id+".json"), &h)
			for path := range stacks[id].Files {
				if stacks[id].Added[path] == "" {
					t.Errorf("%s is added without a word why", path)
				}
			}
			v := h.examine(t, stacks[id])
			if names == "-" {
				if i := slices.IndexFunc(v.Results, func(r checks.Result) bool { return r.Status == checks.StatusFail }); i >= 0 {
					t.Errorf("doctor fails %s: %s", v.Results[i].ID, v.Results[i].What)
				}
				return
			}
			if !slices.ContainsFunc(v.Results, func(r checks.Result) bool {
				bad := r.Status == checks.StatusFail || r.Status == checks.StatusWarn
				return bad && slices.Contains(strings.Split(names, ","), r.ID) && (says == "-" || strings.Contains(r.What+strings.Join(r.Fix, " "), says))
			}) {
				t.Errorf("%s does not name the cause (%q):\n%s", names, says, told(v))
			}
		})
	}
	t.Logf("the cause is named: %v; the report does not show a fact: %v; healthy: %v", named, missing, healthy)
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
