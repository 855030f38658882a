package explain

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/checks/cuda"
)

// linesOf are the rows of a table as they stand.
func linesOf(table string) []string {
	var list []string
	for line := range strings.Lines(table) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}

// TestTablesAreRead: every line of every table is a row, and says how well it is founded and on what.
func TestTablesAreRead(t *testing.T) {
	confidences := []string{string(cuda.Confirmed), string(cuda.ThirdParty), string(cuda.Derived), string(cuda.Recalled)}
	for name, c := range map[string]struct {
		table string
		rows  int
		plain bool // without a confidence
	}{
		"entries": {entriesTSV, len(entryRows()), false}, "causes": {causesTSV, len(causeRows()), false},
		"patterns": {patternsTSV, len(patternRows()), true}, "xid": {xidTSV, len(xidRows()), false},
		"actions": {actionsTSV, len(actionRows()), false}, "nvml": {nvmlTSV, len(nvmlRows()), false},
		"oldruntime": {oldRuntimeTSV, len(oldRows()), false}, "checks": {checksTSV, len(checkRows()), true},
	} {
		lines := linesOf(c.table)
		if len(lines) != c.rows || c.rows == 0 {
			t.Errorf("%s.tsv: %d of %d lines are read", name, c.rows, len(lines))
		}
		for _, line := range lines {
			fields := strings.Split(line, "\t")
			if source := fields[len(fields)-1]; source == "" || source == "-" {
				t.Errorf("%s.tsv: no source: %s", name, line)
			}
			if !c.plain && !slices.Contains(confidences, fields[len(fields)-2]) {
				t.Errorf("%s.tsv: no confidence: %s", name, line)
			}
		}
	}
}

// TestNamedEntriesHaveNoTitle: an entry of a number has the name that CUDA's or NVML's own table gives it, and no other.
func TestNamedEntriesHaveNoTitle(t *testing.T) {
	for _, r := range entryRows() {
		if _, _, numbered := numberOf(r.key); numbered != (r.title == "") {
			t.Errorf("%s: title %q", r.key, r.title)
		}
	}
}

// TestTablesFit: what one table names is in the other.
func TestTablesFit(t *testing.T) {
	layers := []string{"hardware", "kernel", "libraries", "utilities", "packages", "fabric", "container", "image"}
	patterned, caused := map[string]bool{}, map[string]bool{}
	for _, r := range patternRows() {
		patterned[r.key] = true
		if r.expr.MatchString("") {
			t.Errorf("a pattern of %s fits every text", r.key)
		}
	}
	for _, r := range causeRows() {
		caused[r.key] = true
		if r.fix == "" {
			t.Errorf("%s: a cause without a fix: %s", r.key, r.cause)
		}
	}
	seen := map[string]bool{}
	for _, r := range entryRows() {
		_, _, numbered := numberOf(r.key)
		if seen[r.key] || !slices.Contains(layers, r.layer) || r.meaning == "" || !caused[r.key] {
			t.Errorf("%s: twice there, without meaning or cause, or of layer %q", r.key, r.layer)
		}
		if !numbered && (r.title == "" || !patterned[r.key] && r.key != "xid") {
			t.Errorf("%s: without title or pattern", r.key)
		}
		wantChecks(t, r.key, r.checks)
		seen[r.key] = true
	}
	for key := range patterned {
		if !seen[key] {
			t.Errorf("patterns.tsv: %s is no entry", key)
		}
	}
	for key := range caused {
		if !seen[key] {
			t.Errorf("causes.tsv: %s is no entry", key)
		}
	}
	for id, key := range checkRows() {
		wantChecks(t, key, []string{id})
		if e, ok := entryOf(key); !ok || len(e.Causes) == 0 {
			t.Errorf("checks.tsv: %s has no causes", key)
		}
	}
}

func wantChecks(t *testing.T, key string, ids []string) {
	t.Helper()
	for _, id := range ids {
		if _, ok := checkOf(id); !ok {
			t.Errorf("%s: there is no check %s", key, id)
		}
	}
}

