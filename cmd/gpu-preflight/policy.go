package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"gpu-preflight/hook"
)

func policyCommand() *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "print the policy in force, and where each value comes from",
		Description: "The values that the file does not set are the defaults.\n\n" +
			example("gpu-preflight policy", "gpu-preflight policy check ./config.toml && install ./config.toml /etc/gpu-preflight/"),
		Before: noSuchSubcommand,
		Action: func(c *cli.Context) error {
			form, err := format(c)
			if err != nil {
				return err
			}
			p, err := policy(c)
			if err != nil {
				return err
			}
			if form == "json" {
				return writeJSON(c.App.Writer, p)
			}
			return printPolicy(c.App.Writer, p)
		},
		Subcommands: []*cli.Command{{
			Name:        "check",
			Usage:       "read a policy file before it is installed",
			ArgsUsage:   "FILE",
			Description: "Exit code 0: it can be used, 2: it cannot, and the line that is to blame.\n\n" + example("gpu-preflight policy check ./config.toml"),
			Action: func(c *cli.Context) error {
				if c.NArg() != 1 {
					return wrongUsage(c, "want one FILE, not %d", c.NArg())
				}
				return checkPolicyFile(c.App.Writer, c.Args().First())
			},
		}},
	}
}

func noSuchSubcommand(c *cli.Context) error {
	if word := c.Args().First(); word != "" && word != "check" {
		return wrongUsage(c, "unknown argument %q", word)
	}
	return nil
}

func checkPolicyFile(w io.Writer, file string) error {
	p, err := hook.ReadPolicy(file)
	if err != nil {
		return err
	}
	if p.Path == "" {
		return fmt.Errorf("policy %s: it is not there", file)
	}
	_, err = fmt.Fprintf(w, "policy %s: it can be used; it sets %d values\n", file, len(p.Set))
	return err
}

// printPolicy writes one line a value. The names and values are those of the JSON form, which are the file's.
func printPolicy(w io.Writer, p hook.Policy) error {
	values, err := policyValues(p)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, v := range values {
		source := "default"
		if slices.Contains(p.Set, v.key) {
			source = p.Path
		}
		if _, err := fmt.Fprintf(table, "%s\t%s\t%s\n", v.key, v.value, source); err != nil {
			return err
		}
	}
	return table.Flush()
}

type policyValue struct{ key, value string }

// policyValues walks the JSON form, which keeps the order of the policy's fields.
func policyValues(p hook.Policy) ([]policyValue, error) {
	p.Path, p.Problem, p.Set = "", "", nil
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var values []policyValue
	err = walk("", text, func(key string, value json.RawMessage) {
		if key != "path" && key != "set" {
			values = append(values, policyValue{key, plainJSON(value)})
		}
	})
	return values, err
}

// walk calls visit for every value of an object that is no object itself, in the order written, by its dotted key.
func walk(prefix string, object []byte, visit func(key string, value json.RawMessage)) error {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if _, err := decoder.Token(); err != nil {
		return err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		key := prefix + fmt.Sprint(name)
		if value[0] != '{' {
			visit(key, value)
		} else if err := walk(key+".", value, visit); err != nil {
			return err
		}
	}
	return nil
}

func plainJSON(value json.RawMessage) string {
	return strings.ReplaceAll(string(value), `","`, `", "`)
}
