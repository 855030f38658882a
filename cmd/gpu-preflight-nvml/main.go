//go:build cgo

// Command gpu-preflight-nvml asks one libnvidia-ml for facts and writes each as a line of JSON. gpu-preflight
// starts it as a child with a deadline; it judges nothing.
//
//	gpu-preflight-nvml --library /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1 --all </dev/null
//
// GPUs to ask are named by --bus (repeated) and by lines on standard input; --all means every GPU.
package main

import (
	"flag"
	"io"
	"os"
	"strings"

	"gpu-preflight/checks/host"
	"gpu-preflight/checks/host/nvml"
)

func main() {
	host.CloseInherited()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, in io.Reader, out, errs io.Writer) int {
	var buses []string
	flags := flag.NewFlagSet(host.HelperName, flag.ContinueOnError)
	flags.SetOutput(errs)
	library := flags.String("library", "", "the libnvidia-ml `file` to ask")
	all := flags.Bool("all", false, "ask every GPU")
	flags.Func("bus", "ask the GPU at this PCI `address`, such as 0000:17:00.0", func(bus string) error {
		buses = append(buses, bus)
		return nil
	})
	if err := flags.Parse(args); err != nil || *library == "" || flags.NArg() > 0 {
		flags.Usage()
		return 2
	}
	if *all {
		in = io.MultiReader(strings.NewReader(host.AskAllLine+"\n"), in)
	}
	nvml.Ask(*library, buses, in, host.NewEmitter(out))
	return 0
}
