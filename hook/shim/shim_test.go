package shim

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// gpu and plain are a container with a GPU and one without.
const (
	gpu   = `{"root":{"path":"rootfs"},"linux":{"devices":[{"path":"/dev/nvidia0","type":"c","major":195,"minor":0}]}}`
	plain = `{"root":{"path":"rootfs"}}`
)

// standing is a shim with its registration, a runtime behind it that tells how it was started, and a bundle.
type standing struct {
	argv0, bundle, config, log, told string
}

// stand registers the shim before a runtime of the test; role is how the judging child ends.
func stand(t *testing.T, config, role string) standing {
	t.Helper()
	dir := t.TempDir()
	s := standing{
		argv0: filepath.Join(dir, Name), bundle: filepath.Join(dir, "bundle"), config: filepath.Join(dir, "config.toml"),
		log: filepath.Join(dir, "log.json"), told: filepath.Join(dir, "told"),
	}
	runtime := filepath.Join(dir, "runtime")
	write(t, runtime, "#!/bin/sh\n{ printf '%s\\n' \"$@\"; echo --; cat <&7; readlink /proc/$$/cwd; tr '\\0' '\\n' </proc/$$/environ; } >"+s.told+"\nexit 42\n")
	must(t, os.Chmod(runtime, 0o755))
	write(t, filepath.Join(dir, "next"), runtime+"\n")
	write(t, s.config, "timeout = \"300ms\"\nsettle = \"100ms\"\n")
	write(t, s.config+".role", role)
	write(t, filepath.Join(s.bundle, "config.json"), config)
	return s
}

// start runs the shim with descriptor 7 open, and returns its exit code and what it wrote.
func (s standing) start(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	read, give, err := os.Pipe()
	must(t, err)
	defer read.Close()
	_, err = give.WriteString("descriptor 7\n")
	must(t, err)
	must(t, give.Close())
	self, err := os.Executable()
	must(t, err)
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = append([]string{s.argv0}, args...)
	cmd.Dir = s.bundle
	cmd.Env = []string{"GPU_PREFLIGHT_CONFIG=" + s.config, "ODD= a b\t", "NOTIFY_SOCKET=/x", "HOME=/home"}
	cmd.ExtraFiles = []*os.File{nil, nil, nil, nil, read}
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestHandsOn: whatever is not refused reaches the next runtime with arguments, environment, folder and descriptors
// as they came, and the runtime's exit code is the shim's.
func TestHandsOn(t *testing.T) {
	for about, tt := range map[string]struct {
		config, role string
		args         []string
	}{
		"another command":                 {gpu, "refuses", []string{"--log", "LOG", "state", "", "a b"}},
		"no arguments":                    {gpu, "refuses", nil},
		"no GPU":                          {plain, "refuses", []string{"create", "--bundle", "BUNDLE", "c1"}},
		"a GPU that may start":            {gpu, "starts", []string{"create", "--bundle", "BUNDLE", "c1"}},
		"unreadable configuration":        {"{", "starts", []string{"create", "--bundle", "BUNDLE", "c1"}},
		"no bundle":                       {gpu, "starts", []string{"create", "--bundle", "/nowhere", "c1"}},
		"the child exits with 2":          {gpu, "exits with another code", []string{"run", "c1"}},
		"the child says something else":   {gpu, "says something else", []string{"run", "c1"}},
		"the child says nothing":          {gpu, "says nothing", []string{"run", "c1"}},
		"the child refuses and exits 0":   {gpu, "says it, but starts", []string{"run", "c1"}},
		"the child is killed":             {gpu, "is killed", []string{"run", "c1"}},
		"the child hangs":                 {gpu, "hangs", []string{"run", "c1"}},
		"arguments of every kind":         {plain, "starts", []string{"run", "-b", "BUNDLE", "--", "-c\n1", "\xff*"}},
		"a flag that nobody knows before": {gpu, "refuses", []string{"--unknown", "value", "create", "c1"}},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			s := stand(t, tt.config, tt.role)
			args := s.fill(tt.args)
			code, stdout, stderr := s.start(t, args...)
			if code != 42 || stdout != "" || stderr != "" {
				t.Fatalf("exit %d, output %q, errors %q", code, stdout, stderr)
			}
			want := strings.Join(args, "\n") + "\n--\ndescriptor 7\n" + s.bundle + "\n"
			got := read(t, s.told)
			if !strings.HasPrefix(got, want) {
				t.Errorf("the runtime was started as %q, want %q", got, want)
			}
			env := slices.DeleteFunc(strings.Split(strings.TrimSpace(got[min(len(want), len(got)):]), "\n"), func(s string) bool { return s == "" })
			if want := []string{"GPU_PREFLIGHT_CONFIG=" + s.config, "ODD= a b\t", "NOTIFY_SOCKET=/x", "HOME=/home"}; !slices.Equal(env, want) {
				t.Errorf("environment %q, want %q", env, want)
			}
		})
	}
}

