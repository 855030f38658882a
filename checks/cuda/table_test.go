package cuda

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tableCase is one table: what it says, as "fact => key" lines, and what it has to say.
type tableCase struct {
	name, text string
	want       map[string]string
	got        []string     // "fact => key"
	from       []provenance // of every row
}

type provenance struct {
	key string
	Provenance
}

// tableOf turns parsed rows into the shape of the expected lists.
func tableOf[T any](name, text string, want map[string]string, rows []T, fact func(T) (fact, key string), from func(T) provenance) tableCase {
	c := tableCase{name: name, text: text, want: want}
	for _, r := range rows {
		f, key := fact(r)
		c.got = append(c.got, f+" => "+key)
		c.from = append(c.from, from(r))
	}
	return c
}

func (r idRange) String() string {
	if r.first == r.last {
		return fmt.Sprintf("%04x", r.first)
	}
	return fmt.Sprintf("%04x-%04x", r.first, r.last)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func blank(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func tables() []tableCase {
	return append(versionTables(), hardwareTables()...)
}

func versionTables() []tableCase {
	return []tableCase{
		tableOf("toolkits", toolkitsTSV, wantToolkits, toolkits(), func(r toolkitRow) (string, string) {
			if r.driver.IsZero() {
				return "R" + strconv.Itoa(r.branch), r.release
			}
			return r.driver.String(), r.release
		}, func(r toolkitRow) provenance { return provenance{r.release, r.Provenance} }),
		tableOf("branches", branchesTSV, wantBranches, branches(), func(r BranchRow) (string, string) {
			return r.Version.String(), strconv.Itoa(r.Branch)
		}, func(r BranchRow) provenance { return provenance{strconv.Itoa(r.Branch), r.Provenance} }),
		tableOf("minor", minorTSV, wantMinor, minorRules(), func(r MinorVersionRule) (string, string) {
			return r.Driver.String(), strconv.Itoa(r.Major)
		}, func(r MinorVersionRule) provenance { return provenance{strconv.Itoa(r.Major), r.Provenance} }),
		tableOf("lifecycle", lifecycleTSV, wantLifecycle, lifecycles(), func(r LifecycleRow) (string, string) {
			support := map[Support]string{Supported: "supported", Unsupported: "ended", SupportUnknown: "disputed"}[r.Support]
			number := strings.TrimPrefix(r.Latest, fmt.Sprint(r.Branch, "."))
			return dash(r.Type) + " " + support, fmt.Sprintf("%d:%s..%s/%s", r.Branch, r.Released, r.EndOfLife, number)
		}, func(r LifecycleRow) provenance { return provenance{strconv.Itoa(r.Branch), r.Provenance} }),
		tableOf("forward", forwardTSV, wantForward, forwards(), func(r forwardRow) (string, string) {
			return r.Source + "/" + r.version.String(), cells(r)
		}, func(r forwardRow) provenance { return provenance{r.Source + "/" + r.version.String(), r.Provenance} }),
	}
}

// cells writes a row of the matrix as letters; a branch outside its columns is shown, too.
func cells(r forwardRow) string {
	var out strings.Builder
	seen := 0
	for column := range strings.FieldsSeq(wantForwardColumns) {
		branch, _ := strconv.Atoi(column)
		letter := byte('.')
		for c, list := range map[byte][]int{'C': r.yes, 'N': r.native, 'X': r.none} {
			if slices.Contains(list, branch) {
				letter = c
				seen++
			}
		}
		out.WriteByte(letter)
	}
	if n := len(r.yes) + len(r.native) + len(r.none); n != seen {
		fmt.Fprintf(&out, "(%d of %d)", seen, n)
	}
	return out.String()
}

func hardwareTables() []tableCase {
	return []tableCase{
		tableOf("arch", archTSV, wantArch, archs(), func(r ArchRow) (string, string) {
			first, last := r.FirstCUDA.String(), r.LastCUDA.String()
			if r.FirstCUDA.IsZero() {
				first = ""
			}
			if r.Ongoing {
				last = "now"
			} else if r.LastCUDA.IsZero() {
				last = ""
			}
			return r.Name + " " + first + ".." + last, r.CC + ":" + blank(r.MinBranch) + ".." + blank(r.LastBranch)
		}, func(r ArchRow) provenance { return provenance{r.CC, r.Provenance} }),
		tableOf("brands", brandsTSV, wantBrands, brands(), func(r brandRow) (string, string) {
			return map[Support]string{Supported: "yes", Unsupported: "no"}[r.support], r.brand
		}, func(r brandRow) provenance { return provenance{r.brand, r.Provenance} }),
		tableOf("fabric", fabricTSV, wantFabric, fabrics(), func(r FabricRow) (string, string) {
			where := map[bool]string{true: "node", false: "tray"}[r.OnNode]
			var ids []string
			for _, s := range r.switches {
				ids = append(ids, s.String())
			}
			return r.Generation, strings.Join([]string{r.Systems, where, dash(blank(r.MinBranch)), dash(strings.Join(ids, " "))}, " | ")
		}, func(r FabricRow) provenance { return provenance{r.Generation, r.Provenance} }),
		tableOf("chips", chipsTSV, wantChips, chips(), func(r ChipRow) (string, string) {
			return r.CC, r.ids.String()
		}, func(r ChipRow) provenance { return provenance{r.ids.String(), r.Provenance} }),
		tableOf("gpus", gpusTSV, wantGPUs, gpus(), func(r GPURow) (string, string) {
			return dash(r.Generation) + "/" + r.Name, fmt.Sprintf("%04x", r.id)
		}, func(r GPURow) provenance { return provenance{fmt.Sprintf("%04x", r.id), r.Provenance} }),
		tableOf("errors", errorsTSV, wantErrors, Errors(), func(r ErrorRow) (string, string) {
			return dash(r.Driver) + ", " + r.Runtime + ": " + r.Text, strconv.Itoa(r.Code)
		}, func(r ErrorRow) provenance { return provenance{strconv.Itoa(r.Code), r.Provenance} }),
		tableOf("sources", sourcesTSV, wantSources, sources(), func(r source) (string, string) {
			return r.String(), r.key
		}, func(r source) provenance { return provenance{key: r.key} }),
	}
}

// whole are the tables whose expected values are one text with spaces, not a list of keys.
var whole = []string{"fabric"}

// lines expands the expected lists to "fact => key" lines.
func (c tableCase) lines() []string {
	var out []string
	for fact, keys := range c.want {
		if slices.Contains(whole, c.name) {
			out = append(out, fact+" => "+keys)
			continue
		}
		for key := range strings.FieldsSeq(keys) {
			out = append(out, fact+" => "+key)
		}
	}
	return out
}

// differ reports what only one of two lists holds; every line counts as often as it stands there.
func differ(t *testing.T, got, want []string) {
	t.Helper()
	count := map[string]int{}
	for _, s := range got {
		count[s]++
	}
	for _, s := range want {
		count[s]--
	}
	for s, n := range count {
		switch {
		case n > 0:
			t.Errorf("not expected: %s", s)
		case n < 0:
			t.Errorf("missing: %s", s)
		}
	}
}

func TestTablesSayWhatIsExpected(t *testing.T) {
	for _, c := range tables() {
		t.Run(c.name, func(t *testing.T) { differ(t, c.got, c.lines()) })
	}
}

func TestTablesNameTheExpectedSources(t *testing.T) {
	for _, c := range tables() {
		if c.name == "sources" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			var got, want []string
			for _, p := range c.from {
				got = append(got, string(p.Conf)+" "+p.Source+" => "+p.key)
			}
			for from, keys := range wantProvenance[c.name] {
				for key := range strings.FieldsSeq(keys) {
					want = append(want, from+" => "+key)
				}
			}
			differ(t, got, want)
		})
	}
}

