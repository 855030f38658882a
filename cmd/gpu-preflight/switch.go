package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"gpu-preflight/hook"
)

func offCommand() *cli.Command {
	return &cli.Command{
		Name:  "off",
		Usage: "let every launch on this host pass unjudged",
		Description: "Holds for the time given, or until gpu-preflight on.\n\n" +
			example("gpu-preflight off --for 1h", "gpu-preflight off"),
		Flags: []cli.Flag{&cli.DurationFlag{Name: "for", Usage: "only for this `TIME`, and not beyond a reboot"}},
		Action: func(c *cli.Context) error {
			d := c.Duration("for")
			if c.IsSet("for") && d <= 0 {
				return wrongUsage(c, "--for %s is no time to come", d)
			}
			now := time.Now()
			if err := hostSwitch(c).TurnOff(now, d); err != nil {
				return fmt.Errorf("switch off: %w", err)
			}
			return printSwitch(c, now)
		},
	}
}

func onCommand() *cli.Command {
	return &cli.Command{
		Name:        "on",
		Usage:       "judge launches on this host again",
		Description: "Takes back gpu-preflight off.\n\n" + example("gpu-preflight on"),
		Action: func(c *cli.Context) error {
			if err := hostSwitch(c).TurnOn(); err != nil {
				return fmt.Errorf("switch on: %w", err)
			}
			return printSwitch(c, time.Now())
		},
	}
}

func hostSwitch(c *cli.Context) hook.Switch {
	return hook.DefaultSwitch().Below(rootFlag(c))
}

// printSwitch says what holds now, which need not be what was asked for: off outlasts off --for.
func printSwitch(c *cli.Context, now time.Time) error {
	text := "on: GPU launches are judged"
	if off, until := hostSwitch(c).State(now); off && until.IsZero() {
		text = "off: every launch passes unjudged, until gpu-preflight on"
	} else if off {
		text = fmt.Sprintf("off: every launch passes unjudged, until %s (%s from now)",
			until.Format(time.RFC3339), until.Sub(now).Round(time.Second))
	}
	_, err := fmt.Fprintln(c.App.Writer, text)
	return err
}
