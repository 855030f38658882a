package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/checks/explain"
)

func explainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "what does this error mean, which check finds it, and what mends it?",
		ArgsUsage: "WORD ... | -",
		Description: "A WORD is a check, the number or name of an error of CUDA or NVML, or an Xid; or paste a message: of nvidia-smi,\n" +
			"nvidia-container-cli, docker, torch, Fabric Manager, the kernel, or our own. - reads it from standard input.\n" +
			"It knows what shows when host, driver and container do not fit, not a program's own errors (out of memory).\n" +
			"Nothing is read from this host. Exit code 0: explained, 1: nothing is known of it, 2: wrong usage.\n\n" + example(
			"gpu-preflight explain 803",
			"gpu-preflight explain fabric-manager-running",
			"gpu-preflight explain 'RuntimeError: No CUDA GPUs are available'",
			"dmesg | grep NVRM | gpu-preflight explain -"),
		Action: explainAction,
		BashComplete: func(c *cli.Context) {
			_, _ = fmt.Fprintln(c.App.Writer, strings.Join(explain.Words(), "\n"))
		},
	}
}

func explainAction(c *cli.Context) error {
	form, err := format(c)
	if err != nil {
		return err
	}
	if !c.Args().Present() {
		return wrongUsage(c, "want a word, a number or a text; - reads it from standard input")
	}
	text := strings.Join(c.Args().Slice(), " ")
	if text == "-" {
		read, err := io.ReadAll(io.LimitReader(c.App.Reader, explain.MaxText+1))
		if err != nil {
			return fmt.Errorf("explain: read standard input: %w", err)
		}
		text = string(read)
	}
	if strings.TrimSpace(text) == "" {
		return errors.New("explain: the text is empty")
	}
	return writeAnswer(c, form, explain.Text(text))
}

// writeAnswer prints what is known; that nothing is goes to stderr, for people.
func writeAnswer(c *cli.Context, form string, a explain.Answer) error {
	var err error
	switch {
	case form == "json":
		err = writeJSON(c.App.Writer, a)
	case len(a.Entries) > 0:
		err = explain.Write(c.App.Writer, a)
	default:
		_, err = fmt.Fprintln(c.App.ErrWriter, "gpu-preflight: explain: "+notKnown(a))
	}
	if err == nil && len(a.Entries) == 0 {
		err = errRefused
	}
	return err
}

func notKnown(a explain.Answer) string {
	text := fmt.Sprintf("nothing is known of \"%s\"", checks.Printable(a.Query))
	switch {
	case len(a.Near) > 0:
		return text + "; near it are " + strings.Join(a.Near, ", ")
	case a.Cut:
		return text + fmt.Sprintf("...; only the first %d KiB were read", explain.MaxText>>10)
	}
	return text + "; paste the whole message, or the NVRM lines of the kernel log"
}
