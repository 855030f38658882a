package cuda

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// deviations are the values that differ from the collected documents on purpose: "table key field" -> why.
var deviations = map[string]string{
	"toolkits 9.1.85 driver":    "conflict: the runfile's and the older copy's 387.26 asks for less than 390.46",
	"toolkits 9.1.85 branch":    "the branch of 387.26",
	"arch 8.6 first":            "conflict: NVIDIA's matrix says 11.0, LLVM 11.1",
	"arch 8.6 branch":           "the branch that brings 11.0",
	"minor 13 confidence":       "the row's driver is derived, the document prints the branch only",
	"lifecycle 455 end of life": "the document says n/a",
}

type corpus struct {
	t    *testing.T
	used map[string]bool
}

// same compares a field with the document, unless it deviates on purpose.
func (c corpus) same(table, key, field string, ours, theirs any) {
	c.t.Helper()
	name := strings.Join([]string{table, key, field}, " ")
	if fmt.Sprint(ours) == fmt.Sprint(theirs) {
		return
	}
	if deviations[name] == "" {
		c.t.Errorf("%s: ours %v, the document's %v", name, ours, theirs)
	}
	c.used[name] = true
}

type corpusRow struct {
	CUDA      string   `json:"cuda"`
	LinuxMin  string   `json:"linux_min"`
	Branch    int      `json:"branch"`
	Conf      string   `json:"conf"`
	Src       []string `json:"src"`
	MaxCUDA   string   `json:"max_cuda"`
	Reported  int      `json:"cuDriverGetVersion"`
	Major     any      `json:"cuda_major"`
	MinBranch int      `json:"min_branch"`
	MinDriver string   `json:"min_driver"`
	Except    []struct {
		CUDA      string `json:"cuda"`
		MinDriver string `json:"min_driver"`
	} `json:"exceptions"`
	Type     string `json:"type"`
	Release  string `json:"release"`
	EOLD     string `json:"eol_endoflife_date"`
	EOLN     string `json:"eol_nvidia_table"`
	Latest   string `json:"latest_seen"`
	Ended    *bool  `json:"eol_on_2026_11_23"`
	CC       string `json:"cc"`
	Arch     string `json:"arch"`
	First    string `json:"first_cuda"`
	Last     string `json:"last_cuda"`
	MinArch  int    `json:"min_driver_branch"`
	LastArch int    `json:"last_driver_branch"`
}

// from writes a provenance as our tables do. GH is no source that could be looked up.
func (r corpusRow) from() string {
	return r.Conf + " " + strings.Join(slices.DeleteFunc(slices.Clone(r.Src), func(s string) bool { return s == "GH" }), " ")
}

func (p Provenance) from() string { return string(p.Conf) + " " + p.Source }

