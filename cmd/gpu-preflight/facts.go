package main

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
)

func factsCommand() *cli.Command {
	return &cli.Command{
		Name:  "facts",
		Usage: "print this host's facts as JSON, to keep, to send, to judge by",
		Description: "Reads everything that the checks look at. What cannot be read is unknown, with the reason.\n\n" +
			example("gpu-preflight facts > host.json", "gpu-preflight check --facts host.json --env CUDA_VERSION=12.8.0"),
		Action: func(c *cli.Context) error {
			if _, err := format(c); err != nil {
				return err
			}
			p, err := policy(c)
			if err != nil {
				return err
			}
			facts, err := wholeHost(c, p)
			if err != nil {
				return err
			}
			return writeJSON(c.App.Writer, facts)
		},
	}
}

// stackTimeout bounds the reading of a host with its packages, for people who wait for it.
const stackTimeout = time.Minute

// writeJSON writes a document that may hold foreign text and may be shown on a terminal.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // cuda>=12.4 is to be read by people too
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(checks.EscapeJSON(b.Bytes()))
	return err
}
