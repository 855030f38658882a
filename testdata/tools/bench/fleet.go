package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

const (
	fleetHosts  = 1000
	fleetRounds = 10
)

// printFleet prints what one check of a fleet costs: every second host has a driver whose CUDA is too old. The hosts are those
// that printEvidence leaves.
func (s scene) printFleet(ctx context.Context, out io.Writer) error {
	program := filepath.Join(s.bin, "gpu-preflight")
	if err := os.Mkdir(s.path("fleet"), 0o755); err != nil {
		return err
	}
	size := 0
	for n, root := range []string{"host", "old/host"} {
		facts, err := exec.CommandContext(ctx, program, "--root", s.path(root), "facts").Output()
		if err != nil {
			return fmt.Errorf("facts of %s: %w", root, err)
		}
		for host := n; host < fleetHosts; host += 2 {
			if err := os.WriteFile(s.path(fmt.Sprintf("fleet/host%04d.json", host)), facts, 0o644); err != nil {
				return err
			}
		}
		size += len(facts)
	}
	var times, processor []time.Duration
	for range fleetRounds {
		began := time.Now()
		cmd := exec.CommandContext(ctx, program, "check", "--facts", s.path("fleet"), "--env", "NVIDIA_REQUIRE_CUDA=cuda>=13.0")
		table, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("check of a fleet: %w: %s", err, table)
		}
		if rows := bytes.Count(table, []byte("\nhost")); rows < fleetHosts-1 {
			return fmt.Errorf("check of a fleet: %d rows: %s", rows, table)
		}
		times = append(times, time.Since(began))
		processor = append(processor, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	slices.Sort(times)
	slices.Sort(processor)
	_, err := fmt.Fprintf(out, "\none check on %d hosts of 8 GPUs, %d rounds: %d ms, %d ms of processor time (facts files of %d KB)\n",
		fleetHosts, fleetRounds, times[fleetRounds/2].Milliseconds(), processor[fleetRounds/2].Milliseconds(), size/2/1024)
	return err
}
