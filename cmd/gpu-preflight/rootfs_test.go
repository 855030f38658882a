package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpu-preflight/testdata/fixture"
)

// TestRootfsThatNeverAnswers: check on a folder that hangs in the kernel ends, and says that it could not be read.
func TestRootfsThatNeverAnswers(t *testing.T) {
	dir, release := fixture.FUSE(t)
	config, bundle := filepath.Join(t.TempDir(), "config.toml"), t.TempDir()
	for file, text := range map[string]string{config: "timeout = \"500ms\"\n", bundle + "/config.json": `{"root":{"path":"/nowhere"}}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(args ...string) (string, error) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), fixture.Build(t, "cmd/gpu-preflight"), append([]string{"--config", config, "check", "--assume", "driver=535.183.06"}, args...)...)
		watch := time.AfterFunc(2*time.Minute, release) // a program that hangs there cannot be killed
		out, err := cmd.CombinedOutput()
		if !watch.Stop() {
			t.Fatalf("%q hung", args)
		}
		return string(out), err
	}
	for _, args := range [][]string{{"--rootfs", dir}, {"--rootfs", dir, "--bundle", bundle}} {
		out, err := check(args...)
		exit, failed := errors.AsType[*exec.ExitError](err)
		if !failed || exit.ExitCode() != exitUsage || !strings.Contains(out, `rootfs "`+dir+`": `) {
			t.Errorf("%q: %v: %s", args, err, out)
		}
	}
	release()
	out, err := check("--rootfs", dir)
	for n := 0; err != nil && n < 1000; n++ { // until the kernel has taken the first reader apart
		time.Sleep(10 * time.Millisecond)
		out, err = check("--rootfs", dir)
	}
	if err != nil {
		t.Errorf("an empty folder: %v: %s", err, out)
	}
}
