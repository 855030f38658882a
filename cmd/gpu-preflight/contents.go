package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/hook"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
	"gpu-preflight/oci/image/remote"
)

// contents is what a launch is of: an image, an unpacked one, or nothing that is known. That of a bundle is in its
// config.json.
type contents struct {
	container oci.Container // what it starts, and its environment
	image     *remote.Image
	rootfs    string
	unread    []string // what decides about the environment and was not followed
}

func imageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image", Usage: "judge the image `REF` of a registry, oci:DIR[:TAG] or docker-archive:FILE[:NAME] by its configuration"},
		&cli.BoolFlag{Name: "deep", Usage: "with --image: read the layers too, as a stream; nothing is written"},
		&cli.StringFlag{Name: "platform", Usage: "with --image: the image for `OS/ARCH[/VARIANT]` (default: Linux on this machine's processor)"},
	}
}

// findContents reads what there is of a container's configuration beside a bundle.
func findContents(c *cli.Context, p hook.Policy) (contents, error) {
	switch {
	case !c.IsSet("image") && (c.IsSet("deep") || c.IsSet("platform")):
		return contents{}, wrongUsage(c, "--deep and --platform go with --image")
	case c.IsSet("image") && (c.IsSet("bundle") || c.IsSet("rootfs")):
		return contents{}, wrongUsage(c, "--image excludes --bundle and --rootfs")
	case c.IsSet("image"):
		found, err := remote.Open(c.Context, c.String("image"), c.String("platform"))
		if err != nil {
			return contents{}, err
		}
		return contents{container: *found.Container(), image: found}, nil
	case c.IsSet("rootfs"):
		return unpacked(c, p)
	}
	return contents{}, nil
}

// unpacked is an unpacked image with the environment that it carries, unless a bundle's config.json has it.
func unpacked(c *cli.Context, p hook.Policy) (contents, error) {
	from := contents{}
	full, err := filepath.Abs(c.String("rootfs")) // the reader starts in /
	if err == nil {
		ctx, cancel := context.WithTimeout(c.Context, time.Duration(p.Timeout))
		defer cancel()
		var carried image.Carried
		carried, err = hook.Carried(ctx, full, runDir)
		from.rootfs, from.container.Env, from.unread = full, carried.Env, carried.Unsure
	}
	if err != nil {
		return from, fmt.Errorf("rootfs %q: %w", c.String("rootfs"), err)
	}
	if c.IsSet("bundle") {
		from.container.Env, from.unread = nil, nil
	}
	return from, nil
}

func (from contents) close() {
	if from.image != nil {
		from.image.Close()
	}
}

// look looks for compatibility libraries and for what the software was built with: in the layers of the image, below
// --rootfs, else below the bundle's root.
func (from contents) look(c *cli.Context, p hook.Policy, launch *checks.Launch) error {
	launch.Needs.Unread = append(launch.Needs.Unread, from.unread...)
	program := image.ProgramOf(&from.container)
	if launch.Container != nil {
		program = image.ProgramOf(launch.Container)
		if from.rootfs == "" {
			from.rootfs = launch.Container.Root
		}
	}
	switch {
	case from.image != nil && c.Bool("deep"):
		bar := newBar(c)
		defer bar.end()
		look, err := from.image.Look(program, bar.show)
		if err != nil {
			return err
		}
		launch.Needs = launch.Needs.With(look)
	case from.rootfs != "":
		ctx, cancel := context.WithTimeout(c.Context, time.Duration(p.Timeout))
		defer cancel()
		look := hook.LookIntoRootfs(ctx, from.rootfs, program, runDir)
		if launch.Container != nil {
			look.Compat = look.Compat.Behind(launch.Container.Mounts, launch.Container.Env)
		}
		launch.Needs = launch.Needs.With(look)
	}
	return nil
}
