package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// program is one command that is measured.
type program struct {
	name  string
	args  []string // args[0] is the file
	env   []string
	stdin string // file
	wants string // what the record holds after a run; empty: nothing is recorded
	log   string // the record's file
	times []time.Duration
}

// run starts the command, waits for it and returns its wall time. Engines start a hook in the same way: fork,
// exec, standard input from them, wait.
func (p *program) run(ctx context.Context, prefix ...string) (took time.Duration, stderr string, err error) {
	args := append(slices.Clone(prefix), p.args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, p.env...)
	in, err := os.Open(p.stdin)
	if err != nil {
		return 0, "", err
	}
	defer in.Close()
	errs, err := os.CreateTemp("", "bench-stderr")
	if err != nil {
		return 0, "", err
	}
	defer os.Remove(errs.Name())
	defer errs.Close()
	cmd.Stdin, cmd.Stderr = in, errs
	start := time.Now()
	err = cmd.Run()
	took = time.Since(start)
	text, readErr := os.ReadFile(errs.Name())
	if err != nil {
		return took, string(text), fmt.Errorf("%s: %w: %s", p.name, err, text)
	}
	return took, string(text), readErr
}

// time adds one run to the times.
func (p *program) time(ctx context.Context) error {
	took, _, err := p.run(ctx)
	p.times = append(p.times, took)
	return err
}

// check runs the program once and looks into the record: a figure for a launch that was not judged means nothing.
func (p *program) check(ctx context.Context) error {
	if err := os.WriteFile(p.log, nil, 0o644); err != nil {
		return err
	}
	if _, _, err := p.run(ctx); err != nil {
		return err
	}
	record, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	if (p.wants == "") != (len(record) == 0) || !strings.Contains(string(record), p.wants) {
		return fmt.Errorf("%s: recorded %q, want %q", p.name, record, p.wants)
	}
	return nil
}

// median of the times.
func (p *program) median() time.Duration {
	sorted := slices.Sorted(slices.Values(p.times))
	return sorted[len(sorted)/2]
}
