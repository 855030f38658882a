package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/checks/report"
	"gpu-preflight/hook"
)

// factsFiles are the facts files that --facts names: itself, or every .json in a folder. With one file there is one host,
// and no fleet.
func factsFiles(c *cli.Context) (files []string, fleet bool, err error) {
	for _, named := range c.StringSlice("facts") {
		info, err := os.Stat(named)
		if err != nil || !info.IsDir() {
			files = append(files, named) // whoever reads it says what is wrong
			continue
		}
		inside, err := filepath.Glob(filepath.Join(named, "*.json"))
		if err != nil || len(inside) == 0 {
			return nil, false, fmt.Errorf("facts %s: no .json in it", named)
		}
		files, fleet = append(files, inside...), true
	}
	return files, fleet || len(files) > 1, nil
}

// judgeFleet judges one launch on the host of each facts file.
func judgeFleet(c *cli.Context, files []string, j judged, p hook.Policy) report.Fleet {
	var fleet report.Fleet
	for _, file := range files {
		name := hostName(file, files)
		entries, err := host.ReadFacts(file)
		if err != nil {
			fleet.AddUnread(name, file, err)
			continue
		}
		each := j
		if j.verdict.Verdict == "" {
			each = judge(c.Context, &hook.Timeline{Entries: entries}, j.launch, p)
			each.image = j.image
		}
		fleet.Add(name, file, each.report())
	}
	return fleet
}

// hostName is the name of a facts file without its ending; with the path where another has the same.
func hostName(file string, files []string) string {
	same := 0
	for _, other := range files {
		if filepath.Base(other) == filepath.Base(file) {
			same++
		}
	}
	if same == 1 {
		file = filepath.Base(file)
	}
	return strings.TrimSuffix(file, ".json")
}

// fleetAction answers for many hosts: exit code 1 when any refuses.
func fleetAction(c *cli.Context, files []string, launch checks.Launch, unjudged hook.Verdict, p hook.Policy, form string) error {
	if c.IsSet("assume") {
		return wrongUsage(c, "--facts and --assume exclude each other")
	}
	if form != "text" && form != "json" {
		return wrongUsage(c, "--format %s is for one host", form)
	}
	fleet := judgeFleet(c, files, judged{image: c.String("image"), launch: launch, verdict: unjudged}, p)
	var err error
	if form == "json" {
		err = report.FleetJSON(c.App.Writer, fleet)
	} else {
		err = report.FleetText(c.App.Writer, fleet, report.Style{Color: color(c)})
	}
	switch {
	case err != nil:
		return err
	case fleet.Refused > 0:
		return errRefused
	case fleet.Unread > 0:
		return errors.New("facts: some could not be read")
	}
	return nil
}
