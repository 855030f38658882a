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
func made(t *testing.T, spec string) host.Facts {
	t.Helper()
	var f host.Facts
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
			release := map[string]string{"nvidia": "-0ubuntu1", "archive": "-0ubuntu0.22.04.1"}[value]
			f.Stack.Packages = fact.Of([]host.Package{{Name: "libnvidia-compute-535", Version: "535.183.06" + release, State: "ii"}}, "x")
		case "mig":
			f.NVML.GPUs = []host.GPU{{Bus: "0000:01:00.0", MIG: fact.Of(host.MIGMode{Current: true}, "x")}}
		case "kernels":
			for release := range strings.SplitSeq(value, ",") {
				f.Stack.Kernels = fact.Of(append(f.Stack.Kernels.Value, host.Kernel{Release: release, Image: true}), "x")
			}
		case "extra":
			f.Stack.Packages = fact.Of([]host.Package{{Name: value, Version: "550.54.15-1", State: "ii"}}, "x")
		case "root":
			f.Libraries = fact.Of([]host.Library{{Root: value}}, "x")
		case "platform":
			f.Platform.DXG.Value, f.Platform.Tegra.Value = value == "wsl", value == "tegra"
			f.Platform.InitialPIDNamespace.Value = value != "container"
		default:
			t.Fatalf("no word %q", word)
		}
	}
	return f
}

