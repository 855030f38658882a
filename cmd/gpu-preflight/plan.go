package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/checks/cuda"
	"gpu-preflight/checks/plan"
	"gpu-preflight/checks/report"
	"gpu-preflight/hook"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

func planCommand() *cli.Command {
	return &cli.Command{
		Name:  "plan",
		Usage: "how does this host get a driver that serves this?",
		Description: "Prints the driver branch with its reasons, the steps in order and the risks. It changes nothing.\n" +
			"Exit code 0: a plan, or nothing to do, 1: no driver does it with these GPUs, 2: wrong usage or unreadable input.\n\n" + example(
			"gpu-preflight plan --cuda 12.8",
			"gpu-preflight plan --driver 580",
			"gpu-preflight plan --bundle ./bundle",
			"gpu-preflight plan --image pytorch/pytorch:latest --deep",
			"gpu-preflight facts > host.json; gpu-preflight plan --cuda 13.0 --facts host.json"),
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "cuda", Usage: "the host has to serve CUDA `VERSION`"},
			&cli.StringFlag{Name: "driver", Usage: "the host has to get a driver of `BRANCH`: 580"},
			&cli.StringFlag{Name: "bundle", Usage: "the host has to serve the CUDA that the OCI bundle in `DIR` asks for"},
			&cli.StringFlag{Name: "facts", Usage: "plan for the host whose facts are in `FILE`"},
		}, imageFlags()...),
		Action: planAction,
	}
}

func planAction(c *cli.Context) error {
	form, err := format(c)
	if err != nil {
		return err
	}
	p, err := policy(c)
	if err != nil {
		return err
	}
	target, err := planTarget(c, p)
	if err != nil {
		return err
	}
	facts, err := doctorFacts(c, p)
	if err != nil {
		return err
	}
	runbook := plan.Make(facts, target)
	if form == "json" {
		err = writeJSON(c.App.Writer, runbook)
	} else {
		err = report.Plan(c.App.Writer, runbook, report.Style{Color: color(c)})
	}
	if err == nil && runbook.Answer == plan.NoWay {
		err = errRefused
	}
	return err
}

// planTarget is what exactly one of the flags asks for.
func planTarget(c *cli.Context, p hook.Policy) (plan.Target, error) {
	given := slices.DeleteFunc([]string{"cuda", "driver", "bundle", "image"}, func(flag string) bool { return !c.IsSet(flag) })
	if len(given) != 1 {
		return plan.Target{}, wrongUsage(c, "exactly one of --cuda, --driver, --bundle and --image says what for")
	}
	switch given[0] {
	case "cuda":
		v, err := cuda.ParseVersion(c.String("cuda"))
		if err != nil || v.IsZero() {
			return plan.Target{}, wrongUsage(c, "--cuda %q is no CUDA version such as 12.8", c.String("cuda"))
		}
		return plan.Target{CUDA: v}, nil
	case "driver":
		branch, err := strconv.Atoi(c.String("driver"))
		if _, known := cuda.Lifecycle(branch); err != nil || !known {
			return plan.Target{}, wrongUsage(c, "--driver %q is no driver branch that is known, such as 580", c.String("driver"))
		}
		return plan.Target{Branch: branch}, nil
	case "image":
		return imageTarget(c, p)
	}
	return bundleTarget(c, p)
}

// bundleTarget is the CUDA that a bundle's image needs, by its files and its environment.
func bundleTarget(c *cli.Context, p hook.Policy) (plan.Target, error) {
	dir := c.String("bundle")
	container, err := oci.LoadContainer(dir)
	if err != nil {
		return plan.Target{}, err
	}
	launch := checks.Launch{Container: container, Needs: image.FromContainer(container)}
	if err = (contents{}).look(c, p, &launch); err != nil {
		return plan.Target{}, err
	}
	return neededBy(launch, "bundle "+dir, dir)
}

// imageTarget is the CUDA that an image needs, by its configuration, and with --deep by its files.
func imageTarget(c *cli.Context, p hook.Policy) (plan.Target, error) {
	from, err := findContents(c, p)
	if err != nil {
		return plan.Target{}, err
	}
	defer from.close()
	launch := checks.Launch{Needs: image.FromContainer(&from.container)}
	if err = from.look(c, p, &launch); err != nil {
		return plan.Target{}, err
	}
	return neededBy(launch, "image "+c.String("image"), c.String("image"))
}

func neededBy(launch checks.Launch, of, name string) (plan.Target, error) {
	v, ok := checks.ImageCUDA(launch.Needs)
	if !ok {
		return plan.Target{}, fmt.Errorf("%s: %w", of, errNoCUDA)
	}
	return plan.Target{CUDA: v, From: "the image of " + name}, nil
}

var errNoCUDA = errors.New("neither its environment (CUDA_VERSION, NVIDIA_REQUIRE_CUDA) nor its files tell which CUDA it needs")
