package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	const passed = `{"Action":"start","Package":"a"}
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"pass","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.01s\n"}
{"Action":"pass","Package":"a"}
`
	rows := []struct {
		name, in, out, table string
		code                 int
	}{
		{"passed", passed, "ok  \ta\t0.01s\n", "pass\ta\tTestX\t\n", 0},
		{"nothing ran", "", "FAIL\n", "", 1},
		{"cut off", `{"Action":"start","Package":"a"}` + "\n" + `{"Action":"run","Package":"a","Test":"TestX"}` + "\n", "FAIL\n", "", 1},
		{
			"skipped", `{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:3: no runc\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"--- SKIP: TestX (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestX"}
` + passed, "ok  \ta\t0.01s\n", "skip\ta\tTestX\tx_test.go:3: no runc\npass\ta\tTestX\t\n", 0,
		},
		{
			"failed, and one that never ended", `{"Action":"output","Package":"a","Test":"TestX","Output":"got 1\n"}
{"Action":"fail","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestY","Output":"panic: no\n"}
{"Action":"output","Package":"a","Output":"FAIL\ta\t0.01s\n"}
{"Action":"fail","Package":"a"}
`, "got 1\npanic: no\nFAIL\ta\t0.01s\nFAIL\n", "fail\ta\tTestX\t\n", 1,
		},
		{
			"does not build", `{"ImportPath":"a","Action":"build-output","Output":"a.go:1: undefined: x\n"}
{"ImportPath":"a","Action":"build-fail"}
{"Action":"output","Package":"a","Output":"FAIL\ta [build failed]\n"}
{"Action":"fail","Package":"a","FailedBuild":"a"}
`, "a.go:1: undefined: x\nFAIL\ta [build failed]\nFAIL\n", "", 1,
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			dir, out := t.TempDir(), &strings.Builder{}
			code, err := run(dir, strings.NewReader(row.in), out)
			if err != nil {
				t.Fatal(err)
			}
			if code != row.code || out.String() != row.out {
				t.Errorf("code %d, printed %q; want %d, %q", code, out, row.code, row.out)
			}
			if table, err := os.ReadFile(filepath.Join(dir, "tests.tsv")); err != nil || string(table) != row.table {
				t.Errorf("table %q (%v), want %q", table, err, row.table)
			}
			if log, err := os.ReadFile(filepath.Join(dir, "test.log")); err != nil || string(log) != row.in {
				t.Errorf("log %q (%v), want the input", log, err)
			}
		})
	}
}
