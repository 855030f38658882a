package plan_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
	"gpu-preflight/checks/plan"
	"gpu-preflight/checks/report"
	"gpu-preflight/testdata/fixture"
)

// expected is a line of testdata/plan.tsv.
type expected struct {
	host, target, answer, by, branch, modules string
	words, risks                              []string
}

func expectations(t *testing.T) []expected {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fixture.Root(), "testdata", "plan.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []expected
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSuffix(line, "\n"); strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 8 {
			t.Fatalf("%d fields: %s", len(f), line)
		}
		for i := range f {
			if f[i] == "-" {
				f[i] = ""
			}
		}
		rows = append(rows, expected{f[0], f[1], f[2], f[3], f[4], f[5], strings.Split(f[6], " ; "), strings.Fields(f[7])})
	}
	return rows
}

func target(t *testing.T, text string) plan.Target {
	t.Helper()
	kind, value, _ := strings.Cut(text, " ")
	if kind == "driver" {
		branch, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		return plan.Target{Branch: branch}
	}
	v, err := cuda.ParseVersion(value)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Target{CUDA: v}
}

// made is a host of the words of testdata/plan.tsv.
func made(t *testing.T, spec string) (host.Facts, plan.Software) {
	t.Helper()
	var f host.Facts
	var s plan.Software
	f.Platform = host.Platform{DXG: fact.Of(false, "x"), Tegra: fact.Of(false, "x"), InitialPIDNamespace: fact.Of(true, "x")}
	f.PCI = fact.Of([]host.PCIDevice{}, "x")
	for word := range strings.FieldsSeq(spec) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "os":
			id, version, _ := strings.Cut(value, ":")
			f.OS = fact.Of(host.OS{ID: id, VersionID: version}, "x")
		case "driver":
			f.Driver.Version = fact.Of(value, "x")
		case "modules":
			f.Driver.Flavor = fact.Of(value, "x")
		case "gpus":
			f.PCI = pci(value)
		case "name":
			f.ProcGPUs = fact.Of([]host.ProcGPU{{Bus: "0000:01:00.0", Model: "NVIDIA " + value}}, "x")
		case "switches":
			n, _ := strconv.Atoi(value)
			f.Fabric.Switches = fact.Of(n, "x")
		case "brand":
			f.NVML.GPUs = []host.GPU{{Bus: "0000:01:00.0", Brand: fact.Of(value, "x")}}
		case "origin":
			s.Origin = plan.Origin(value)
		case "root":
			f.Libraries = fact.Of([]host.Library{{Root: value}}, "x")
		case "platform":
			f.Platform.DXG.Value, f.Platform.Tegra.Value = value == "wsl", value == "tegra"
			f.Platform.InitialPIDNamespace.Value = value != "container"
		default:
			t.Fatalf("no word %q", word)
		}
	}
	return f, s
}

func pci(spec string) fact.Fact[[]host.PCIDevice] {
	if spec == "?" {
		return fact.Missing[[]host.PCIDevice]("x", "not told")
	}
	var found []host.PCIDevice
	for device := range strings.SplitSeq(spec, ",") {
		device, times, _ := strings.Cut(device, "*")
		n, _ := strconv.Atoi(times)
		for range max(n, 1) {
			found = append(found, host.PCIDevice{Bus: "0000:" + strconv.FormatInt(int64(len(found)+0x10), 16) + ":00.0", Device: device, Class: "0302", Driver: "nvidia"})
		}
	}
	found[0].Bus = "0000:01:00.0"
	return fact.Of(found, "x")
}

