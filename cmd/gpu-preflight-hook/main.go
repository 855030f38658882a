// The Go runtime is not to read cgroup files at every launch, nor to watch them: the program ends in milliseconds.
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command gpu-preflight-hook is the OCI hook; called by the name gpu-preflight-runtime it is the runtime shim.
package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gpu-preflight/hook"
	"gpu-preflight/hook/shim"
)

// version is set by the linker.
var version = "devel"

func main() {
	began := time.Now()
	os.Exit(run(context.Background(), began, os.Args, hook.Stdin(os.Stdin, began), hook.Stderr{}))
}

func run(ctx context.Context, began time.Time, argv []string, stdin io.Reader, stderr io.Writer) int {
	if len(argv) == 0 {
		argv = []string{""} // execve(2): Linux before 5.18 lets a caller give none
	}
	if code, handled := hook.ChildMain(argv); handled {
		return code
	}
	if filepath.Base(argv[0]) == shim.Name {
		return shim.Run(ctx, argv, stderr)
	}
	o, err := parse(argv[1:])
	o.Began = began
	if err != nil {
		hook.Problem(ctx, o, err)
		return 0
	}
	return hook.Run(ctx, o, stdin, stderr)
}

// parse reads --flag value and --flag=value. Words that are no flags mean nothing here (hooks get argv words of
// every engine's liking) and are kept for the record; an unknown flag is an error.
func parse(args []string) (o hook.Options, err error) {
	into := map[string]*string{
		"config": &o.Config, "root": &o.Root, "nvml-library": &o.NVMLLibrary, "program": &o.Program,
	}
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		name, value, inline := strings.Cut(word, "=")
		flag, isFlag := strings.CutPrefix(name, "--")
		target := into[flag]
		switch {
		case !isFlag:
			o.Ignored = append(o.Ignored, word)
		case flag == "above-nvidia-runtime" && !inline:
			o.AboveNVIDIARuntime = true
		case flag == "version":
			o.Ignored = append(o.Ignored, "version "+version)
		case target == nil:
			err = &unknownFlag{word}
		case inline:
			*target = value
		case len(args) == 0:
			err = &unknownFlag{word + " without a value"}
		default:
			*target, args = args[0], args[1:]
		}
	}
	return o, err
}

type unknownFlag struct{ word string }

func (u *unknownFlag) Error() string { return "arguments: unknown flag " + u.word }
