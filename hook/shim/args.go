package shim

import (
	"slices"
	"strings"
)

// call is what the shim reads of an OCI runtime's command line; the line itself is handed on unchanged.
type call struct {
	Command string // create, run, …; empty when none was found
	Log     string // --log
	Bundle  string // --bundle, -b; empty: the current folder
	ID      string
}

// The flags of runc 1.1-1.5 and crun 1.8 that take a value as a word of its own.
var (
	globalValues = []string{"log", "log-format", "log-level", "root", "criu", "rootless", "cgroup-manager"}
	createValues = []string{"bundle", "b", "console-socket", "pid-file", "pidfd-socket", "preserve-fds", "config", "f", "log"}
)

// parse reads argv without its first word. Global flags stand before the command; --flag=value and -b value are
// both in use.
func parse(args []string) call {
	var c call
	flags, rest := split(args, globalValues)
	c.Log = flags["log"]
	if len(rest) == 0 {
		return c
	}
	c.Command = rest[0]
	if !c.judged() {
		return c
	}
	flags, rest = split(rest[1:], createValues)
	c.Bundle = flags["bundle"]
	if short := flags["b"]; short != "" {
		c.Bundle = short
	}
	if len(rest) > 0 {
		c.ID = rest[0]
	}
	return c
}

// judged tells whether the command starts a container.
func (c call) judged() bool { return c.Command == "create" || c.Command == "run" }

// split takes the flags up to the first word that is none.
func split(args, withValue []string) (flags map[string]string, rest []string) {
	flags = map[string]string{}
	for len(args) > 0 {
		word := args[0]
		if word == "--" {
			return flags, args[1:]
		}
		if !strings.HasPrefix(word, "-") || word == "-" {
			return flags, args
		}
		args = args[1:]
		name, value, inline := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if !inline && slices.Contains(withValue, name) && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		flags[name] = value
	}
	return flags, nil
}
