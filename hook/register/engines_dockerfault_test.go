package register_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gpu-preflight/hook/register"
	"gpu-preflight/testdata/fixture"
)

const (
	installed  = "/usr/local/bin/gpu-preflight-hook"
	dockerShim = "/usr/local/libexec/gpu-preflight/docker-runc/gpu-preflight-runtime"
)

// TestEngineDockerFaults: the program that docker starts is gone, not executable or for another machine. status says
// BROKEN and one command, which mends it while docker runs. Where docker is started anew first, the self-test of its
// unit lets every container start unjudged, and the command that status then says puts judgement back.
func TestEngineDockerFaults(t *testing.T) {
	s := oldHost(t, "")
	d := newDockerHost(t, debianDocker(t), s, `{"data-root": "DIR/data"}`, "nvidia-container-runtime-hook")
	d.registers(t, "register", "docker")
	d.restart(t)
	release := d.release(t)
	foreign := foreignProgram(t)
	for _, fault := range []struct {
		name, says string
		spoil      func(t *testing.T)
	}{
		{"the shim gone", "is missing", func(t *testing.T) { t.Helper(); d.run(t, "rm", dockerShim) }},
		{"all gone", "is missing", func(t *testing.T) {
			t.Helper()
			d.run(t, "rm", "-r", installed, "/usr/local/libexec/gpu-preflight")
		}},
		{"not executable", "is not executable", func(t *testing.T) { t.Helper(); d.run(t, "chmod", "0644", dockerShim) }},
		{"of another architecture", "is for another architecture", func(t *testing.T) {
			t.Helper()
			for _, place := range []string{installed, dockerShim} {
				d.run(t, "cp", "--remove-destination", foreign, place)
			}
		}},
	} {
		for _, anew := range []bool{false, true} {
			name := fault.name
			if anew {
				name += " and docker started anew"
			}
			t.Run(name, func(t *testing.T) {
				fault.spoil(t)
				if out, code := d.launch(t, "--rm"); code == 0 {
					t.Errorf("without the shim it started: %s", out)
				}
				mend := d.broken(t, "docker", viaLegacy, register.NotStarted, fault.says)
				if anew {
					d.stop()
					d.run(t, "/bin/sh", "-c", d.selfTest(t))
					d.start(t)
					out, code := d.launch(t, "--rm")
					started(t, out, code)
					out, code = d.launch(t, "--rm", "--gpus=all")
					started(t, out, code)
					mend = d.broken(t, "docker", viaLegacy, register.PassesBy, "launches go straight there")
				}
				d.run(t, "/bin/sh", "-c", "cd "+release+" && "+mend)
				out, code := d.launch(t, "--rm", "--gpus=all")
				if code != 125 {
					t.Errorf("after %s: exit %d: %s", mend, code, out)
				}
				contains(t, strings.ReplaceAll(out, `\"`, `"`), dockerText...)
				if st := d.status(t); !st.Healthy || stateOf(st, viaLegacy) != register.Judged {
					t.Errorf("after %s: %+v", mend, st)
				}
			})
		}
	}
}

// TestEngineDockerCDIFaults: the hook in the CDI file is gone, not executable or for another machine, and docker's
// containers start at once. status says BROKEN, that they pass by, and one command, which mends it.
func TestEngineDockerCDIFaults(t *testing.T) {
	d := newDockerHost(t, newestDocker(t), oldHost(t, ""), `{"data-root": "DIR/data"}`, "nvidia-cdi-hook")
	d.registers(t, "register", "cdi")
	release := d.release(t)
	foreign := foreignProgram(t)
	for _, fault := range []struct {
		says  string
		spoil []string
	}{
		{"is missing", []string{"rm", installed}},
		{"is not executable", []string{"chmod", "0644", installed}},
		{"is for another architecture", []string{"cp", "--remove-destination", foreign, installed}},
	} {
		t.Run(fault.says, func(t *testing.T) {
			d.run(t, fault.spoil...)
			out, code := d.launch(t, "--rm", "--gpus=all")
			started(t, out, code)
			mend := d.broken(t, "cdi", viaCDI, register.PassesBy, fault.says)
			d.run(t, "/bin/sh", "-c", "cd "+release+" && "+mend)
			out, code = d.launch(t, "--rm", "--gpus=all")
			if code != 125 {
				t.Errorf("after %s: exit %d: %s", mend, code, out)
			}
			contains(t, strings.ReplaceAll(out, `\"`, `"`), refusedText...)
			if st := d.status(t); !st.Healthy || stateOf(st, viaCDI) != register.Judged {
				t.Errorf("after %s: %+v", mend, st)
			}
		})
	}
}

// broken wants status to say what is wrong and what becomes of a path's launches, and returns the one command that
// mends it.
func (d *dockerHost) broken(t *testing.T, engine, path string, state register.State, says string) string {
	t.Helper()
	st := d.status(t)
	if st.Healthy || stateOf(st, path) != state {
		t.Errorf("status: %+v", st)
	}
	for _, e := range st.Engines {
		if e.Engine == engine {
			if e.State != register.Broken || e.Mend == "" {
				t.Fatalf("status: %+v", e)
			}
			contains(t, strings.Join(e.What, "; "), says)
			return e.Mend
		}
	}
	t.Fatalf("status has no row of %s", engine)
	return ""
}

// status is what the program on this host says.
func (d *dockerHost) status(t *testing.T) register.Status {
	t.Helper()
	out, err := d.command(t, "gpu-preflight", "status", "--format", "json").Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		t.Fatalf("gpu-preflight status: %v: %s", err, out)
	}
	var st register.Status
	must(t, json.Unmarshal(out, &st))
	return st
}

// stateOf is what status says of a launch path.
func stateOf(st register.Status, path string) register.State {
	for _, row := range st.Paths {
		if row.Path == path {
			return row.State
		}
	}
	return ""
}

// selfTest is what docker's unit runs before docker starts, as systemd gives it to sh.
func (d *dockerHost) selfTest(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(readFile(t, d.path("/etc/systemd/system/docker.service.d/gpu-preflight.conf"))) {
		if command, found := strings.CutPrefix(strings.TrimSpace(line), "ExecStartPre=-/bin/sh -c '"); found {
			return strings.ReplaceAll(strings.TrimSuffix(command, "'"), "%%", "%")
		}
	}
	t.Fatal("docker's unit has no self-test")
	return ""
}

// release is a folder of the host as it is unpacked from a release.
func (d *dockerHost) release(t *testing.T) string {
	t.Helper()
	dir := d.dir + "/release"
	must(t, os.CopyFS(dir+"/deploy", os.DirFS(filepath.Join(fixture.Root(), "deploy"))))
	copyTo(t, filepath.Join(fixture.Root(), "install.sh"), dir+"/install.sh")
	for _, name := range []string{"gpu-preflight", "gpu-preflight-hook", "gpu-preflight-nvml"} {
		copyTo(t, fixture.Build(t, "cmd/"+name), filepath.Join(dir, name))
	}
	return dir
}

// foreignProgram is a program for a machine that this is not.
func foreignProgram(t *testing.T) string {
	t.Helper()
	out, source := filepath.Join(t.TempDir(), "foreign"), filepath.Join(t.TempDir(), "main.go")
	write(t, source, "package main\n\nfunc main() {}\n")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", out, source)
	build.Dir, build.Env = fixture.Root(), append(os.Environ(), "CGO_ENABLED=0", "GOARCH=riscv64")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, text)
	}
	return out
}
