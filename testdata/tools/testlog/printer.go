package main

import (
	"fmt"
	"io"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// printer holds back what a package prints until it is known whether it passed.
type printer struct {
	out, table io.Writer
	packages   map[string]*pkg
	ended      int
	failed     bool
}

// pkg is a package whose tests run: its own output, that of its running tests, and that of those that failed.
type pkg struct {
	output   strings.Builder
	running  map[string]*strings.Builder
	order    []string
	failures strings.Builder
}

func newPrinter(out, table io.Writer) *printer {
	return &printer{out: out, table: table, packages: map[string]*pkg{}}
}

func (p *printer) event(e event) {
	switch {
	case e.Action == "build-output":
		fmt.Fprint(p.out, e.Output)
	case e.Package == "":
	case e.Test != "":
		p.test(e)
	case e.Action == "output":
		p.pkg(e.Package).output.WriteString(e.Output)
	case e.Action == "pass", e.Action == "fail", e.Action == "skip":
		p.end(e)
	}
}

func (p *printer) pkg(name string) *pkg {
	if p.packages[name] == nil {
		p.packages[name] = &pkg{running: map[string]*strings.Builder{}}
	}
	return p.packages[name]
}

func (p *printer) test(e event) {
	k := p.pkg(e.Package)
	if k.running[e.Test] == nil {
		k.running[e.Test] = &strings.Builder{}
		k.order = append(k.order, e.Test)
	}
	switch e.Action {
	case "output":
		k.running[e.Test].WriteString(e.Output)
	case "pass", "skip", "fail":
		reason := ""
		if e.Action == "skip" {
			reason = skipReason(k.running[e.Test].String())
		}
		if e.Action == "fail" {
			k.failures.WriteString(k.running[e.Test].String())
		}
		fmt.Fprintf(p.table, "%s\t%s\t%s\t%s\n", e.Action, e.Package, e.Test, reason)
		delete(k.running, e.Test)
	}
}

// end prints the package's summary line; if it failed, everything that tells why comes before it.
func (p *printer) end(e event) {
	p.ended++
	k := p.pkg(e.Package)
	if e.Action == "fail" {
		p.failed = true
		fmt.Fprint(p.out, k.failures.String())
		for _, name := range k.order { // those that never ended: a panic, a time-out, an exit
			if k.running[name] != nil {
				fmt.Fprint(p.out, k.running[name].String())
			}
		}
		fmt.Fprint(p.out, k.output.String())
	} else {
		for line := range strings.Lines(k.output.String()) {
			if strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") {
				fmt.Fprint(p.out, line)
			}
		}
	}
	delete(p.packages, e.Package)
}

// finish returns the exit code: a stream that ends before its packages do is a failure too.
func (p *printer) finish() int {
	if p.failed || p.ended == 0 || len(p.packages) > 0 {
		fmt.Fprintln(p.out, "FAIL")
		return 1
	}
	return 0
}

// skipReason is what the test said, on one line, without the frame that go test puts around it.
func skipReason(output string) string {
	var words []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			words = append(words, strings.ReplaceAll(line, "\t", " "))
		}
	}
	return strings.Join(words, " ")
}