// TestXidsFit: each Xid's action and checks are there, and each action is asked for.
func TestXidsFit(t *testing.T) {
	used := map[string]bool{}
	for _, x := range xidRows() {
		used[x.action] = true
		wantChecks(t, x.name, x.checks)
	}
	for _, a := range actionRows() {
		if !used[a.key] {
			t.Errorf("no Xid asks for %s", a.key)
		}
		delete(used, a.key)
	}
	if len(used) > 0 {
		t.Errorf("no actions: %v", used)
	}
}

var (
	refersTo     = regexp.MustCompile(`gpu-preflight explain ([a-z0-9-]+(?:(?:, | and )[a-z0-9-]+)*)`)
	distribution = regexp.MustCompile(`\b(?:apt|apt-get|aptitude|dpkg|dnf|yum|zypper|pacman|rpm|ubuntu-drivers|update-initramfs|dracut -f)\b`)
)

// TestFixes: a fix refers to what can be explained, and names no command of one distribution.
func TestFixes(t *testing.T) {
	for _, r := range slices.Concat(causeRows(), actionRows()) {
		for _, m := range refersTo.FindAllStringSubmatch(r.fix, -1) {
			for _, key := range regexp.MustCompile(`, | and `).Split(m[1], -1) {
				if _, known := entryOf(key); !known {
					t.Errorf("%s: %q cannot be explained", r.key, key)
				}
			}
		}
		if word := distribution.FindString(r.fix); word != "" {
			t.Errorf("%s: %s is not on every distribution: %s", r.key, word, r.fix)
		}
	}
}

// xidsWatched are those that monitors of GPU hosts act upon, skip or warn of: Amazon's node monitoring agent, DCGM's
// health watches, the skip lists of NVIDIA's device plugin and DRA driver.
var xidsWatched = []int{
	46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 142, 143, 151, 155, 156, 158,
	31, 32, 38, 39, 42, 43, 94, 13, 45, 68, 154, 169,
}

// TestComplete: every check, every CUDA error that a check names, every code of NVML and every watched Xid is
// explained by its word.
func TestComplete(t *testing.T) {
	var words []string
	for _, c := range checks.All() {
		words = append(words, c.ID, "["+c.ID+"]")
		for _, code := range c.CUDA {
			words = append(words, number("cuda %d", code), number("cuda-%d", code))
		}
	}
	for _, r := range cuda.Errors() {
		words = append(words, r.Runtime, number("%d", r.Code))
	}
	for _, r := range nvmlRows() {
		words = append(words, r.name, number("nvml %d", r.code))
	}
	for _, n := range xidsWatched {
		words = append(words, number("Xid %d", n), number("NVRM: Xid (PCI:0000:3b:00): %d, pid=1234", n))
		if !slices.ContainsFunc(xidRows(), func(x xidRow) bool { return x.number == n }) {
			t.Errorf("Xid %d is in no table", n)
		}
	}
	for _, word := range append(words, Words()...) {
		a := Text(word)
		if len(a.Entries) == 0 || a.Entries[0].Meaning == "" || a.Entries[0].Title == "" {
			t.Errorf("%s is not explained: %+v", word, a)
		}
	}
}

// TestNumbers: each number of the old runtime leads to its error of today, and the entry says so.
func TestNumbers(t *testing.T) {
	for _, old := range oldRows() {
		a := Text(number("cuda %d", old.old))
		if len(a.Entries) == 0 || !strings.Contains(a.Entries[len(a.Entries)-1].Numbers, number("the runtime's number was %d", old.old)) {
			t.Errorf("cuda %d: %+v", old.old, a.Entries)
		}
	}
	if a := Text("cuda 35"); len(a.Entries) != 1 || !strings.Contains(a.Entries[0].Numbers, "the runtime API alone") {
		t.Errorf("35: %+v", a.Entries)
	}
	if a := Text("46"); !a.OneOf {
		t.Error("46 is CUDA's and an Xid, and nothing says so")
	}
}