// reported is a host of testdata/hosts, as far as a plan looks at it.
func reported(t *testing.T, id string) host.Facts {
	t.Helper()
	var h struct {
		Files map[string]string
		Nodes []string
		PCI   []struct{ BDF, Device, Class, Driver string }
		NVML  host.NVML
	}
	data, err := os.ReadFile(filepath.Join(fixture.Root(), "testdata", "hosts", id+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err = json.Unmarshal(data, &h); err != nil {
		t.Fatal(err)
	}
	f := host.Facts{NVML: h.NVML, PCI: fact.Of([]host.PCIDevice{}, "x")}
	var os host.OS
	for line := range strings.Lines(h.Files["/etc/os-release"]) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ID":
			os.ID = strings.Trim(value, `"`)
		case "VERSION_ID":
			os.VersionID = strings.Trim(value, `"`)
		}
	}
	f.OS = fact.Of(os, "x")
	f.Driver.Version = fact.Of(strings.TrimSpace(h.Files["/sys/module/nvidia/version"]), "x")
	if line := h.Files["/proc/driver/nvidia/version"]; strings.Contains(line, "Open Kernel Module") {
		f.Driver.Flavor = fact.Of("open", "x")
	} else if line != "" {
		f.Driver.Flavor = fact.Of("proprietary", "x")
	}
	dxg := slices.ContainsFunc(h.Nodes, func(node string) bool { return strings.HasPrefix(node, "/dev/dxg ") })
	f.Platform.DXG = fact.Of(dxg, "x")
	switches := 0
	for _, p := range h.PCI {
		f.PCI.Value = append(f.PCI.Value, host.PCIDevice{Bus: p.BDF, Device: p.Device, Class: p.Class[:4], Driver: p.Driver})
		if p.Class[:4] == "0680" && p.Driver == "nvidia-nvswitch" {
			switches++
		}
	}
	f.Fabric.Switches = fact.Of(switches, "x")
	for path, content := range h.Files {
		switch {
		case strings.HasSuffix(path, "/nvswitch/fabricmanager.cfg"):
			f.Fabric.ManagerConfig = fact.Of(map[string]string{"text": content}, "x")
		case strings.HasPrefix(path, "/run/nvidia/driver/"):
			f.Libraries = fact.Of([]host.Library{{Root: "/run/nvidia/driver"}}, "x")
		case path == "/etc/nv_tegra_release" || path == "/sys/devices/soc0/family":
			f.Platform.Tegra = fact.Of(true, "x")
		}
	}
	return f
}

