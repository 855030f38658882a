package cuda

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The tables come from different documents; where they speak of the same thing they must agree.

func TestBranchesAscend(t *testing.T) {
	rows := branches()
	for i := 1; i < len(rows); i++ {
		if rows[i].Branch <= rows[i-1].Branch || rows[i].Version.Less(rows[i-1].Version) {
			t.Errorf("%+v comes after %+v", rows[i], rows[i-1])
		}
	}
}

func TestNewestFirst(t *testing.T) {
	for i, rows := 1, toolkits(); i < len(rows); i++ {
		if rows[i-1].version().Less(rows[i].version()) || rows[i-1].branch < rows[i].branch || rows[i-1].driver.Compare(rows[i].driver) < 0 && !rows[i-1].driver.IsZero() {
			t.Errorf("toolkit %s comes after %s", rows[i].release, rows[i-1].release)
		}
	}
	for i, rows := 1, lifecycles(); i < len(rows); i++ {
		if rows[i-1].Branch <= rows[i].Branch {
			t.Errorf("lifecycle %d comes after %d", rows[i].Branch, rows[i-1].Branch)
		}
	}
}

// Older than the branch table: their drivers bring what their names say, but no document that we have says so.
var beforeTheBranches = []int{346, 352}

func TestToolkitsAgreeWithBranches(t *testing.T) {
	for _, row := range toolkits() {
		if row.version().IsZero() {
			t.Errorf("toolkit %q is no version", row.release)
		}
		if !row.driver.IsZero() && row.driver.Branch() != row.branch {
			t.Errorf("toolkit %s: driver %s is not of branch %d", row.release, row.driver, row.branch)
		}
		brings, ok := MaxCUDA(row.branch)
		if slices.Contains(beforeTheBranches, row.branch) != !ok || ok && brings.Version != row.version() {
			t.Errorf("toolkit %s asks for branch %d, which brings %v", row.release, row.branch, brings.Version)
		}
	}
}

// No toolkit names these two, but the documents say what they bring: 390 in today's notes, where 9.1 keeps the
// lower 387; 565 is known to report 12.7, of which there is no toolkit.
var branchesWithoutToolkit = []int{390, 565}

func TestBranchesAgreeWithToolkits(t *testing.T) {
	for _, b := range branches() {
		_, ok := find(toolkits(), func(r toolkitRow) bool { return r.branch == b.Branch })
		if ok == slices.Contains(branchesWithoutToolkit, b.Branch) {
			t.Errorf("branch %d: named by a toolkit: %t", b.Branch, ok)
		}
	}
}

func TestMinorVersionRulesAgree(t *testing.T) {
	for _, rule := range minorRules() {
		first := Version{rule.Major, 0}
		if rule.Driver.Branch() != rule.Branch {
			t.Errorf("%d: driver %s is not of branch %d", rule.Major, rule.Driver, rule.Branch)
		}
		if branch, ok := BranchFor(first); !ok || branch != rule.Branch {
			t.Errorf("%d: the rule begins with branch %d, CUDA %v with %d", rule.Major, rule.Branch, first, branch)
		}
		toolkit, ok := ToolkitMinDriver(first)
		if !ok || rule.Driver.Compare(mustDriver(t, toolkit)) < 0 {
			t.Errorf("%d: the rule asks for less (%s) than the first toolkit (%s)", rule.Major, rule.Driver, toolkit)
		}
		// 11.0 ran with earlier drivers than the rule, which came with 11.1.
		if rule.Major != 11 && toolkit != rule.Driver.String() {
			t.Errorf("%d: rule %s, toolkit %s", rule.Major, rule.Driver, toolkit)
		}
		if next, ok := ToolkitMinDriver(Version{rule.Major, 1}); ok && rule.Driver.Compare(mustDriver(t, next)) >= 0 {
			t.Errorf("%d: the rule asks for as much as toolkit %d.1", rule.Major, rule.Major)
		}
	}
}

func TestForwardCompatAgreesWithBranches(t *testing.T) {
	for _, r := range forwards() {
		for want, list := range map[Compat][]int{CompatYes: r.yes, CompatNative: r.native, CompatNoPackage: r.none} {
			if !slices.IsSorted(list) {
				t.Errorf("%v %v: %v is not sorted", r.version, want, list)
			}
			for _, branch := range list {
				brings, ok := MaxCUDA(branch)
				order := map[Compat]int{CompatYes: -1, CompatNative: 0}
				fits := brings.Version.Compare(r.version) == order[want]
				if want == CompatNoPackage {
					fits = r.version.Less(brings.Version)
				}
				if !ok || !fits {
					t.Errorf("%v on %d, which brings %v: %v", r.version, branch, brings.Version, want)
				}
				if got := ForwardCompat(r.version, branch); got != want {
					t.Errorf("%v on %d: %s says %v, another row %v", r.version, branch, r.Source, want, got)
				}
			}
		}
	}
}

