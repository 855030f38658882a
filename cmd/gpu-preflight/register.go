package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gpu-preflight/hook/register"
)

func registerCommand() *cli.Command {
	return &cli.Command{
		Name:      "register",
		Usage:     "put gpu-preflight in front of the GPU launches of this host's engines",
		ArgsUsage: "[ENGINE...]",
		Description: "Without an engine it takes those that it finds. The engines: " + strings.Join(engineNames(), ", ") + ".\n\n" +
			example("gpu-preflight register --dry-run", "gpu-preflight register --restart docker"),
		Flags: append(registerFlags(),
			&cli.StringFlag{
				Name:  "method",
				Usage: "how containerd is registered: `" + register.BinaryName + "|" + register.BaseSpec + "` (as it is, else the first)",
			},
			&cli.BoolFlag{Name: "above-nvidia", Usage: "docker: stand in front of NVIDIA's runtime too, and so explain what keeps that from making a CDI specification"}),
		Action: registerAction,
	}
}

func unregisterCommand() *cli.Command {
	return &cli.Command{
		Name:      "unregister",
		Usage:     "take gpu-preflight out of the engines, and give their files the bytes they had",
		ArgsUsage: "[ENGINE...]",
		Description: "Without an engine it takes all.\n\n" +
			example("gpu-preflight unregister --dry-run", "gpu-preflight unregister --restart docker"),
		Flags: append(registerFlags(),
			&cli.BoolFlag{Name: "force", Usage: "take the runtime away even from containers that name it, which then cannot start"}),
		Action: unregisterAction,
	}
}

func registerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "dry-run", Usage: "print what would change, change nothing"},
		&cli.StringSliceFlag{Name: "config", Usage: "an engine's configuration lies elsewhere: `ENGINE=FILE`"},
		&cli.StringFlag{Name: "prefix", Usage: "gpu-preflight is installed below `DIR`", Value: "/usr/local"},
		&cli.BoolFlag{Name: "restart", Usage: "run the commands that make the engines read their files again"},
	}
}

func engineNames() []string {
	var names []string
	for _, e := range register.All() {
		names = append(names, e.Name)
	}
	return names
}

// site is the host that the flags name.
func site(c *cli.Context) (register.Site, error) {
	s := register.Site{Root: rootFlag(c), Prefix: c.String("prefix"), Configs: map[string]string{}, AboveNVIDIA: c.Bool("above-nvidia")}
	if !filepath.IsAbs(s.Prefix) || strings.ContainsAny(s.Prefix, "'\"\\$`\n") {
		return s, wrongUsage(c, "--prefix %s is no absolute path without quotes and the like", s.Prefix)
	}
	if s.Root == "" {
		s.Ask = func(program string, args ...string) ([]byte, error) {
			return exec.CommandContext(c.Context, program, args...).Output()
		}
	}
	s.Method = c.String("method")
	if !slices.Contains([]string{"", register.BinaryName, register.BaseSpec}, s.Method) {
		return s, wrongUsage(c, "--method %s: it is %s or %s", s.Method, register.BinaryName, register.BaseSpec)
	}
	if c.Bool("restart") && s.Root != "" {
		return s, wrongUsage(c, "--restart is for this host, not for one below --root")
	}
	for _, word := range c.StringSlice("config") {
		engine, file, found := strings.Cut(word, "=")
		if _, err := register.Named([]string{engine}); err != nil || !found || !filepath.IsAbs(file) {
			return s, wrongUsage(c, "--config %s: it wants ENGINE=FILE, the file with an absolute path", word)
		}
		s.Configs[engine] = file
	}
	return s, nil
}

// siteAndEngines is the host that the flags name and the engines that the words name, none for those that are found.
func siteAndEngines(c *cli.Context) (register.Site, []register.Engine, error) {
	s, err := site(c)
	if err != nil {
		return s, nil, err
	}
	engines, err := register.Named(c.Args().Slice())
	if err != nil {
		return s, nil, wrongUsage(c, "%w: the engines are %s", err, strings.Join(engineNames(), ", "))
	}
	return s, engines, nil
}

