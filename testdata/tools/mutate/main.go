// Mutate changes one value in one random row of the product's tables (*.tsv below checks, hook and oci) at a time,
// in a copy of the repository, and wants a named test to turn red each time: a table that no test pins could be
// edited wrongly without notice.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	repo := flag.String("repo", ".", "top of the repository")
	seed := flag.Uint64("seed", 0, "what the choice follows from; 0: the time")
	rows := flag.Int("rows", 20, "how many rows to change")
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	fmt.Printf("mutate: seed %d\n", *seed)
	survivors, err := run(context.Background(), *repo, *seed, *rows, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	}
	if survivors > 0 {
		fmt.Printf("mutate: %d of %d changes turned no test red\n", survivors, *rows)
		os.Exit(1)
	}
	fmt.Printf("mutate: each of %d changes turned a test red\n", *rows)
}

// run returns how many changes no test noticed.
func run(ctx context.Context, repo string, seed uint64, rows int, out io.Writer) (survivors int, err error) {
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	if err = copyRepo(ctx, repo, work); err != nil {
		return 0, err
	}
	cells, err := findCells(work)
	if err != nil {
		return 0, err
	}
	corpus, err := corpusOf(repo)
	if err != nil {
		return 0, err
	}
	t := trial{work: work, corpus: corpus, random: rand.New(rand.NewPCG(seed, seed)), green: map[string]bool{}}
	for i := range rows {
		line, noticed, err := t.try(ctx, cells[t.random.IntN(len(cells))])
		if err != nil {
			return 0, err
		}
		if !noticed {
			survivors++
		}
		fmt.Fprintf(out, "%2d %s\n", i+1, line)
	}
	return survivors, nil
}

// corpusOf is the absolute form of what the tests take as their corpus: the copy lies elsewhere.
func corpusOf(repo string) (string, error) {
	if set := os.Getenv("CORPUS"); filepath.IsAbs(set) {
		return set, nil
	} else if set != "" {
		return filepath.Abs(filepath.Join(repo, set))
	}
	return filepath.Abs(filepath.Join(repo, "..", "shared", "data"))
}

// trial is the copy in which one row at a time is changed.
type trial struct {
	work, corpus string
	random       *rand.Rand
	green        map[string]bool // packages whose tests were seen to pass unchanged
}

// try changes one value, runs the tests and puts the value back.
func (t *trial) try(ctx context.Context, c cell) (line string, noticed bool, err error) {
	if !t.green[c.pkg()] {
		if _, output := t.test(ctx, c); strings.Contains(output, "FAIL") {
			return "", false, fmt.Errorf("the tests of %s are red before anything was changed:\n%s", c.pkg(), output)
		}
		t.green[c.pkg()] = true
	}
	old, changed, err := c.change(t.work, t.random)
	if err != nil {
		return "", false, err
	}
	red, output := t.test(ctx, c)
	said := "red: " + strings.Join(red, " ")
	switch {
	case len(red) == 0 && strings.Contains(output, "FAIL"):
		said = "NO NAMED TEST turned red:\n" + output
	case len(red) == 0:
		said = "NO TEST TURNED RED"
	}
	line = fmt.Sprintf("%s:%d column %d: %q -> %q  %s", c.file, c.line+1, c.column+1, old, changed, said)
	return line, len(red) > 0, c.restore(t.work)
}

// copyRepo copies what git tracks or would track.
func copyRepo(ctx context.Context, repo, work string) error {
	list := exec.CommandContext(ctx, "git", "-C", repo, "ls-files", "-z", "-c", "-o", "--exclude-standard")
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		from, to := filepath.Join(repo, name), filepath.Join(work, name)
		text, err := os.ReadFile(from)
		if os.IsNotExist(err) {
			continue // deleted, and git does not know it
		}
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

var failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// test returns the names of the tests that fail, and everything that go test printed.
func (t *trial) test(ctx context.Context, c cell) (red []string, output string) {
	cmd := exec.CommandContext(ctx, "go", "test", "./checks", "./"+c.pkg())
	cmd.Dir = t.work
	cmd.Env = append(os.Environ(), "CORPUS="+t.corpus)
	text, _ := cmd.CombinedOutput() // its error is the red test that is wanted
	for _, m := range failedTest.FindAllStringSubmatch(string(text), -1) {
		red = append(red, m[1])
	}
	return red, string(text)
}
