package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpu-preflight/hook"
)

// The exit codes.
const (
	exitOK      = 0 // allowed or healthy, warnings included
	exitRefused = 1 // refused, or a check failed
	exitUsage   = 2 // wrong usage, or input that cannot be read
)

// errRefused ends a command whose answer, already printed, is no.
var errRefused = errors.New("refused")

// exitCode tells the user what went wrong, and the shell how it went.
func exitCode(err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errRefused):
		return exitRefused
	}
	if code, ok := errors.AsType[nagiosCode](err); ok {
		return int(code)
	}
	_, _ = fmt.Fprintln(stderr, "gpu-preflight:", err)
	return exitUsage
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:    "gpu-preflight",
		Usage:   "can this container use the GPUs of this host?",
		Version: version,
		Description: "The same judgement that the hook makes at every launch.\n\n" +
			example("gpu-preflight demo", "gpu-preflight check --env 'NVIDIA_REQUIRE_CUDA=cuda>=13.0'"),
		Reader: stdin, Writer: stdout, ErrWriter: stderr,
		Flags: globalFlags(),
		Commands: []*cli.Command{
			checkCommand(), doctorCommand(), factsCommand(), planCommand(), policyCommand(), offCommand(), onCommand(),
			registerCommand(), unregisterCommand(), statusCommand(),
			explainCommand(), demoCommand(), logsCommand(), completionCommand(), versionCommand(),
		},
		EnableBashCompletion:      true,
		DisableSliceFlagSeparator: true, // NVIDIA_REQUIRE_CUDA=cuda>=12.4,driver>=550 is one value
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              usageError,
		Action:                    helpOrUnknown,
	}
	for _, c := range app.Commands {
		c.Flags = append(c.Flags, globalFlags(c.Flags...)...)
		beStrict(c)
	}
	return app
}

// globalFlags may stand before the command and behind it, unless the command has its own of that name.
func globalFlags(own ...cli.Flag) []cli.Flag {
	const category = "everywhere:"
	return slices.DeleteFunc([]cli.Flag{
		&cli.StringFlag{Name: "root", Usage: "read the host's files below `DIR`; this machine's own NVML is then not asked", Category: category},
		&cli.StringFlag{Name: "config", Usage: "read the policy from `FILE` (" + hook.DefaultConfig + ")", Category: category},
		&cli.StringFlag{Name: "nvml-library", Usage: "load NVML from `FILE`", Category: category},
		&cli.StringFlag{Name: "format", Usage: "`text` or json", Category: category},
		&cli.BoolFlag{Name: "no-color", Usage: "no colours, as with NO_COLOR in the environment", Category: category},
	}, func(f cli.Flag) bool {
		return slices.ContainsFunc(own, func(o cli.Flag) bool { return o.Names()[0] == f.Names()[0] })
	})
}

// beStrict makes every wrong word an error of usage.
func beStrict(c *cli.Command) {
	c.OnUsageError = usageError
	c.HideHelpCommand = true
	if c.ArgsUsage == "" && len(c.Subcommands) == 0 {
		c.ArgsUsage = " "
		c.Before = noArguments
	}
	for _, sub := range c.Subcommands {
		beStrict(sub)
	}
}

func usageError(c *cli.Context, err error, _ bool) error {
	name := c.Command.HelpName
	if name == "" {
		return fmt.Errorf("%w (see gpu-preflight --help)", err)
	}
	return fmt.Errorf("%s: %w (see %s --help)", strings.TrimPrefix(name, c.App.Name+" "), err, name)
}

func wrongUsage(c *cli.Context, format string, args ...any) error {
	return usageError(c, fmt.Errorf(format, args...), false)
}

func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return wrongUsage(c, "unknown argument %q", c.Args().First())
	}
	return nil
}

func helpOrUnknown(c *cli.Context) error {
	if word := c.Args().First(); word != "" {
		return fmt.Errorf("unknown command %q (see gpu-preflight --help)", word)
	}
	return cli.ShowAppHelp(c)
}

// given is the value of a global flag, wherever it stands: behind the command, else before it.
func given(c *cli.Context, flag string) (string, bool) {
	for _, level := range c.Lineage() {
		if slices.Contains(level.LocalFlagNames(), flag) {
			return level.String(flag), true
		}
	}
	return "", false
}

func rootFlag(c *cli.Context) string {
	value, _ := given(c, "root")
	return value
}

// format is the form of the output; text and json are what every command knows.
func format(c *cli.Context) (string, error) { return formatOf(c, "text", "json") }

func formatOf(c *cli.Context, known ...string) (string, error) {
	value, set := given(c, "format")
	switch {
	case !set:
		return known[0], nil
	case slices.Contains(known, value):
		return value, nil
	}
	last := len(known) - 1
	return "", wrongUsage(c, "--format %q: the formats are %s and %s", value, strings.Join(known[:last], ", "), known[last])
}

// policy reads the policy in force. A broken one is an error here; a file named with --config has to be there.
func policy(c *cli.Context) (hook.Policy, error) {
	file, named := given(c, "config")
	if !named {
		file = hook.DefaultConfig
	}
	p, err := hook.ReadPolicy(file)
	if err == nil && named && p.Path == "" {
		err = fmt.Errorf("policy %s: it is not there", file)
	}
	return p, err
}

// example writes the examples of a command's help.
func example(lines ...string) string {
	return "Example:\n\n  " + strings.Join(lines, "\n  ")
}
