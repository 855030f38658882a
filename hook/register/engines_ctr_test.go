package register_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ctrRun starts a container of nvidia/cuda:13.0.0 by containerd's own command line, with a stub in the place of
// nvidia-container-cli, which ctr of containerd 1 needs on its PATH.
func (c *containerdHost) ctrRun(t *testing.T, flags ...string) launched {
	t.Helper()
	must(t, os.MkdirAll(c.dir+"/stub", 0o755))
	must(t, os.WriteFile(c.dir+"/stub/nvidia-container-cli", []byte("#!/bin/sh\nexit 0\n"), 0o755))
	args := slices.Concat(c.within(), []string{c.ctrOf + "/ctr", "-a", c.dir + "/c.sock", "-n", "k8s.io", "run", "--rm"}, flags)
	for _, word := range cuda(t) {
		args = append(args, strings.Replace(word, "-env", "--env", 1))
	}
	args = append(args, criImage, fmt.Sprintf("test-%d", os.Getpid()), "/bin/busybox", "echo", ran)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+c.dir+"/stub:"+c.folder+":/usr/sbin:/usr/bin:/sbin:/bin")
	out, err := cmd.CombinedOutput()
	if (err == nil) != strings.Contains(string(out), ran) {
		t.Errorf("%v, and it says %s", err, out)
	}
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), out)
	}
	return launched{started: err == nil, said: string(out)}
}

// TestEngineContainerdCtr: ctr goes around the handlers of CRI, so it is judged only where it is told the shim, or
// where the GPU comes from a CDI file with the hook: ctr of containerd 2 takes --gpus so, that of 1 has a hook run
// nvidia-container-cli.
func TestEngineContainerdCtr(t *testing.T) {
	for _, row := range []struct {
		name, config, path, engine string
		newest                     bool
		says                       []string
	}{
		{"1.6", version2, "ctr run --gpus (containerd 1)", "containerd", false, nil},
		{"2.4", version4, "ctr run --gpus, CDI (containerd 2)", "cdi", true, refusedText},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, folder := oldHost(t, ""), debianContainerd
			if row.newest {
				folder = buildContainerd(t)
			}
			c := newContainerd(t, s, folder, row.config)
			c.hooked = row.newest
			must(t, os.WriteFile(c.dir+"/cdi/nvidia.yaml", []byte(strings.Replace(gpuSpec, "name: all", "name: 0", 1)), 0o644))
			c.restart(t, s)
			bad := func(t *testing.T) launched { t.Helper(); return c.ctrRun(t, "--gpus", "0") }
			walk(t, c.host(s, row.engine), []way{{row: row.path, bad: bad, says: row.says}})

			shim := filepath.Join(c.dir, "real/gpu-preflight-runtime") // as install.sh puts it beside the hook
			n := len(s.records(t))
			l := c.ctrRun(t, "--gpus", "0", "--runc-binary", shim)
			if l.started {
				t.Error("by the shim it started")
			}
			contains(t, l.said, refusedText...)
			if list := s.records(t); len(list) != n+1 || list[n].Verdict != "refuse" || list[n].Program != "runtime" {
				t.Errorf("records: %+v", list[n:])
			}
		})
	}
}