func TestArchitecturesAgreeWithBranches(t *testing.T) {
	// P100 and its like came with the second 8.0, which branch 375 belongs to.
	later := map[string]int{"6.0": 375, "6.1": 375}
	last := map[int]Version{390: {8, 0}, 470: {11, 8}, 580: {12, 9}}
	for _, a := range archs() {
		if a.MinBranch != 0 {
			first, ok := BranchFor(a.FirstCUDA)
			if want := max(first, later[a.CC]); !ok || a.MinBranch != want {
				t.Errorf("%s: first CUDA %v means branch %d, not %d", a.CC, a.FirstCUDA, want, a.MinBranch)
			}
		}
		if a.Ongoing && (!a.LastCUDA.IsZero() || a.LastBranch != 0) {
			t.Errorf("%s is ongoing and has an end: %+v", a.CC, a)
		}
		if a.LastBranch != 0 && (a.LastCUDA.IsZero() || last[a.LastBranch].Less(a.LastCUDA)) {
			t.Errorf("%s: branch %d is the last, CUDA %v the last, too", a.CC, a.LastBranch, a.LastCUDA)
		}
		if !a.LastCUDA.IsZero() && a.LastCUDA.Less(a.FirstCUDA) {
			t.Errorf("%s ends before it begins", a.CC)
		}
	}
}

func TestLifecyclesAgreeWithBranches(t *testing.T) {
	date := regexp.MustCompile(`^(20\d\d-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$`)
	for _, l := range lifecycles() {
		if _, ok := MaxCUDA(l.Branch); !ok {
			t.Errorf("%d is no known branch", l.Branch)
		}
		if !date.MatchString(l.Released) || !date.MatchString(l.EndOfLife) {
			t.Errorf("%d: dates %q and %q", l.Branch, l.Released, l.EndOfLife)
		}
		// A month is compared with a month: 610 was released and ended in the same one.
		if n := min(len(l.EndOfLife), len(l.Released)); l.EndOfLife[:n] < l.Released[:n] {
			t.Errorf("%d ends before it begins", l.Branch)
		}
		if ended := l.EndOfLife != "" && l.EndOfLife < LifecycleDate; l.EndOfLife != "" && ended != l.EOL() {
			t.Errorf("%d: end of life %s, support %v", l.Branch, l.EndOfLife, l.Support)
		}
		if l.Latest != "" && mustDriver(t, l.Latest).Branch() != l.Branch {
			t.Errorf("%d: the latest driver is %s", l.Branch, l.Latest)
		}
	}
}

func TestGPUsNameKnownGenerations(t *testing.T) {
	for _, g := range gpus() {
		if _, ok := FabricSystem(g.Generation); ok != (g.Generation != "") {
			t.Errorf("%04x %s: generation %q", g.id, g.Name, g.Generation)
		}
	}
	for _, f := range fabrics() {
		if _, ok := MaxCUDA(f.MinBranch); ok != (f.MinBranch != 0) {
			t.Errorf("%s: branch %d", f.Generation, f.MinBranch)
		}
		for _, s := range f.switches {
			if got, ok := FabricGeneration(s.first); !ok || got.Generation != f.Generation || s.last < s.first {
				t.Errorf("%s: switch ids %04x to %04x", f.Generation, s.first, s.last)
			}
		}
	}
}

// TestChips: the ranges ascend and do not overlap, each capability is one of the architectures, and a GPU that the other
// table names has one.
func TestChips(t *testing.T) {
	rows := chips()
	for i, c := range rows {
		if _, ok := Arch(c.CC); !ok || c.ids.last < c.ids.first {
			t.Errorf("%s: capability %s", c.ids, c.CC)
		}
		if i > 0 && c.ids.first <= rows[i-1].ids.last {
			t.Errorf("%s comes after %s", c.ids, rows[i-1].ids)
		}
	}
	for _, g := range gpus() {
		c, ok := Chip(fmt.Sprintf("%04x", g.id))
		arch, _ := Arch(c.CC)
		letter := map[string]string{"A": "Ampere", "H": "Hopper", "G": "", "B": "Blackwell"}[g.Name[:1]]
		if !ok || !strings.HasPrefix(arch.Name, letter) {
			t.Errorf("%04x %s: capability %q, %s", g.id, g.Name, c.CC, arch.Name)
		}
	}
	for device, want := range map[string]string{"1EB8": "7.5", "1db1": "7.0", "15f8": "6.0", "1c81": "6.1", "102d": "3.7", "2bb5": "12.0", "2e12": "12.1", "0fbf": "", "ffff": "", "": "", "1eb": "", "1eb8x": ""} {
		if c, ok := Chip(device); c.CC != want || ok != (want != "") {
			t.Errorf("Chip(%q) = %q, %t, want %q", device, c.CC, ok, want)
		}
	}
}
