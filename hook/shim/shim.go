// Package shim stands in front of an OCI runtime under its command line: create and run are judged first,
// everything else, and everything that may start, is handed to the next runtime by exec, untouched.
package shim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"gpu-preflight/hook"
)

// Name is the base name of argv[0] that makes the hook's binary the shim.
const Name = "gpu-preflight-runtime"

// refusal is how the hook's message begins; nothing else of the child's counts as one.
const refusal = "gpu-preflight refused"

// grace is what the judging child gets beyond the policy's own deadlines, to say its word.
const grace = time.Second

// Run judges and hands on. It returns only when the launch is refused or the next runtime cannot be started,
// with exit code 1.
func Run(ctx context.Context, argv []string, stderr io.Writer) int {
	c := parse(argv[1:])
	config := os.Getenv("GPU_PREFLIGHT_CONFIG")
	if config == "" {
		config = hook.DefaultConfig
	}
	runtime, err := next(argv[0], config)
	if err != nil {
		return refuse(c, stderr, "gpu-preflight-runtime: "+err.Error())
	}
	if c.judged() {
		if message := judge(ctx, c, config, runtime); message != "" {
			return refuse(c, stderr, message)
		}
	}
	err = syscall.Exec(runtime, append([]string{runtime}, argv[1:]...), os.Environ())
	return refuse(c, stderr, fmt.Sprintf("gpu-preflight-runtime: start %s: %v", runtime, err))
}

// judge returns the refusal of a launch, empty for one that may start, and for whatever goes wrong.
func judge(ctx context.Context, c call, config, runtime string) (message string) {
	defer func() {
		if recover() != nil {
			message = ""
		}
	}()
	bundle, err := filepath.Abs(c.Bundle)
	if err != nil {
		return ""
	}
	above := strings.HasPrefix(filepath.Base(runtime), "nvidia-container-runtime")
	o := hook.Options{Root: os.Getenv("GPU_PREFLIGHT_ROOT"), AboveNVIDIARuntime: above}
	if judged, err := o.Judges(bundle); err == nil && !judged {
		return "" // what cannot be read goes to the child, which records it
	}
	return askChild(ctx, c.ID, bundle, config, above)
}

// askChild judges in a child, the hook itself: what cannot be recovered (out of memory, a crash) ends there.
// Any end but a refusal starts the container.
func askChild(ctx context.Context, id, bundle, config string, above bool) string {
	state, err := json.Marshal(map[string]string{"id": id, "bundle": bundle, "status": "creating"})
	if err != nil {
		return ""
	}
	policy := hook.LoadPolicy(config)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(policy.Timeout+policy.Settle)+grace)
	defer cancel()
	args := []string{"--program=" + hook.ProgramRuntime, "--config=" + config}
	if root := os.Getenv("GPU_PREFLIGHT_ROOT"); root != "" {
		args = append(args, "--root="+root)
	}
	if above {
		args = append(args, "--above-nvidia-runtime")
	}
	var out bytes.Buffer
	child := exec.CommandContext(ctx, "/proc/self/exe", args...)
	child.Args[0] = "gpu-preflight-hook"
	child.Dir, child.Stdin, child.Stderr = "/", bytes.NewReader(state), &out
	child.Env = environment()
	child.WaitDelay = grace
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ended := make(chan error, 1)
	go func() { ended <- child.Run() }()
	select {
	case err = <-ended:
	case <-time.After(time.Duration(policy.Timeout+policy.Settle) + 3*grace):
		return "" // killed long ago, but it hangs in the kernel
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 && strings.HasPrefix(out.String(), refusal) {
		return out.String()
	}
	return ""
}

// environment is what the judging child gets of ours: where to keep its record when it is not root.
func environment() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=1"}
	for _, key := range []string{"HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
		if value := os.Getenv(key); value != "" {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// refuse tells the engine as runc does: one line of level error in the file of --log, from which containerd's
// shim takes the reason, and the text on stderr.
func refuse(c call, stderr io.Writer, message string) int {
	if c.Log != "" {
		if f, err := os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, 0o644); err == nil {
			logger := logrus.New()
			logger.SetOutput(f)
			logger.SetFormatter(&logrus.JSONFormatter{})
			logger.Error(message)
			_ = f.Close()
		}
	}
	_, _ = io.WriteString(stderr, message+"\n")
	return 1
}
