package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks/host"
)

func factsCommand() *cli.Command {
	return &cli.Command{
		Name:  "facts",
		Usage: "print this host's facts as JSON, to keep, to send, to judge by",
		Description: "Reads everything that the checks look at. What cannot be read is unknown, with the reason.\n\n" +
			example("gpu-preflight facts > host.json", "gpu-preflight check --facts host.json --env CUDA_VERSION=12.8.0"),
		Action: func(c *cli.Context) error {
			p, err := policy(c)
			if err != nil {
				return err
			}
			if _, err := format(c); err != nil {
				return err
			}
			o, err := thisHost(c, p)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context, time.Duration(p.Timeout))
			defer cancel()
			return writeJSON(c.App.Writer, host.Gather(ctx, o))
		},
	}
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // cuda>=12.4 is to be read by people too
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
