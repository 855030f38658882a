package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/testdata/fixture"
)

// TestEveryCheckHasItsStory: each check is seen through the program with each status that its code can give, and with
// words of what it says there.
func TestEveryCheckHasItsStory(t *testing.T) {
	code := readChecks(t)
	for _, check := range checks.All() {
		can := code.statuses(check.ID)
		if check.Linux { // Run of the package gives these two for it
			can["skip"], can["unknown"] = true, true
		}
		if len(can) < 2 {
			t.Errorf("checks/%s.go: only %v was found in it", check.ID, can)
		}
		name := "testdata/cases/each-" + check.ID + ".txtar"
		story, err := os.ReadFile(filepath.Join(fixture.Root(), name))
		if err != nil {
			t.Errorf("%s is missing", name)
			continue
		}
		for _, status := range []string{"pass", "skip", "unknown", "warn", "fail"} {
			// One pattern over two lines of output: the status and the check, and below them words of what is said.
			shows := regexp.MustCompile(`(?m)^stdout '\S+ ` + status + ` \.\*\\\[` + check.ID + `\\\]\\n \+[^']`).Match(story)
			switch {
			case can[status] && !shows:
				t.Errorf("%s does not show with which words %s is %s", name, check.ID, status)
			case shows && !can[status]:
				t.Errorf("%s shows %s as %s, which was not found in its code", name, check.ID, status)
			}
		}
	}
}

// code is the package checks: each check's Run by its ID, each function and method by its name.
type code struct {
	runs  map[string]ast.Node
	funcs map[string][]*ast.BlockStmt
}

func readChecks(t *testing.T) code {
	t.Helper()
	c := code{map[string]ast.Node{}, map[string][]*ast.BlockStmt{}}
	files, err := filepath.Glob(filepath.Join(fixture.Root(), "checks", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, c.note)
	}
	return c
}

// note keeps a function, and the Run of a literal of Check.
func (c code) note(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		c.funcs[n.Name.Name] = append(c.funcs[n.Name.Name], n.Body)
	case *ast.CompositeLit:
		fields := map[string]ast.Expr{}
		for _, e := range n.Elts {
			if pair, ok := e.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok {
					fields[key.Name] = pair.Value
				}
			}
		}
		if id, ok := fields["ID"].(*ast.BasicLit); ok && fields["Run"] != nil {
			c.runs[strings.Trim(id.Value, `"`)] = fields["Run"]
		}
	}
	return true
}

// statuses are those that a check's Run can give: what makes a status in it, and in the functions that it names.
func (c code) statuses(id string) map[string]bool {
	found := map[string]bool{}
	if run := c.runs[id]; run != nil {
		c.collect(run, found, map[string]bool{})
	}
	return found
}

// makes are the names by which code makes a status. eachGPU gives these two beside what it is told for a GPU.
var makes = map[string][]string{
	"pass": {"pass"}, "skip": {"skip"}, "unknown": {"unknown"}, "warn": {"warn"}, "fail": {"fail"},
	"StatusPass": {"pass"}, "StatusSkip": {"skip"}, "StatusUnknown": {"unknown"}, "StatusWarn": {"warn"}, "StatusFail": {"fail"},
	"lowered": {"warn"}, "failIfNoneLeft": {"warn", "fail"},
	"eachGPU": {"skip", "unknown"},
}

func (c code) collect(from ast.Node, found, seen map[string]bool) {
	variables := variablesOf(from)
	follow := func(name string) {
		if statuses, ok := makes[name]; ok {
			for _, status := range statuses {
				found[status] = true
			}
			return
		}
		if !seen[name] {
			seen[name] = true
			for _, body := range c.funcs[name] {
				c.collect(body, found, seen)
			}
		}
	}
	ast.Inspect(from, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr: // a comparison makes none
			return n.Op == token.LAND || n.Op == token.LOR
		case *ast.SelectorExpr:
			follow(n.Sel.Name)
		case *ast.Ident:
			if !variables[n.Name] {
				follow(n.Name)
			}
		}
		return true
	})
}

// variablesOf are the names of the variables declared in code, which may be those of functions elsewhere.
func variablesOf(from ast.Node) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(from, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if name, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
					names[name.Name] = true
				}
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				names[name.Name] = true
			}
		}
		return true
	})
	return names
}
