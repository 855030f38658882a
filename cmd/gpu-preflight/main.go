// Command gpu-preflight asks on the command line what the hook asks at every launch: can this container use the
// GPUs of this host?
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci/image"
)

// version is set by the linker.
var version = "devel"

func main() {
	os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program. Reading what may hang is done by the same program under another name, and that is
// looked at first.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if code, handled := childMain(args); handled {
		return code
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	return exitCode(newApp(stdin, stdout, stderr).RunContext(ctx, args), stderr)
}

// childMain is the entry of the children that the program starts from its own file.
func childMain(args []string) (code int, handled bool) {
	if code, handled = host.ChildMain(args); handled {
		return code, true
	}
	if code, handled = host.PackedMain(args, unpack); handled {
		return code, true
	}
	if code, handled = image.ChildMain(args); handled {
		return code, true
	}
	return image.CarriedMain(args)
}