// TestChildThatHangs: it costs the policy's times and a grace, no more.
func TestChildThatHangs(t *testing.T) {
	s := stand(t, gpu, "hangs")
	began := time.Now()
	if code, _, _ := s.start(t, "run", "c1"); code != 42 {
		t.Errorf("exit %d", code)
	}
	if took := time.Since(began); took > 400*time.Millisecond+3*grace {
		t.Errorf("%s", took)
	}
}

// TestRefuses: exit code 1, the reason in the runtime's log as runc writes it and on stderr, and no runtime.
func TestRefuses(t *testing.T) {
	for _, command := range []string{"create", "run"} {
		s := stand(t, gpu, "refuses")
		write(t, s.log, "{\"msg\":\"earlier\"}\n")
		code, stdout, stderr := s.start(t, "--log", s.log, "--log-format", "json", command, "--bundle", s.bundle, "c1")
		if code != 1 || stdout != "" || stderr != said+"\n" {
			t.Errorf("%s: exit %d, output %q, errors %q", command, code, stdout, stderr)
		}
		if _, err := os.Stat(s.told); err == nil {
			t.Error("the runtime was started")
		}
		lines := strings.Split(strings.TrimSpace(read(t, s.log)), "\n")
		var line struct{ Level, Msg, Time string }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil || len(lines) != 2 {
			t.Fatalf("log %q: %v", lines, err)
		}
		if _, err := time.Parse(time.RFC3339, line.Time); err != nil || line.Level != "error" || line.Msg != said {
			t.Errorf("log line %+v, %v", line, err)
		}
	}
}

// TestAsksChild: what the judging child is told, and that nothing of the engine's environment reaches it but where
// records of other users than root belong.
func TestAsksChild(t *testing.T) {
	s := stand(t, gpu, "refuses")
	s.start(t, "create", "c1")
	want := "--program=runtime\n--config=" + s.config + "\n" + `{"bundle":"` + s.bundle + `","id":"c1","status":"creating"}` + "\n" +
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nGOMAXPROCS=1\nHOME=/home\n"
	if got := read(t, s.config+".asked"); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	above := filepath.Join(filepath.Dir(s.argv0), "nvidia-container-runtime.cdi")
	must(t, os.Rename(filepath.Join(filepath.Dir(s.argv0), "runtime"), above))
	write(t, filepath.Join(filepath.Dir(s.argv0), "next"), above)
	s.start(t, "create", "c1")
	if got := read(t, s.config+".asked"); !strings.Contains(got, "\n--above-nvidia-runtime\n") {
		t.Errorf("above NVIDIA's runtime: asked %q", got)
	}
}

// TestLogThatCannotBeWritten changes no refusal, and is not waited for.
func TestLogThatCannotBeWritten(t *testing.T) {
	for _, log := range []string{"/nowhere/log", "/proc", "", mkfifo(t)} {
		s := stand(t, gpu, "refuses")
		if code, _, stderr := s.start(t, "--log="+log, "run", "c1"); code != 1 || stderr != said+"\n" {
			t.Errorf("log %q: exit %d, errors %q", log, code, stderr)
		}
	}
}

// TestNextCannotStart: exit code 1 with the reason in the log, as for a refusal.
func TestNextCannotStart(t *testing.T) {
	s := stand(t, plain, "")
	write(t, filepath.Join(filepath.Dir(s.argv0), "next"), "/nowhere/runc")
	code, _, stderr := s.start(t, "--log", s.log, "state", "c1")
	if code != 1 || !strings.Contains(stderr, "/nowhere/runc") || !strings.Contains(read(t, s.log), "/nowhere/runc") {
		t.Errorf("exit %d, errors %q", code, stderr)
	}
}

// fill puts the test's own paths into arguments.
func (s standing) fill(args []string) []string {
	out := slices.Clone(args)
	for i := range out {
		out[i] = strings.NewReplacer("BUNDLE", s.bundle, "LOG", s.log).Replace(out[i])
	}
	return out
}
