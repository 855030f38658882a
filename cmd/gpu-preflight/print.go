package main

import "github.com/urfave/cli/v2"

func (j judged) answer(c *cli.Context, form string) error { return writeJSON(c.App.Writer, j.verdict) }
