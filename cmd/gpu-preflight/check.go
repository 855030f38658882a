package main

import (
	"context"
	"encoding"
	"time"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/hook"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "would this container start here?",
		Description: "Judges a launch as the hook would. Without --bundle it is a launch that gets GPUs by --route.\n" +
			"In the image (--bundle, --rootfs, --image with --deep) it looks for the CUDA and the GPUs that torch and others\n" +
			"were built for, and for a libcuda that comes before the driver's.\n" +
			"Exit code 0: it may start, 1: it is refused, 2: wrong usage or unreadable input.\n\n" + example(
			"gpu-preflight check --bundle /run/containerd/io.containerd.runtime.v2.task/moby/ID",
			"gpu-preflight check --env 'NVIDIA_REQUIRE_CUDA=cuda>=13.0'",
			"gpu-preflight check --assume driver=535.183.06,arch=8.9,brand=GeForce --env CUDA_VERSION=13.0.1",
			"gpu-preflight check --image pytorch/pytorch:latest --deep",
			"gpu-preflight check --facts ./hosts --image oci:./image:latest  # which of these hosts can run it?",
			"gpu-preflight facts > host.json; gpu-preflight check --facts host.json --rootfs ./rootfs"),
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "bundle", Usage: "the OCI bundle in `DIR`"},
			&cli.StringFlag{Name: "rootfs", Usage: "look into the unpacked image in `DIR`: a chroot, a sandbox of Apptainer, a container of enroot"},
			&cli.StringSliceFlag{Name: "env", Usage: "the container's environment has `KEY=VALUE`, whatever image and bundle say (repeatable)"},
			&cli.StringSliceFlag{Name: "facts", Usage: "judge the host whose facts are in `FILE` (repeatable, or a folder of such files: one row a host)"},
			&cli.StringFlag{Name: "assume", Usage: "judge a healthy host with these `FACTS`: driver, cuda, arch, brand, gpus; key= leaves one open"},
			&cli.StringFlag{Name: "route", Usage: "how the GPUs come in: `cdi`, jit-cdi, legacy or csv (default: what config.json shows, else cdi)"},
			&cli.StringFlag{Name: "gpus", Usage: "the GPUs asked for: `all`, or indexes and UUIDs with commas between (default: what config.json shows, else all)"},
			&cli.StringFlag{Name: "requirement", Usage: "instead of the policy's: `auto`, declared or minor-version"},
			&cli.StringFlag{Name: "mode", Usage: "instead of the policy's: `enforce`, warn or off"},
			&cli.BoolFlag{Name: "verbose", Usage: "print every check, not only what was found"},
			reportFlag(),
		}, imageFlags()...),
		Action: reporting(checkAction),
	}
}

func checkAction(c *cli.Context, form string) error {
	p, err := checkPolicy(c)
	if err != nil {
		return err
	}
	files, fleet, err := factsFiles(c)
	if err != nil {
		return err
	}
	launch, unjudged, err := readLaunch(c, p)
	if err != nil {
		return err
	}
	if fleet {
		return fleetAction(c, files, launch, unjudged, p, form)
	}
	world, err := readWorld(c, p, launch)
	if err != nil {
		return err
	}
	j := judged{launch: launch, verdict: unjudged}
	if unjudged.Verdict == "" {
		j = judge(c.Context, world, launch, p)
	}
	return j.answer(c, form)
}

// checkPolicy is the policy in force with what the command line puts over it.
func checkPolicy(c *cli.Context) (hook.Policy, error) {
	p, err := policy(c)
	if err != nil {
		return p, err
	}
	for _, over := range []struct {
		flag string
		into encoding.TextUnmarshaler
	}{{"requirement", &p.Requirement}, {"mode", &p.Mode}} {
		if !c.IsSet(over.flag) {
			continue
		}
		if err := over.into.UnmarshalText([]byte(c.String(over.flag))); err != nil {
			return p, wrongUsage(c, "--%s: %w", over.flag, err)
		}
	}
	return p, nil
}

// judged is a judgement, as check and demo print it.
type judged struct {
	image   string // as --image names it
	launch  checks.Launch
	facts   host.Facts
	verdict hook.Verdict
	waited  time.Duration
}

func judge(ctx context.Context, world hook.World, launch checks.Launch, p hook.Policy) judged {
	facts, verdict, waited := hook.Settle(ctx, world, launch, p)
	if here, ok := world.(*hook.ThisHost); ok {
		brief, done := context.WithTimeout(ctx, here.Timeout)
		defer done()
		verdict = hook.Mend(brief, here.Options, facts, verdict, launch, p)
	}
	return judged{launch: launch, facts: facts, verdict: verdict, waited: waited}
}
