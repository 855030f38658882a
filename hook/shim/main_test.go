package shim

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test program be the shim and, as its own file started again, the judging child.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case Name:
		os.Exit(Run(context.Background(), os.Args, os.Stderr))
	case "gpu-preflight-hook":
		os.Exit(judgeAs(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// said is a refusal as the hook writes it.
const said = refusal + " this container: the test says so [test; gpu-preflight logs]"

// judgeAs is the judging child: the file beside its policy says how it ends.
func judgeAs(args []string) int {
	config := ""
	for _, arg := range args {
		if path, ok := strings.CutPrefix(arg, "--config="); ok {
			config = path
		}
	}
	role, _ := os.ReadFile(config + ".role")
	state, _ := io.ReadAll(os.Stdin)
	asked := strings.Join(args, "\n") + "\n" + string(state) + "\n" + strings.Join(os.Environ(), "\n") + "\n"
	if err := os.WriteFile(config+".asked", []byte(asked), 0o600); err != nil {
		return 3
	}
	say := func(text string) { _, _ = io.WriteString(os.Stderr, text) }
	switch string(role) {
	case "refuses":
		say(said)
		return 1
	case "exits with another code":
		say(said)
		return 2
	case "says something else":
		say("panic: runtime error")
		return 1
	case "says nothing":
		return 1
	case "says it, but starts":
		say(said)
	case "is killed":
		say(said)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "hangs":
		say(said)
		time.Sleep(time.Hour)
	}
	return 0
}
