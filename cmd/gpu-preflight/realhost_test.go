package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/hook/record"
	"gpu-preflight/testdata/fixture"
)

// realHost is a host below a folder with a fake NVML, and the programs as they are installed, side by side.
type realHost struct {
	programs, root, config, log string
}

// newRealHost is a host with one GPU and a driver. nvml are the answers of its NVML.
func newRealHost(t *testing.T, driver, model, nvml string) realHost {
	t.Helper()
	dir := t.TempDir()
	h := realHost{programs: filepath.Join(dir, "bin"), config: filepath.Join(dir, "config.toml"), log: filepath.Join(dir, "launches.jsonl")}
	for _, name := range []string{"gpu-preflight", "gpu-preflight-hook", "gpu-preflight-nvml"} {
		program, err := os.ReadFile(fixture.Build(t, "cmd/"+name))
		if err != nil {
			t.Fatal(err)
		}
		putFile(t, filepath.Join(h.programs, name), string(program))
		if err := os.Chmod(filepath.Join(h.programs, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	healthy, links := fixture.HealthyHost(1)
	other := strings.NewReplacer("535.183.06", driver, "NVIDIA A100-SXM4-80GB", model, "235 nvidia-uvm", "511 nvidia-uvm", "c 235 0", "c 511 0")
	files := map[string]string{}
	for path, text := range healthy {
		files[other.Replace(path)] = other.Replace(text)
	}
	h.root = fixture.Tree(t, files, links)
	fixture.NVML(t, filepath.Join(h.root, "usr/lib/x86_64-linux-gnu"), "driver="+driver+"\ngpu.0.name="+model+"\n"+nvml)
	putFile(t, h.config, "[log]\nfile = \""+h.log+"\"\njournald = false\n")
	return h
}

func (h realHost) run(t *testing.T, stdin, program string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(h.programs, program), args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + t.TempDir()}
	var out, problem strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &problem
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), problem.String()
}

// check asks the program for a launch on this host.
func (h realHost) check(t *testing.T, args ...string) (a asked) {
	t.Helper()
	var stdout string
	a.code, stdout, a.stderr = h.run(t, "", "gpu-preflight", append([]string{"--root", h.root, "--config", h.config, "--format", "json", "check"}, args...)...)
	if a.code != exitUsage {
		if err := json.Unmarshal([]byte(stdout), &a.report); err != nil {
			t.Fatalf("%v: %v\n%s%s", args, err, stdout, a.stderr)
		}
	}
	return a
}

// launch has the hook judge a bundle as a runtime does, and returns what it told and what it kept.
func (h realHost) launch(t *testing.T, bundle string) (code int, message string, kept record.Record) {
	t.Helper()
	_ = os.Remove(h.log) // of the launch before
	code, stdout, message := h.run(t, `{"ociVersion":"1.0.2","id":"c1","status":"creating","pid":1,"bundle":"`+bundle+`"}`,
		"gpu-preflight-hook", "--root="+h.root, "--config="+h.config)
	if stdout != "" {
		t.Errorf("the hook printed %q", stdout)
	}
	text, err := os.ReadFile(h.log)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return code, message, kept
}

// ofImageAlone are the results on the image that a record keeps: those that are not pass or skip.
func ofImageAlone(results []checks.Result) (kept []checks.Result) {
	for _, r := range results {
		if r.Layer == checks.Image && r.Status != checks.StatusPass && r.Status != checks.StatusSkip {
			kept = append(kept, r)
		}
	}
	return kept
}
