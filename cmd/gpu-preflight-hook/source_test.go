package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// noise is what no text of ours says: an error names the operation and the object, then the cause.
var noise = []string{"failed to ", "Failed to "}

// rewritten are the words that make docker replace a container's exit code (126, 127) with its own reading.
// moby daemon/start.go, translateContainerdStartErr.
var rewritten = []string{"permission denied", "no such file or directory", "is a directory", "not a directory", "executable file not found"}

// replacer is the file that takes these words out of what a cause says; there they stand alone.
const replacer = "hook/message.go"

// TestSource holds for every source file of the product what no linter says.
func TestSource(t *testing.T) {
	for _, top := range []string{"cmd", "hook", "checks", "oci"} {
		files := sources(t, top)
		if len(files) == 0 {
			t.Errorf("%s: no source file", top)
		}
		for _, name := range files {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, filepath.Join(fixture.Root(), name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range faults(set, file, name) {
				t.Error(found)
			}
		}
	}
}

// sources lists the Go files below a folder of the repository that are no tests.
func sources(t *testing.T, top string) []string {
	t.Helper()
	var files []string
	root := os.DirFS(fixture.Root())
	err := fs.WalkDir(root, top, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "testdata" {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// faults lists what a file must not hold, each with its place.
func faults(set *token.FileSet, file *ast.File, name string) []string {
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		for _, what := range fault(n, name) {
			found = append(found, name+":"+strconv.Itoa(set.Position(n.Pos()).Line)+": "+what)
		}
		return true
	})
	return found
}

func fault(n ast.Node, name string) []string {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Name.Name == "init" && n.Recv == nil {
			return []string{"func init"}
		}
	case *ast.SelectorExpr:
		if types.ExprString(n) == "os.Exit" && !strings.HasPrefix(name, "cmd/") {
			return []string{"os.Exit outside cmd"}
		}
	case *ast.BasicLit:
		if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
			if name == replacer && slices.Contains(rewritten, text) {
				return nil
			}
			return banned(text, atLaunch(name))
		}
	}
	return nil
}

// atLaunch says whether a file's texts can reach an engine; the rest of checks and hook is the command line's.
func atLaunch(name string) bool {
	for _, tool := range []string{"checks/explain/", "checks/plan/", "checks/report/", "hook/register/"} {
		if strings.HasPrefix(name, tool) {
			return false
		}
	}
	return strings.HasPrefix(name, "checks/") || strings.HasPrefix(name, "hook/")
}

// banned returns a complaint for each wording in a text that it must not hold.
func banned(text string, launch bool) []string {
	var found []string
	for _, words := range noise {
		if strings.Contains(text, words) {
			found = append(found, strconv.Quote(words)+" in a text")
		}
	}
	for _, words := range rewritten {
		if launch && strings.Contains(text, words) {
			found = append(found, strconv.Quote(words)+" in a text: docker rewrites the exit code on it")
		}
	}
	return found
}

func TestFaults(t *testing.T) {
	rows := []struct {
		name, source string
		want         int
	}{
		{"oci/a.go", `import "os"; func f() { os.Exit(1) }`, 1},
		{"cmd/x/main.go", `import "os"; func main() { os.Exit(1) }`, 0},
		{"oci/a.go", `func init() {}`, 1},
		{"oci/a.go", `type t int; func (t) init() {}`, 0},
		{"oci/a.go", "var a = `failed to read`", 1},
		{"oci/a.go", `var a = "no such file or directory"`, 0},
		{"hook/a.go", `var a = "x: no such file or directory"`, 1},
		{replacer, `var a = "permission denied"`, 0},
		{replacer, `var a = "x: permission denied"`, 1},
		{"checks/explain/a.go", `var a = "no such file or directory"`, 0},
		{"checks/a.go", "// permission denied\nvar a = \"refused\"", 0},
	}
	for _, row := range rows {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, row.name, "package a\n"+row.source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := faults(set, file, row.name); len(got) != row.want {
			t.Errorf("%s %s: found %v, want %d", row.name, row.source, got, row.want)
		}
	}
}
