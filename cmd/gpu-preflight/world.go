package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/hook"
)

// readWorld is the host that a launch is judged for: a facts file, an assumed one, or this one.
func readWorld(c *cli.Context, p hook.Policy, launch checks.Launch) (hook.World, error) {
	spec := c.String("assume")
	switch {
	case c.IsSet("facts") && c.IsSet("assume"):
		return nil, wrongUsage(c, "--facts and --assume exclude each other")
	case c.IsSet("facts"):
		entries, err := host.ReadFacts(c.StringSlice("facts")[0])
		return &hook.Timeline{Entries: entries}, err
	case c.IsSet("assume"):
		facts, err := host.Assume(spec)
		if err != nil {
			return nil, wrongUsage(c, "--assume %q: %w", spec, err)
		}
		return &hook.Timeline{Entries: []host.Timed{{Facts: facts}}}, nil
	}
	o, err := thisHost(c, p)
	o.DriverRoot = launch.GPUs.DriverRoot
	if root, known := host.DriverRootOf(launch.GPUs.Libcuda); known && launch.GPUs.Libcuda != "" {
		o.DriverRoot = root
	}
	if launch.Container != nil && o.Root == "" {
		o.Sources = launch.Container.DriverSources()
	}
	return &hook.ThisHost{Options: o, Timeout: time.Duration(p.Timeout), Began: time.Now()}, err
}

// thisHost says how to read the host that the program runs on, or the one below --root. A person may wait for
// GPUs that are not initialised, so all are asked.
func thisHost(c *cli.Context, p hook.Policy) (host.Options, error) {
	o := host.Options{
		Root: hostRoot(c, p), AskAll: true, NVMLLibrary: p.Host.NVMLLibrary, NVMLTimeout: time.Duration(p.NVMLTimeout), RunDir: runDir,
	}
	if library, set := given(c, "nvml-library"); set {
		full, err := filepath.Abs(library)
		if err != nil {
			return o, fmt.Errorf("nvml library %s: %w", library, err)
		}
		o.NVMLLibrary = full
	}
	return o, nil
}

func hostRoot(c *cli.Context, p hook.Policy) string {
	if root, set := given(c, "root"); set {
		return root
	}
	return p.Host.Root
}