func text(t *testing.T, p plan.Plan) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Plan(&b, p, report.Style{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestExpected: every host of testdata/plan.tsv gets its branch, its steps in order and its risks.
func TestExpected(t *testing.T) {
	rows := expectations(t)
	if len(rows) < 80 {
		t.Errorf("only %d rows", len(rows))
	}
	for _, row := range rows {
		t.Run(row.host+" "+row.target, func(t *testing.T) { row.check(t) })
	}
}

func (row expected) check(t *testing.T) {
	var f host.Facts
	var s plan.Software
	if strings.Contains(row.host, "=") {
		f, s = made(t, row.host)
	} else {
		f = reported(t, row.host)
	}
	p := plan.Make(f, s, target(t, row.target))
	branch := ""
	if p.Branch != 0 {
		branch = strconv.Itoa(p.Branch)
	}
	for what, pair := range map[string][2]string{
		"answer": {string(p.Answer), row.answer}, "by": {p.By, row.by}, "branch": {branch, row.branch}, "modules": {p.Modules, row.modules},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	shown := text(t, p)
	rest := shown
	for _, word := range row.words {
		if absent, not := strings.CutPrefix(word, "!"); not {
			if strings.Contains(shown, absent) {
				t.Errorf("%q stands in it", absent)
			}
			continue
		}
		_, after, found := strings.Cut(rest, word)
		if !found {
			t.Errorf("%q is not there, or not in this order", word)
			continue
		}
		rest = after
	}
	for _, id := range row.risks {
		absent, not := strings.CutPrefix(id, "!")
		named := slices.ContainsFunc(p.Risks, func(r plan.Risk) bool { return r.ID == absent })
		if named == not {
			t.Errorf("risk %s: named %t", absent, named)
		}
	}
	if t.Failed() {
		t.Log(shown)
	}
}

const t4 = "os=ubuntu:22.04 driver=535.183.06 modules=proprietary gpus=1eb8"

// TestSoftware: what is known of the packages goes into the commands, and risks that are ruled out are not named.
func TestSoftware(t *testing.T) {
	packages := fact.Of([]string{"nvidia-driver-535", "libnvidia-compute-535", "x; reboot", "-y", "$(id)"}, "x")
	rows := []struct {
		software plan.Software
		words    []string
		risks    []string
	}{
		{
			plan.Software{Packages: packages, Held: []string{"nvidia-driver-535"}},
			[]string{"apt-mark unhold", "apt-get purge --autoremove nvidia-driver-535 libnvidia-compute-535\n", "!$(dpkg-query", "!x; reboot", "!$(id)", "parts: nvidia-driver-535\n"}, nil,
		},
		{plan.Software{Packages: fact.Of([]string{}, "x")}, []string{"!apt-mark unhold", "!apt-get purge"}, nil},
		{plan.Software{Desktop: true}, []string{"apt-get install nvidia-driver-580-open"}, nil},
		{plan.Software{SecureBoot: fact.Of(false, "x")}, nil, []string{"!secure-boot"}},
		{plan.Software{SecureBoot: fact.Of(true, "x")}, []string{"linux-modules-nvidia-580-server-open-$(uname -r)"}, []string{"secure-boot"}},
		{plan.Software{Origin: plan.RunFile}, []string{"nvidia-uninstall", "!apt-get purge"}, nil},
		{plan.Software{Origin: plan.Archive}, nil, []string{"!mixed-origins"}},
	}
	for _, row := range rows {
		f, _ := made(t, t4)
		p := plan.Make(f, row.software, plan.Target{Branch: 580})
		shown := text(t, p)
		for _, word := range row.words {
			absent, not := strings.CutPrefix(word, "!")
			if strings.Contains(shown, absent) == not {
				t.Errorf("%+v: %q, in\n%s", row.software, word, shown)
			}
		}
		for _, id := range row.risks {
			absent, not := strings.CutPrefix(id, "!")
			if slices.ContainsFunc(p.Risks, func(r plan.Risk) bool { return r.ID == absent }) == not {
				t.Errorf("%+v: risk %s", row.software, id)
			}
		}
	}
}

// TestNothingKnown: facts about which nothing is known give a plan that says so, and no command for a system that may be
// another.
func TestNothingKnown(t *testing.T) {
	p := plan.Make(host.Facts{}, plan.Software{}, plan.Target{CUDA: cuda.Version{Major: 12, Minor: 8}})
	shown := text(t, p)
	if p.Answer != plan.Upgrade || p.By != "unknown" || p.Branch != 580 || !strings.Contains(shown, "which GPUs are here is not known") || strings.Contains(shown, "apt-get") {
		t.Errorf("%s %s %d\n%s", p.Answer, p.By, p.Branch, shown)
	}
}

// TestEveryBranch: for every branch and every kind of GPU the plan names a branch that drives it, or says no.
func TestEveryBranch(t *testing.T) {
	for _, device := range []string{"102d", "13c2", "15f8", "1db6", "1eb8", "20b0", "2330", "2684", "2901", "2b85", "2e12", "3182"} {
		chip, _ := cuda.Chip(device)
		arch, _ := cuda.Arch(chip.CC)
		for _, row := range cuda.Preferred() {
			for _, target := range []plan.Target{{Branch: row.Branch}, {CUDA: mustCUDA(row.Branch)}} {
				f, s := made(t, "os=ubuntu:24.04 driver= gpus="+device)
				p := plan.Make(f, s, target)
				fits := p.Branch >= arch.MinBranch && (arch.LastBranch == 0 || p.Branch <= arch.LastBranch)
				switch {
				case p.Answer == plan.NoWay && (p.Branch != 0 || len(p.Steps) > 0 || p.Sentence == ""):
					t.Errorf("%s, %v: no way, and a branch or steps: %+v", arch.Name, target, p)
				case p.Answer == plan.Upgrade && (!fits || arch.CC >= "5" && arch.CC < "7.5" && p.Modules != "proprietary"):
					t.Errorf("%s, %v: branch %d with the %s modules", arch.Name, target, p.Branch, p.Modules)
				case p.Answer != plan.NoWay && p.Answer != plan.Upgrade:
					t.Errorf("%s, %v without a driver: %s", arch.Name, target, p.Answer)
				}
			}
		}
	}
}

func mustCUDA(branch int) cuda.Version {
	row, _ := cuda.MaxCUDA(branch)
	return row.Version
}

// TestHostilePlan: names that come from a host stay text.
func TestHostilePlan(t *testing.T) {
	evil := "x\n$ rm -rf /\x1b[2J\u202e"
	f, _ := made(t, t4)
	f.OS.Value = host.OS{ID: evil, VersionID: evil, Pretty: evil}
	f.NVML.GPUs = []host.GPU{{Bus: "0000:01:00.0", Name: fact.Of(evil, "x")}}
	shown := text(t, plan.Make(f, plan.Software{Packages: fact.Of([]string{evil}, "x"), Held: []string{evil}}, plan.Target{Branch: 580, From: evil}))
	if strings.Contains(shown, evil) || strings.Contains(shown, "\n$ rm") || strings.ContainsAny(shown, "\x1b\u202e") {
		t.Errorf("%q", shown)
	}
}
