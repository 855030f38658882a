package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// goList prints what go list says, a line a package, cgo included.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir, cmd.Env = fixture.Root(), append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestArchitectureImports: the table of packages names every package, and what each imports of ours.
func TestArchitectureImports(t *testing.T) {
	rows := map[string][]string{}
	for line := range strings.Lines(readDocument(t, "docs/architecture.md")) {
		if cells := strings.Split(line, "|"); len(cells) == 5 && strings.HasPrefix(line, "| `") {
			rows[strings.Trim(cells[1], " `")] = strings.Split(strings.TrimSpace(cells[3]), ", ")
		}
	}
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./checks/...", "./hook/...", "./oci/...") {
		words := strings.Fields(strings.ReplaceAll(line, "gpu-preflight/", "our:"))
		name := strings.TrimPrefix(words[0], "our:")
		imports := []string{}
		for _, word := range words[1:] {
			if ours, ok := strings.CutPrefix(word, "our:"); ok {
				imports = append(imports, lastName(ours))
			}
		}
		if len(imports) == 0 {
			imports = []string{"-"}
		}
		shown := rows[name]
		slices.Sort(shown)
		slices.Sort(imports)
		if !slices.Equal(shown, imports) {
			t.Errorf("%s imports %v; docs/architecture.md says %v", name, imports, shown)
		}
	}
}

func lastName(path string) string { return path[strings.LastIndex(path, "/")+1:] }

// TestArchitectureDependencies: every module that a program or a test is built with has its sentence.
func TestArchitectureDependencies(t *testing.T) {
	text := readDocument(t, "docs/architecture.md")
	modules := goList(t, "-deps", "-test", "-f", "{{with .Module}}{{.Path}}{{end}}", "./...")
	slices.Sort(modules)
	for _, module := range slices.Compact(modules) {
		if module == "gpu-preflight" || module == "" {
			continue
		}
		short := strings.TrimPrefix(module, "github.com/")
		parts := strings.Split(short, "/")
		if !strings.Contains(text, short) && !strings.Contains(text, "`"+parts[min(1, len(parts)-1)]+"`") {
			t.Errorf("docs/architecture.md does not name %s", module)
		}
	}
}
