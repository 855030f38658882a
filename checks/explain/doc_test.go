package explain

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/checks/cuda"
	"gpu-preflight/testdata/fixture"
)

var update = flag.Bool("update", false, "write docs/errors.md")

func number(format string, n int) string { return fmt.Sprintf(format, n) }

// TestDocumentation: docs/errors.md is what the tables say, so that no row changes unseen.
func TestDocumentation(t *testing.T) {
	path := filepath.Join(fixture.Root(), "docs", "errors.md")
	want := document()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the tables say; run go test ./checks/explain -run TestDocumentation -update, and read the difference", path)
	}
}

const documentHead = `# Errors

Written by ` + "`go test ./checks/explain -run TestDocumentation -update`" + ` from the tables of ` + "`gpu-preflight explain`" + `; a test
compares it. Root causes stand before what follows from them. "Open" is what one such line does not tell. Behind each
statement stands how well it is founded: confirmed by those who met it, third-party, derived or recalled.

`

func document() string {
	var b strings.Builder
	b.WriteString(documentHead)
	for _, r := range entryRows() {
		e, _ := entryOf(r.key)
		fmt.Fprintf(&b, "## %s\n\n%s. %s (%s; %s). Layer %s, checks %s.", r.key, sentence(e.Title), sentence(e.Meaning), r.confidence, r.src, e.Layer, idsOf(checksOf(r.checks)))
		if e.Numbers != "" {
			fmt.Fprintf(&b, " %s.", sentence(e.Numbers))
		}
		if e.Unproven != "" {
			fmt.Fprintf(&b, " Open: %s.", e.Unproven)
		}
		b.WriteString("\n\n")
		for i, c := range causesFor(r.key) {
			fmt.Fprintf(&b, "%d. %s: %s (%s; %s)\n", i+1, known(c.cause), c.fix, c.confidence, c.src)
		}
		b.WriteString("\n")
		for _, p := range patternRows() {
			if p.key == r.key {
				fmt.Fprintf(&b, "`%s` (%s)\n", p.expr, p.seen)
			}
		}
		b.WriteString("\n")
	}
	documentNumbers(&b)
	return b.String()
}

func causesFor(key string) []causeRow {
	return slices.DeleteFunc(slices.Clone(causeRows()), func(c causeRow) bool { return c.key != key })
}

// documentNumbers writes the tables of numbers.
func documentNumbers(b *strings.Builder) {
	b.WriteString("## Xids\n\n| Xid | name | meaning | asks for | checks | from |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, x := range xidRows() {
		fmt.Fprintf(b, "| %d | %s | %s | %s | %s | %s; %s |\n", x.number, x.name, x.meaning, x.action, idsOf(checksOf(x.checks)), x.confidence, x.src)
	}
	b.WriteString("\nWhat they ask for:\n\n")
	for _, a := range actionRows() {
		fmt.Fprintf(b, "- %s: %s: %s (%s; %s)\n", a.key, a.cause, a.fix, a.confidence, a.src)
	}
	b.WriteString("\n## NVML codes\n\n| code | name | meaning | from |\n| --- | --- | --- | --- |\n")
	for _, r := range nvmlRows() {
		fmt.Fprintf(b, "| %d | %s | %s | %s; %s |\n", r.code, r.name, r.meaning, r.confidence, r.src)
	}
	b.WriteString("\n## Numbers of the CUDA runtime before 10.1\n\n| then | name | now | from |\n| --- | --- | --- | --- |\n")
	for _, r := range oldRows() {
		fmt.Fprintf(b, "| %d | %s | %d | %s; %s |\n", r.old, r.name, r.today, r.confidence, r.src)
	}
	b.WriteString("\n## Causes of a check that fails\n\n| check | causes of |\n| --- | --- |\n")
	for _, line := range linesOf(checksTSV) {
		id, key, _ := strings.Cut(line, "\t")
		fmt.Fprintf(b, "| %s | %s |\n", id, key)
	}
}

func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func known(cause string) string {
	if cause == "" {
		return "not known"
	}
	return cause
}

func idsOf(list []Check) string {
	if len(list) == 0 {
		return "none"
	}
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, ", ")
}

// TestChecksSayTheSame: explain says of a check what docs/checks.md says.
func TestChecksSayTheSame(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(fixture.Root(), "docs", "checks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks.All() {
		_, section, found := strings.Cut(string(data), "\n## "+c.ID+"\n")
		if !found {
			t.Errorf("docs/checks.md has no section %s", c.ID)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		e := Text(c.ID).Entries[0]
		said := []string{"Layer " + e.Layer + ". Wanted: " + strings.TrimPrefix(e.Title, "the check "+c.ID+": ") + ".", "\n" + e.Meaning + "."}
		if len(e.After) > 0 {
			said = append(said, "After: "+strings.Join(e.After, ", ")+".")
		}
		for _, code := range e.CUDA {
			name, text, _ := cuda.ErrorText(code)
			said = append(said, fmt.Sprintf("- CUDA error %d, `%s`: \"%s\"", code, name, text))
		}
		for _, link := range e.Links {
			said = append(said, "- <"+link+">")
		}
		for _, text := range said {
			if !strings.Contains(section, text) {
				t.Errorf("docs/checks.md does not say of %s: %s", c.ID, text)
			}
		}
	}
}
