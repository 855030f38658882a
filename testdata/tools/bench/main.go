// Bench prints what a launch costs with gpu-preflight, side by side with a static Go program that does nothing:
// the programs take turns, so that whatever else the machine does falls on all of them alike. It only prints;
// it is no test.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	bin := flag.String("bin", "bin", "folder of the programs")
	tools := flag.String("tools", ".cache/tools", "folder of noop")
	nvml := flag.String("nvml", "testdata/nvml/nvml.c", "source of the fake NVML library")
	rounds := flag.Int("rounds", 200, "how often each program runs")
	flag.Parse()
	if err := run(context.Background(), *bin, *tools, *nvml, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, bin, tools, nvml string, rounds int) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := scene{dir: dir, bin: filepath.Join(dir, "bin"), noop: filepath.Join(dir, "bin/noop")}
	// Copies, as on a host where they are installed: a file that the linker has just written lies in the page cache in
	// small pieces, and starts a sixth slower.
	if err = errors.Join(os.CopyFS(s.bin, os.DirFS(bin)), copyFile(s.noop, filepath.Join(tools, "noop"))); err != nil {
		return err
	}
	if err = s.build(ctx, nvml); err != nil {
		return err
	}
	programs := s.programs()
	for i := range programs { // a first run each: page cache, and does it do what it is measured for?
		if err := programs[i].check(ctx); err != nil {
			return err
		}
	}
	fmt.Printf("%d rounds, the programs taking turns\n\n", rounds)
	for range rounds {
		for i := range programs {
			if err := programs[i].time(ctx); err != nil {
				return err
			}
		}
	}
	printTimes(os.Stdout, programs)
	if err := printSizes(ctx, os.Stdout, dir, programs); err != nil {
		return err
	}
	if err := s.printDoctor(ctx, os.Stdout); err != nil {
		return err
	}
	if err := s.printEvidence(ctx, os.Stdout); err != nil {
		return err
	}
	return s.printFleet(ctx, os.Stdout)
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}
