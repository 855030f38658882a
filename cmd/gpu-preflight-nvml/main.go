//go:build cgo

// Command gpu-preflight-nvml asks one libnvidia-ml for facts and writes each as a line of JSON. gpu-preflight
// starts it as a child with a deadline; it judges nothing.
//
//	gpu-preflight-nvml --library /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1
//	gpu-preflight-nvml --library /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 --asked 0 --ask-all
//
// It asks the GPUs named by --asked (all without it), and of those only the ones that the driver below --root holds
// initialised, unless --ask-all is given.
package main

import (
	"flag"
	"io"
	"os"

	"gpu-preflight/checks/host"
	"gpu-preflight/checks/host/nvml"
)

func main() {
	host.CloseInherited()
	host.ExactTimers()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, errs io.Writer) int {
	var asked []string
	flags := flag.NewFlagSet(host.HelperName, flag.ContinueOnError)
	flags.SetOutput(errs)
	library := flags.String("library", "", "the libnvidia-ml `file` to ask")
	root := flags.String("root", "", "the host's files are below this `folder`")
	askAll := flags.Bool("ask-all", false, "ask GPUs that are not initialised too, which initialises them")
	flags.Func("asked", "ask the GPU of this `name`: bus id, UUID, index, minor:N", func(name string) error {
		asked = append(asked, name)
		return nil
	})
	if err := flags.Parse(args); err != nil || *library == "" || flags.NArg() > 0 {
		flags.Usage()
		return 2
	}
	emitter := host.NewEmitter(out)
	nvml.Ask(*library, func() host.Plan { return host.PlanGPUs(*root, asked, *askAll) }, emitter)
	emitter.End()
	return 0
}
