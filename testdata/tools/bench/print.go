package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// printTimes prints the medians; programs[0] is the yardstick. The order is that of scene.programs.
func printTimes(out io.Writer, programs []program) {
	noop := programs[0].median()
	times := func(d time.Duration) string { return fmt.Sprintf("%.2f x noop", float64(d)/float64(noop)) }
	said := map[int]string{
		0: "1",
		1: times(programs[1].median()) + " (bar 2.0)",
		2: times(programs[2].median()-noop) + " added to the next runtime, which is noop (bar 2.2)",
		3: times(programs[3].median()) + " (bar 6)",
		4: times(programs[4].median()) + fmt.Sprintf(" (bar 6), %.2f x one GPU (bar 1.3)", float64(programs[4].median())/float64(programs[3].median())),
		5: times(programs[5].median()) + ": the image is looked into as well",
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "program\tmedian ms\tratio")
	for i := range programs {
		fmt.Fprintf(w, "%s\t%.3f\t%s\n", programs[i].name, float64(programs[i].median().Microseconds())/1000, said[i])
	}
	w.Flush()
}

// printSizes prints memory, initialisation and system calls of each program.
func printSizes(ctx context.Context, out io.Writer, dir string, programs []program) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nprogram\tpeak MiB with children (bar 25)\tinittrace ms (bar 0.3)\tsystem calls (bar noop + 60)")
	for i := range programs {
		p := &programs[i]
		peak, err := p.peak(ctx)
		if err != nil {
			return err
		}
		inits, err := p.inits(ctx)
		if err != nil {
			return err
		}
		calls, err := p.systemCalls(ctx, dir)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.3f\t%s\n", p.name, float64(peak)/(1<<20), inits, calls)
	}
	return w.Flush()
}

// peak is the most memory that the process and those below it held at one time, in bytes: the largest sum of
// resident sizes over five runs, looked at as often as possible. Pages that two of them share count twice.
func (p *program) peak(ctx context.Context) (most int, err error) {
	for range 5 {
		cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
		cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, p.env...)
		in, err := os.Open(p.stdin)
		if err != nil {
			return 0, err
		}
		cmd.Stdin = in
		err = cmd.Start()
		in.Close()
		if err != nil {
			return 0, err
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		for running := true; running; {
			most = max(most, resident(cmd.Process.Pid))
			select {
			case err = <-done:
				running = false
			default:
			}
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return most, nil
}

// resident sums the resident sizes of a process and its descendants, in bytes.
func resident(pid int) int {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	text, err := os.ReadFile(filepath.Join(proc, "statm"))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1]) // not a number: not a process any more
	sum := pages * os.Getpagesize()
	tasks, _ := filepath.Glob(filepath.Join(proc, "task", "*", "children"))
	for _, task := range tasks {
		children, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		for child := range strings.FieldsSeq(string(children)) {
			if id, err := strconv.Atoi(child); err == nil {
				sum += resident(id)
			}
		}
	}
	return sum
}

var initClock = regexp.MustCompile(`(?m)^init .*, ([0-9.]+) ms clock`)

// inits is the time that the initialisation of the program's packages takes, in ms. The shim's next runtime is
// in it too.
func (p *program) inits(ctx context.Context) (sum float64, err error) {
	q := *p
	q.env = append(append([]string{}, p.env...), "GODEBUG=inittrace=1")
	_, stderr, err := q.run(ctx)
	for _, m := range initClock.FindAllStringSubmatch(stderr, -1) {
		ms, parseErr := strconv.ParseFloat(m[1], 64)
		if parseErr != nil {
			return 0, parseErr
		}
		sum += ms
	}
	return sum, err
}

// systemCalls is how many the program and its children make, or that strace is not here.
func (p *program) systemCalls(ctx context.Context, dir string) (string, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return "no strace", nil
	}
	table := filepath.Join(dir, "strace")
	if _, _, err = p.run(ctx, strace, "-f", "-c", "-o", table); err != nil {
		return "", err
	}
	text, err := os.ReadFile(table)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 4 && fields[len(fields)-1] == "total" {
			return fields[3], nil
		}
	}
	return "", fmt.Errorf("%s: strace printed no total", p.name)
}
