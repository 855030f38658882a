package main

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"gpu-preflight/checks"
	"gpu-preflight/hook"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// runDir is where a reader that hangs is noted.
const runDir = "/run/gpu-preflight"

// readLaunch builds the launch that the flags describe. A verdict that is not empty says why there is nothing to
// judge.
func readLaunch(c *cli.Context, p hook.Policy) (launch checks.Launch, unjudged hook.Verdict, err error) {
	env, err := environment(c)
	if err != nil {
		return launch, unjudged, err
	}
	route := oci.Route(c.String("route"))
	if c.IsSet("route") && !slices.Contains([]oci.Route{oci.RouteCDI, oci.RouteJITCDI, oci.RouteLegacy, oci.RouteCSV}, route) {
		return launch, unjudged, wrongUsage(c, "--route %q: the routes are cdi, jit-cdi, legacy and csv", route)
	}
	from, err := findContents(c, p)
	if err != nil {
		return launch, unjudged, err
	}
	defer from.close()
	if c.IsSet("bundle") {
		launch, err = bundledLaunch(c, p, env)
	} else {
		from.container.Env = append(from.container.Env, env...)
		launch = assumedLaunch(route, from.container)
	}
	if err != nil {
		return launch, unjudged, err
	}
	if c.IsSet("route") {
		launch.GPUs.Route, launch.GPUs.NVIDIAHook = route, route == oci.RouteLegacy
		launch.GPUs.Forward = oci.AssumedForward(route)
	}
	if err = askFor(c, &launch.GPUs); err != nil {
		return launch, unjudged, err
	}
	if unjudged = notJudged(launch, p); unjudged.Verdict == "" {
		err = from.look(c, p, &launch)
	}
	return launch, unjudged, err
}

func environment(c *cli.Context) ([]string, error) {
	env := c.StringSlice("env")
	for _, entry := range env {
		if key, _, ok := strings.Cut(entry, "="); !ok || key == "" {
			return nil, wrongUsage(c, "--env %q is not KEY=VALUE", entry)
		}
	}
	return env, nil
}

// bundledLaunch reads config.json; what --env gives stands last, where it counts.
func bundledLaunch(c *cli.Context, p hook.Policy, env []string) (checks.Launch, error) {
	container, err := oci.LoadContainer(c.String("bundle"))
	if err != nil {
		return checks.Launch{}, err
	}
	container.Env = append(container.Env, env...)
	request := hook.Options{Root: hostRoot(c, p)}.FindGPUs(container)
	return checks.Launch{Container: container, GPUs: request, Needs: image.FromContainer(container)}, nil
}

// assumedLaunch is a launch of a program that gets GPUs by a route, as config.json would show it, so that the same rules
// read it. It has no device nodes of its own to look at, and so no container.
func assumedLaunch(route oci.Route, program oci.Container) checks.Launch {
	container := program
	if route == oci.RouteLegacy {
		container.Env = append(slices.Clip(program.Env), "NVIDIA_VISIBLE_DEVICES=all")
		container.Hooks.Prestart = []specs.Hook{{Path: "/usr/bin/nvidia-container-runtime-hook"}}
	} else {
		container.Hooks.CreateContainer = []specs.Hook{{Path: "/usr/bin/nvidia-cdi-hook"}}
	}
	request := oci.FindGPUs(&container, oci.Host{})
	request.All, request.DriverRoot, request.Forward = true, "", oci.AssumedForward(route)
	return checks.Launch{GPUs: request, Needs: image.FromContainer(&program)}
}

// askFor puts --gpus in the place of what the launch asks for.
func askFor(c *cli.Context, request *oci.GPURequest) error {
	if !c.IsSet("gpus") {
		return nil
	}
	request.All, request.Devices, request.Minors, request.MIGCaps = false, nil, nil, nil
	for name := range strings.SplitSeq(c.String("gpus"), ",") {
		switch name = strings.TrimSpace(name); name {
		case "":
			return wrongUsage(c, "--gpus %q: an empty name", c.String("gpus"))
		case "all":
			request.All = true
		default:
			request.Devices = append(request.Devices, name)
		}
	}
	if request.All && len(request.Devices) > 0 {
		return wrongUsage(c, "--gpus %q: all stands alone", c.String("gpus"))
	}
	return nil
}

// notJudged says why a launch starts unjudged; the empty verdict means that it is judged.
func notJudged(launch checks.Launch, p hook.Policy) hook.Verdict {
	v := hook.Verdict{Mode: p.Mode}
	switch {
	case launch.GPUs.NotJudged != "":
		v.Verdict, v.Reason = hook.Exempted, launch.GPUs.NotJudged
	case !launch.GPUs.GPU:
		v.Verdict, v.Reason = hook.NotGPU, "it asks for no GPU"
	case launch.Container == nil:
	default:
		if why := p.Exempts(launch.Container); why != "" {
			v.Verdict, v.Reason = hook.Exempted, why
		}
	}
	return v
}