func registerAction(c *cli.Context) error {
	s, engines, err := siteAndEngines(c)
	if err != nil {
		return err
	}
	if s.AboveNVIDIA && !slices.Contains(c.Args().Slice(), "docker") {
		return wrongUsage(c, "--above-nvidia is for docker: name it")
	}
	if len(engines) == 0 {
		engines = register.Choose(s)
	}
	if len(engines) == 0 {
		_, _ = fmt.Fprintf(c.App.Writer, "no engine is installed here (looked for %s): run gpu-preflight register again once one is\n", strings.Join(engineNames(), ", "))
		return nil
	}
	if err := register.Installed(s); err != nil && !c.Bool("dry-run") {
		return err
	}
	var failed []error
	for _, e := range engines {
		failed = append(failed, registerOne(c, s, e))
	}
	return errors.Join(failed...)
}

// registerOne registers one engine; what goes wrong with it keeps no other one back.
func registerOne(c *cli.Context, s register.Site, e register.Engine) error {
	p, err := e.Plan(s)
	if err != nil {
		return fmt.Errorf("register %s: %w", e.Name, err)
	}
	out := c.App.Writer
	heading := "changes"
	if len(p.Edits) == 0 && len(p.Shims) > 0 {
		heading = "is registered"
	} else if len(p.Edits) == 0 {
		heading = "nothing to change"
	}
	_, _ = fmt.Fprintf(out, "%s: %s\n", e.Name, heading)
	for _, shim := range p.Shims {
		_, _ = fmt.Fprintf(out, "  %s, then %s\n", s.ShimPath(shim.Name), shim.Next)
	}
	printEdits(out, p, c.Bool("dry-run"))
	if c.Bool("dry-run") {
		return restart(c, p)
	}
	if err := register.Apply(c.Context, s, e, p); err != nil {
		return err
	}
	return restart(c, p)
}

func unregisterAction(c *cli.Context) error {
	s, engines, err := siteAndEngines(c)
	if err != nil {
		return err
	}
	if len(engines) == 0 {
		engines = register.All()
	}
	var failed []error
	for _, e := range engines {
		failed = append(failed, unregisterOne(c, s, e))
	}
	return errors.Join(failed...)
}

func unregisterOne(c *cli.Context, s register.Site, e register.Engine) error {
	r, err := register.Remove(s, e, c.Bool("force"))
	if err != nil {
		return fmt.Errorf("unregister %s: %w", e.Name, err)
	}
	out := c.App.Writer
	if r.Empty() {
		_, _ = fmt.Fprintf(out, "%s: not registered\n", e.Name)
		return nil
	}
	_, _ = fmt.Fprintf(out, "%s: goes back\n", e.Name)
	if len(r.Users) > 0 {
		_, _ = fmt.Fprintf(out, "  the runtime's entry stays, because containers name it and cannot start without (--force takes it away): %s\n",
			strings.Join(r.Users, " "))
	}
	s.Prefix = r.Prefix
	for _, shim := range r.Shims {
		_, _ = fmt.Fprintf(out, "  %s leads straight to %s\n", s.ShimPath(shim.Name), shim.Next)
	}
	printEdits(out, r.Plan, c.Bool("dry-run"))
	if c.Bool("dry-run") {
		return restart(c, r.Plan)
	}
	if err := register.Undo(s, r); err != nil {
		return fmt.Errorf("unregister %s: %w", e.Name, err)
	}
	return restart(c, r.Plan)
}

func printEdits(out io.Writer, p register.Plan, diff bool) {
	for _, edit := range p.Edits {
		switch {
		case diff:
			_, _ = fmt.Fprint(out, register.Diff(edit))
		case edit.Before == nil:
			_, _ = fmt.Fprintf(out, "  make %s\n", edit.Path)
		case edit.After == nil:
			_, _ = fmt.Fprintf(out, "  remove %s\n", edit.Path)
		default:
			_, _ = fmt.Fprintf(out, "  change %s\n", edit.Path)
		}
	}
	for _, note := range p.Notes {
		_, _ = fmt.Fprintf(out, "  note: %s\n", note)
	}
}

// restart runs the engine's commands, or says that they have to be run.
func restart(c *cli.Context, p register.Plan) error {
	for _, command := range p.Restart {
		if c.Bool("dry-run") || !c.Bool("restart") {
			if len(p.Edits) == 0 {
				continue
			}
			_, _ = fmt.Fprintf(c.App.Writer, "  then run: %s\n", command)
			continue
		}
		if err := runCommand(c.Context, command); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		_, _ = fmt.Fprintf(c.App.Writer, "  done: %s\n", command)
	}
	return nil
}

func runCommand(ctx context.Context, command string) error {
	words := strings.Fields(command)
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %.300s", err, out)
	}
	return nil
}
