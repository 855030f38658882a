package checks_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/checks/cuda"
	"gpu-preflight/testdata/fixture"
)

var update = flag.Bool("update", false, "write docs/checks.md")

// TestDocumentation: docs/checks.md is what the checks say of themselves.
func TestDocumentation(t *testing.T) {
	path := filepath.Join(fixture.Root(), "docs", "checks.md")
	want := document(checks.All())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the checks say; run go test ./checks -run TestDocumentation -update", path)
	}
}

const documentHead = `# Checks

Written by ` + "`go test ./checks -run TestDocumentation -update`" + ` from the checks themselves; a test compares it.

Each check looks at one condition and says ` + "`pass`, `skip`, `unknown`, `warn` or `fail`" + `. Only ` + "`fail`" + ` refuses a
launch, and a failure that waiting may mend does not even do that ([operations](operations.md)). A fact that could
not be read gives ` + "`unknown`" + `, which refuses nothing. The ID stands in the refusal, in the record and in the
policy ([policy](policy.md)). The checks run in this order; one whose "after" failed is skipped, so that one cause
gives one finding. Those marked *doctor* look at the host's care and are not asked at a launch.

`

// document writes the checks as a table to find one in, and a section for each.
func document(list []checks.Check) string {
	var b strings.Builder
	b.WriteString(documentHead)
	b.WriteString("| check | layer | the good condition | CUDA errors |\n| --- | --- | --- | --- |\n")
	for _, c := range list {
		fmt.Fprintf(&b, "| [%s](#%s)%s | %s | %s | %s |\n", c.ID, c.ID, scope(c), c.Layer, c.Title, codes(c.CUDA))
	}
	for _, c := range list {
		fmt.Fprintf(&b, "\n## %s\n\nLayer %s. Wanted: %s.\n\n%s.\n", c.ID, c.Layer, c.Title, sentence(c.Why))
		if len(c.After) > 0 {
			fmt.Fprintf(&b, "\nAfter: %s.\n", strings.Join(c.After, ", "))
		}
		b.WriteString("\n")
		for _, code := range c.CUDA {
			name, text, _ := cuda.ErrorText(code)
			fmt.Fprintf(&b, "- CUDA error %d, `%s`: \"%s\"\n", code, name, text)
		}
		for _, link := range c.Links {
			fmt.Fprintf(&b, "- <%s>\n", link)
		}
	}
	return b.String()
}

func scope(c checks.Check) string {
	if c.Doctor {
		return " *doctor*"
	}
	return ""
}

func codes(list []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
}

func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// TestDocumentationIsWhole: every check says what the document shows, and names only checks before it.
func TestDocumentationIsWhole(t *testing.T) {
	before := map[string]bool{}
	for _, c := range checks.All() {
		if c.Title == "" || c.Layer == "" || c.Why == "" || len(c.CUDA) == 0 && !c.Doctor || len(c.Links) == 0 {
			t.Errorf("%s: title, layer, why, CUDA errors or links are missing", c.ID)
		}
		for _, code := range c.CUDA {
			if _, _, known := cuda.ErrorText(code); !known {
				t.Errorf("%s: CUDA error %d is in no table", c.ID, code)
			}
		}
		for _, id := range c.After {
			if !before[id] {
				t.Errorf("%s: after %s, which is no check before it", c.ID, id)
			}
		}
		before[c.ID] = true
		if _, err := os.Stat(filepath.Join(fixture.Root(), "checks", c.ID+".go")); err != nil {
			t.Errorf("%s: a check is the file of its name: %v", c.ID, err)
		}
	}
}
