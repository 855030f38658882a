package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks/report"
)

// reportFlag is --format of the commands that print a report.
func reportFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "format", Usage: "`text`, json, or for a monitor: prometheus, npd, nagios, nfd", Category: "everywhere:",
	}
}

// nagiosCode ends a command in an exit code of Nagios, after the line that says why.
type nagiosCode int

func (n nagiosCode) Error() string { return "nagios code " + strconv.Itoa(int(n)) }

// reporting gives a command that prints a report its format. Nagios and node-problem-detector read on stdout why there
// is no report, Nagios with its own code.
func reporting(action func(*cli.Context, string) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		form, err := formatOf(c, report.Formats...)
		if err != nil {
			return err
		}
		err = action(c, form)
		if err == nil || errors.Is(err, errRefused) || errors.As(err, new(nagiosCode)) {
			return err
		}
		_, _ = fmt.Fprint(c.App.Writer, report.Unjudged(form, c.Command.Name, err))
		if form == "nagios" {
			return nagiosCode(report.NagiosUnknown)
		}
		return err
	}
}

// ended is how a command ends that has printed a report: failed or not, and in Nagios's own codes where it asks.
func ended(form string, r report.Report, failed bool) error {
	switch {
	case form == "nagios" && report.NagiosCode(r) != report.NagiosOK:
		return nagiosCode(report.NagiosCode(r))
	case form != "nagios" && failed:
		return errRefused
	}
	return nil
}
