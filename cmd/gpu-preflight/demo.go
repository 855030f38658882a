package main

import (
	"context"
	"embed"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/hook"
)

//go:embed demo/*.json
var demoFiles embed.FS

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:      "demo",
		Usage:     "judge launches on reported hosts; needs no GPU",
		ArgsUsage: "[NAME]",
		Description: "Each story is a host that somebody reported, and a launch on it. Time passes by a clock of the story's own.\n\n" +
			example("gpu-preflight demo", "gpu-preflight demo --list", "gpu-preflight demo no-fabric-manager"),
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "list", Usage: "name the stories"}},
		Action: demoAction,
		BashComplete: func(c *cli.Context) {
			stories, _ := readStories()
			for _, s := range stories {
				_, _ = fmt.Fprintln(c.App.Writer, s.name)
			}
		},
	}
}

func demoAction(c *cli.Context) error {
	if c.NArg() > 1 {
		return wrongUsage(c, "unknown argument %q", c.Args().Get(1))
	}
	stories, err := readStories()
	if err != nil {
		return err
	}
	told := 0
	for _, s := range stories {
		switch {
		case c.NArg() == 1 && s.name != c.Args().First():
			continue
		case c.Bool("list"):
			_, err = fmt.Fprintf(c.App.Writer, "%-22s %s\n", s.name, s.Title)
		default:
			err = s.tell(c.Context, c.App.Writer)
		}
		if err != nil {
			return err
		}
		told++
	}
	if told == 0 {
		return wrongUsage(c, "no story is called %q; --list names them", c.Args().First())
	}
	return nil
}

// readStories reads the embedded stories in the order of their files' numbers.
func readStories() ([]story, error) {
	entries, err := demoFiles.ReadDir("demo")
	if err != nil {
		return nil, err
	}
	var stories []story
	for _, entry := range entries {
		text, err := demoFiles.ReadFile(path.Join("demo", entry.Name()))
		if err != nil {
			return nil, err
		}
		s, err := readStory(text)
		if err != nil {
			return nil, fmt.Errorf("story %s: %w", entry.Name(), err)
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(entry.Name(), ".json"), "-")
		s.name = name
		stories = append(stories, s)
	}
	return stories, nil
}

// tell judges the story and prints what an operator would see.
func (s story) tell(ctx context.Context, w io.Writer) error {
	j, err := s.judge(ctx, hook.DefaultPolicy())
	if err != nil {
		return fmt.Errorf("story %s: %w", s.name, err)
	}
	_, err = fmt.Fprintf(w, "%s: %s\n  host       %s (%s)\n  added      %s\n  asks       %s\n  verdict    %s\n  %s\n\n",
		s.name, s.Title, s.StandsFor, s.Report, s.Added, strings.Join(s.Env, " "), j.verdict.Verdict, j.ending())
	return err
}

// ending is what becomes of the container.
func (j judged) ending() string {
	if j.verdict.Verdict == hook.Refuse {
		return "message    " + hook.Message(j.verdict)
	}
	var text strings.Builder
	text.WriteString("container  started")
	if j.waited > 0 {
		fmt.Fprintf(&text, " after waiting %s for what was coming up", j.waited)
	}
	for _, r := range j.verdict.Results {
		if r.Status == checks.StatusWarn {
			fmt.Fprintf(&text, "\n  warning    %s: %s [%s]", r.What, r.Why, r.ID)
		}
	}
	return text.String()
}