func readCorpus[T any](t *testing.T, name string) T {
	t.Helper()
	var v T
	data, err := os.ReadFile(filepath.Join(fixture.Corpus(t), "compat", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

type corpusTable struct {
	AsOf string      `json:"as_of"`
	Rows []corpusRow `json:"rows"`
}

func TestTablesEqualTheDocuments(t *testing.T) {
	c := corpus{t, map[string]bool{}}
	c.toolkits()
	c.minor()
	c.branches()
	c.lifecycle()
	c.arch()
	for name := range deviations {
		if !c.used[name] {
			t.Errorf("%s is listed as a deviation and is none", name)
		}
	}
}

func (c corpus) toolkits() {
	rows := readCorpus[corpusTable](c.t, "01_toolkit_min_driver.json").Rows
	for _, r := range rows {
		ours, _ := find(toolkits(), func(o toolkitRow) bool { return o.release == r.CUDA })
		c.same("toolkits", r.CUDA, "driver", ours.driver, r.LinuxMin)
		c.same("toolkits", r.CUDA, "branch", ours.branch, r.Branch)
		c.same("toolkits", r.CUDA, "provenance", ours.from(), r.from())
	}
	c.same("toolkits", "all", "rows", len(toolkits()), len(rows))
}

func (c corpus) minor() {
	rows := readCorpus[corpusTable](c.t, "02_minor_version_compat.json").Rows
	for _, r := range rows {
		major, _ := strconv.Atoi(fmt.Sprint(r.Major)) // "<=10" has no rule
		rule, _ := MinDriverForMajor(major)
		key := fmt.Sprint(r.Major)
		c.same("minor", key, "branch", rule.Branch, r.MinBranch)
		c.same("minor", key, "driver", rule.Driver, r.MinDriver)
		for _, e := range r.Except {
			driver, _ := ToolkitMinDriver(version(c.t, e.CUDA))
			c.same("minor", key, "exception "+e.CUDA, driver, e.MinDriver)
		}
		if major != 0 {
			c.same("minor", key, "confidence", rule.from(), r.from())
		}
	}
	c.same("minor", "all", "rows", len(minorRules()), len(rows)-1)
}

func (c corpus) branches() {
	rows := readCorpus[corpusTable](c.t, "03_branch_max_cuda.json").Rows
	for _, r := range rows {
		ours, _ := MaxCUDA(r.Branch)
		key := strconv.Itoa(r.Branch)
		c.same("branches", key, "CUDA", ours.Version, r.MaxCUDA)
		c.same("branches", key, "number", FromNVML(r.Reported), ours.Version)
		c.same("branches", key, "provenance", ours.from(), r.from())
	}
	c.same("branches", "all", "rows", len(branches()), len(rows))
}

func (c corpus) lifecycle() {
	table := readCorpus[corpusTable](c.t, "04_branch_lifecycle.json")
	c.same("lifecycle", "all", "date", LifecycleDate, table.AsOf)
	c.same("lifecycle", "all", "rows", len(lifecycles()), len(table.Rows))
	kinds := strings.NewReplacer(" (third-party doc)", "", "Long Term Support Branch", LTSB, "Production Branch", PB,
		"New Feature Branch", NFB, "Production/", "PB/", "Legacy", "legacy", "Evaluation/", "", "unknown", "")
	for _, r := range table.Rows {
		ours, _ := Lifecycle(r.Branch)
		key := strconv.Itoa(r.Branch)
		support := SupportUnknown
		if r.Ended != nil {
			support = map[bool]Support{true: Unsupported, false: Supported}[*r.Ended]
		}
		end := r.EOLD
		if r.EOLN != "" {
			end = r.EOLN
		}
		c.same("lifecycle", key, "kind", ours.Type, kinds.Replace(r.Type))
		c.same("lifecycle", key, "support", ours.Support, support)
		c.same("lifecycle", key, "released", ours.Released, beforeSpace(r.Release))
		c.same("lifecycle", key, "end of life", ours.EndOfLife, end)
		c.same("lifecycle", key, "latest", ours.Latest, beforeSpace(r.Latest))
		c.same("lifecycle", key, "provenance", ours.from(), r.from())
	}
}

func beforeSpace(s string) string {
	head, _, _ := strings.Cut(s, " ")
	return head
}

func (c corpus) arch() {
	rows := readCorpus[corpusTable](c.t, "06_arch_support.json").Rows
	for _, r := range rows {
		ours, _ := Arch(r.CC)
		name, _, _ := strings.Cut(r.Arch, " (")
		var first, last Version
		if !strings.HasPrefix(r.First, "<") {
			first = version(c.t, beforeSpace(r.First))
		}
		if r.Last != "" && r.Last != "ongoing" {
			last = version(c.t, r.Last)
		}
		c.same("arch", r.CC, "name", ours.Name, name)
		c.same("arch", r.CC, "first", ours.FirstCUDA, first)
		c.same("arch", r.CC, "last", ours.LastCUDA, last)
		c.same("arch", r.CC, "ongoing", ours.Ongoing, r.Last == "ongoing")
		c.same("arch", r.CC, "branch", ours.MinBranch, r.MinArch)
		c.same("arch", r.CC, "last branch", ours.LastBranch, r.LastArch)
		c.same("arch", r.CC, "provenance", ours.from(), r.from())
	}
	c.same("arch", "all", "rows", len(archs()), len(rows))
}

func TestForwardCompatEqualsTheDocuments(t *testing.T) {
	type note struct {
		CUDA   string `json:"CUDA version"`
		Driver []int  `json:"driver"`
	}
	table := readCorpus[struct {
		Matrix struct {
			Columns []string                     `json:"columns_kernel_branch"`
			Rows    map[string]map[string]string `json:"rows"`
		} `json:"matrix"`
		ELF struct {
			Examples map[string]note `json:"examples"`
		} `json:"elf_note"`
		Errors []struct {
			Code int    `json:"code"`
			Name string `json:"name"`
			Text string `json:"text"`
		} `json:"errors"`
	}](t, "05_forward_compat.json")
	letters := map[string]Compat{"C": CompatYes, "N": CompatNative, "X": CompatNoPackage}
	for row, cells := range table.Matrix.Rows {
		for _, column := range table.Matrix.Columns {
			branch, _ := strconv.Atoi(column)
			v := version(t, strings.ReplaceAll(row, "-", "."))
			if got := ForwardCompat(v, branch); got != letters[cells[column]] || got == CompatUnknown {
				t.Errorf("%v on %d: ours %v, the document's %s", v, branch, got, cells[column])
			}
		}
	}
	notes := 0
	for library, n := range table.ELF.Examples {
		if n.Driver == nil {
			continue // Jetson's names no branches
		}
		notes++
		v, d := version(t, n.CUDA), mustDriver(t, library)
		for _, branch := range n.Driver {
			if got := ForwardCompat(v, branch); got != CompatYes && (got != CompatNative || branch != d.Branch()) {
				t.Errorf("%s serves %d: ours %v", library, branch, got)
			}
		}
	}
	if len(forwards()) != len(table.Matrix.Rows)+notes {
		t.Errorf("%d rows of ours, %d and %d of the documents", len(forwards()), len(table.Matrix.Rows), notes)
	}
	for _, e := range table.Errors {
		name, text, ok := ErrorText(e.Code)
		if !ok || name != e.Name || e.Text != "" && text != e.Text {
			t.Errorf("%d: ours %s %q, the document's %s %q", e.Code, name, text, e.Name, e.Text)
		}
	}
}

func TestFabricEqualsTheDocuments(t *testing.T) {
	table := readCorpus[struct {
		Systems []struct {
			Gen       any  `json:"gen"`
			MinBranch int  `json:"min_branch"`
			FM        bool `json:"fm"`
		} `json:"systems"`
		Detect struct {
			PCI []struct {
				ID string `json:"id"`
			} `json:"pci_ids"`
			GPUs map[string]string `json:"gpu_ids"`
		} `json:"detect"`
	}](t, "07_fabric_manager.json")
	for _, s := range table.Systems {
		if s.Gen == nil {
			continue // boards without switches
		}
		f, ok := FabricSystem(fmt.Sprint(s.Gen))
		if !ok || f.MinBranch != s.MinBranch || f.OnNode != s.FM {
			t.Errorf("generation %v: ours %+v, the document's %+v", s.Gen, f, s)
		}
	}
	for i, p := range table.Detect.PCI {
		id, err := strconv.ParseUint(strings.TrimPrefix(p.ID, "10de:"), 16, 16)
		if f, ok := FabricGeneration(uint16(id)); err != nil || !ok || f.Generation != strconv.Itoa(i+1) {
			t.Errorf("%s: %+v, %v", p.ID, f, err)
		}
	}
	for device, name := range table.Detect.GPUs {
		id, err := strconv.ParseUint(device, 16, 16)
		if g, ok := FabricGPU(uint16(id)); err != nil || !ok || g.Name != name {
			t.Errorf("%s: ours %q, the document's %q", device, g.Name, name)
		}
	}
	if len(gpus()) != len(table.Detect.GPUs) {
		t.Errorf("%d GPUs of ours, %d of the document", len(gpus()), len(table.Detect.GPUs))
	}
}