func TestEveryLineIsReadOnce(t *testing.T) {
	for _, c := range tables() {
		lines := 0
		for line := range strings.Lines(c.text) {
			if !strings.HasPrefix(line, "#") {
				lines++
			}
			if strings.TrimRight(line, " \t\n") != strings.TrimSuffix(line, "\n") {
				t.Errorf("%s: space at the end of %q", c.name, line)
			}
		}
		if lines != len(c.got) || lines == 0 {
			t.Errorf("%s: %d of %d lines were read", c.name, len(c.got), lines)
		}
		if !strings.HasSuffix(c.text, "\n") || !strings.Contains(c.text, "# To update: ") {
			t.Errorf("%s: want a final newline and the comment that says how to update", c.name)
		}
		var keys []string
		for _, p := range c.from {
			keys = append(keys, p.key)
		}
		if slices.Sort(keys); len(slices.Compact(keys)) != lines {
			t.Errorf("%s: a key stands there twice", c.name)
		}
	}
}

func TestProvenanceIsKnown(t *testing.T) {
	used := map[string]bool{}
	for _, c := range tables() {
		if c.name == "sources" {
			continue
		}
		for _, p := range c.from {
			if !slices.Contains([]Confidence{Confirmed, ThirdParty, Derived, Recalled, Conflict}, p.Conf) {
				t.Errorf("%s %s: confidence %q", c.name, p.key, p.Conf)
			}
			keys := strings.Fields(p.Source)
			if len(keys) == 0 || len(p.Titles()) != len(keys) {
				t.Errorf("%s %s: sources %q have the titles %q", c.name, p.key, p.Source, p.Titles())
			}
			for _, key := range keys {
				used[key] = true
			}
		}
	}
	for _, s := range sources() {
		if !used[s.key] {
			t.Errorf("source %s is named by no row", s.key)
		}
	}
}

func TestParseLeavesBadLinesOut(t *testing.T) {
	read := func(r *row) toolkitRow { return toolkitRow{r.text(), r.driver(), r.int(), r.provenance()} }
	const good = "12.4.0\t550.54.14\t550\tconfirmed\tX"
	for _, bad := range []string{
		"12.4.0", good + "\tmore", "12.4.0\t550.54.14\tx\tconfirmed\tX", "12.4.0\tx\t550\tconfirmed\tX", "12.4.0\t550.54.14\t550\tconfirmed", "\t\t",
	} {
		rows := parse("# comment\n"+bad+"\n\n"+good+"\n", read)
		if len(rows) != 1 || rows[0].release != "12.4.0" || rows[0].Conf != Confirmed {
			t.Errorf("%q: got %+v", bad, rows)
		}
	}
}
