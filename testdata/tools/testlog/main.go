// Testlog reads the events of go test -json and prints what go test itself would print: the output of tests
// that failed and one line a package. It keeps every event in DIR/test.log and one line a test in DIR/tests.tsv
// (pass, skip or fail, package, test, reason of a skip), for those who want to know what ran.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	dir := flag.String("dir", ".cache", "folder of test.log and tests.tsv")
	flag.Parse()
	code, err := run(*dir, os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testlog:", err)
		code = 1
	}
	os.Exit(code)
}

func run(dir string, in io.Reader, out io.Writer) (code int, err error) {
	log, err := create(filepath.Join(dir, "test.log"))
	if err != nil {
		return 1, err
	}
	defer log.Close()
	table, err := create(filepath.Join(dir, "tests.tsv"))
	if err != nil {
		return 1, err
	}
	defer table.Close()
	p := newPrinter(out, table)
	lines := bufio.NewReader(in)
	for {
		line, readErr := lines.ReadBytes('\n')
		if _, err := log.Write(line); err != nil {
			return 1, err
		}
		var e event
		if json.Unmarshal(line, &e) == nil {
			p.event(e)
		} else if len(line) > 0 {
			fmt.Fprintf(out, "%s", line)
		}
		if readErr == io.EOF {
			return p.finish(), nil
		}
		if readErr != nil {
			return 1, readErr
		}
	}
}

func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
}