func pci(spec string) fact.Fact[[]host.PCIDevice] {
	if spec == "?" {
		return fact.Missing[[]host.PCIDevice]("x", "not told")
	}
	var found []host.PCIDevice
	for word := range strings.SplitSeq(spec, ",") {
		device, times, _ := strings.Cut(word, "*")
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
	if strings.Contains(row.host, "=") {
		f = made(t, row.host)
	} else {
		f = reported(t, row.host)
	}
	p := plan.Make(f, target(t, row.target))
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
	archive := []host.Package{
		{Name: "nvidia-driver-535-server", Version: "535.183.06-0ubuntu0.22.04.1", State: "ii", Held: true},
		{Name: "libnvidia-compute-535-server", Version: "535.183.06-0ubuntu0.22.04.1", State: "ii"},
		{Name: "nvidia-settings", Version: "535.183.06-0ubuntu0.22.04.1", State: "ii"},
		{Name: "libnvidia-gl-525", Version: "525.147.05-0ubuntu0.22.04.1", State: "rc"},
		{Name: "nvidia-container-toolkit", Version: "1.18.1-1", State: "ii"},
		{Name: "linux-image-5.15.0-113-generic", Version: "5.15.0-113.123", State: "ii"},
		{Name: "nvidia-x; reboot", Version: "535.183.06-1", State: "ii"},
	}
	const purge = "apt-get purge --autoremove nvidia-driver-535-server libnvidia-compute-535-server nvidia-settings libnvidia-gl-525\n"
	prebuilt := append(slices.Clone(archive), host.Package{Name: "linux-modules-nvidia-535-server-5.15.0-113-generic", Version: "5.15.0-113.123", State: "ii"})
	nvidia := []host.Package{{Name: "libnvidia-compute-535", Version: "535.183.06-0ubuntu1", State: "ii"}}
	offered := func(names ...string) fact.Fact[[]host.Candidate] {
		var list []host.Candidate
		for _, name := range names {
			list = append(list, host.Candidate{Name: name, Version: "580.95.05-0ubuntu1"})
		}
		return fact.Of(list, "x")
	}
	rows := []struct {
		name  string
		stack host.Stack
		words string // as in testdata/plan.tsv, in any order
		risks string
	}{
		{"archive", host.Stack{Packages: fact.Of(archive, "x")}, purge + " ; apt-mark unhold ; keep old parts: nvidia-driver-535-server\n ; !$(dpkg-query ; !x; reboot ; nvidia-driver-580-server-open", "held-packages !mixed-origins"},
		{"no packages", host.Stack{Packages: fact.Of([]host.Package{}, "x")}, "!apt-mark unhold ; !apt-get purge", "!held-packages"},
		{"desktop", host.Stack{Packages: fact.Of([]host.Package{{Name: "nvidia-driver-535", Version: "535.183.06-0ubuntu0.22.04.1", State: "ii"}}, "x")}, "apt-get install nvidia-driver-580-open\n ; apt-get purge --autoremove nvidia-driver-535\n", ""},
		{"mixed", host.Stack{Packages: fact.Of(slices.Concat(archive, nvidia), "x")}, "Ubuntu's archive, NVIDIA's repository", "mixed-origins"},
		{"prebuilt", host.Stack{
			Packages: fact.Of(prebuilt, "x"), Kernels: fact.Of([]host.Kernel{{Release: "5.15.0-113-generic", Image: true}, {Release: "5.15.0-130-generic", Image: true}, {Release: "6.8.0-1-left"}}, "x"),
		}, "apt-get install linux-modules-nvidia-580-server-open-5.15.0-130-generic\n ; !apt-get install linux-headers", "prebuilt-modules !kernel-headers !secure-boot"},
		{"dkms", host.Stack{Kernels: fact.Of([]host.Kernel{{Release: "5.15.0-130-generic", Image: true}}, "x"), DKMS: fact.Of([]host.DKMSTree{}, "x")}, "apt-get install linux-headers-5.15.0-130-generic\n ; !/var/lib/dkms", "kernel-headers"},
		{"no Secure Boot", host.Stack{SecureBoot: fact.Of(false, "x")}, "", "!secure-boot"},
		{"Secure Boot", host.Stack{SecureBoot: fact.Of(true, "x")}, "linux-modules-nvidia-580-server-open-$(uname -r)", "!secure-boot prebuilt-modules"},
		{"Secure Boot, NVIDIA's", host.Stack{SecureBoot: fact.Of(true, "x"), Packages: fact.Of(nvidia, "x")}, "apt-get install nvidia-open-580", "secure-boot"},
		{"run file", host.Stack{Packages: fact.Of([]host.Package{}, "x"), Installer: fact.Of(host.Installer{Uninstaller: true}, "x")}, "nvidia-uninstall ; !apt-get purge", ""},
		{"not offered", host.Stack{Available: offered("nvidia-driver-470-server")}, "do not offer nvidia-driver-580-server-open now", ""},
		{"offered", host.Stack{Available: offered("nvidia-driver-580-server-open")}, "!do not offer ; apt-get install nvidia-driver-580-server-open", ""},
		{"only NVIDIA's is offered", host.Stack{Available: offered("nvidia-open-580")}, "apt-get install nvidia-open-580 ; !Add NVIDIA's repository ; !do not offer", ""},
		{"Secure Boot, and the kernel is not known", host.Stack{SecureBoot: fact.Of(true, "x"), Available: offered("nvidia-driver-580-server-open")}, "!do not offer", ""},
		{"empty lists", host.Stack{Available: offered()}, "!do not offer ; apt-get install nvidia-driver-580-server-open", ""},
		{"an image", host.Stack{Image: fact.Of(true, "x")}, "rpm-ostree ; !apt-get", "!secure-boot"},
		{"no CDI file", host.Stack{CDI: fact.Of([]host.CDIFile{}, "x")}, "!cdi generate", ""},
		{"a CDI file", host.Stack{CDI: fact.Of([]host.CDIFile{{Path: "/etc/cdi/nvidia.yaml"}}, "x")}, "cdi generate", ""},
	}
	for _, row := range rows {
		f := made(t, t4)
		f.Stack = row.stack
		p := plan.Make(f, plan.Target{Branch: 580})
		shown := text(t, p)
		for word := range strings.SplitSeq(row.words, " ; ") {
			absent, not := strings.CutPrefix(word, "!")
			if word != "" && strings.Contains(shown, absent) == not {
				t.Errorf("%s: %q, in\n%s", row.name, word, shown)
			}
		}
		for id := range strings.FieldsSeq(row.risks) {
			absent, not := strings.CutPrefix(id, "!")
			if slices.ContainsFunc(p.Risks, func(r plan.Risk) bool { return r.ID == absent }) == not {
				t.Errorf("%s: risk %s", row.name, id)
			}
		}
	}
}

// TestFabricOffered: what the facts do not tell of is not said to be missing.
func TestFabricOffered(t *testing.T) {
	f := made(t, "os=ubuntu:24.04 driver=570.86.15 modules=open gpus=2901*8")
	f.Stack.Available = fact.Of([]host.Candidate{{Name: "nvidia-open-580", Version: "580.95.05-0ubuntu1"}}, "x")
	shown := text(t, plan.Make(f, plan.Target{Branch: 580}))
	if !strings.Contains(shown, "do not offer nvidia-fabricmanager now") || !strings.Contains(shown, "nvlsm infiniband-diags") {
		t.Error(shown)
	}
}

// TestNothingKnown: facts about which nothing is known give a plan that says so, and no command for a system that may be
// another.
func TestNothingKnown(t *testing.T) {
	p := plan.Make(host.Facts{}, plan.Target{CUDA: cuda.Version{Major: 12, Minor: 8}})
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
				p := plan.Make(made(t, "os=ubuntu:24.04 driver= gpus="+device), target)
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
	f := made(t, t4)
	f.OS.Value = host.OS{ID: evil, VersionID: evil, Pretty: evil}
	f.NVML.GPUs = []host.GPU{{Bus: "0000:01:00.0", Name: fact.Of(evil, "x")}}
	f.Stack.Packages = fact.Of([]host.Package{{Name: "nvidia-" + evil, Version: "535.183.06", State: "ii", Held: true}}, "x")
	f.Stack.Kernels = fact.Of([]host.Kernel{{Release: evil, Image: true}}, "x")
	shown := text(t, plan.Make(f, plan.Target{Branch: 580, From: evil}))
	if strings.Contains(shown, evil) || strings.Contains(shown, "\n$ rm") || strings.ContainsAny(shown, "\x1b\u202e") {
		t.Errorf("%q", shown)
	}
}

// TestEveryReportedHost: every host that somebody reported gets an answer that is whole, whatever it is asked for: a
// branch and steps, or a reason; and commands of its own package manager only.
func TestEveryReportedHost(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fixture.Root(), "testdata", "hosts", "*.json"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d hosts, %v", len(files), err)
	}
	tools := map[string][]string{"apt": {"apt-", "dpkg"}, "dnf": {"dnf ", "rpm "}, "zypper": {"zypper ", "rpm "}}
	for _, file := range files {
		id := strings.TrimSuffix(filepath.Base(file), ".json")
		f := reported(t, id)
		for _, asked := range []string{"cuda 11.8", "cuda 12.8", "cuda 13.4", "driver 470", "driver 580", "driver 620"} {
			p := plan.Make(f, target(t, asked))
			upgrade := p.Answer == plan.Upgrade
			if p.Sentence == "" || upgrade != (len(p.Steps) > 0) || upgrade != (p.By != "") || upgrade && p.Branch == 0 && p.By != "jetson" {
				t.Errorf("%s, %s: %+v", id, asked, p)
			}
			for _, step := range p.Steps {
				for _, command := range step.Commands {
					for manager, prefixes := range tools {
						foreign := p.By != manager && slices.ContainsFunc(prefixes, func(prefix string) bool {
							return strings.HasPrefix(command, prefix) && !slices.Contains(tools[p.By], prefix)
						})
						if foreign {
							t.Errorf("%s, %s, by %s: %s", id, asked, p.By, command)
						}
					}
					if command == "" || strings.Contains(command, "%!") || strings.Contains(command, "\n") {
						t.Errorf("%s, %s: command %q", id, asked, command)
					}
				}
			}
		}
	}
}
