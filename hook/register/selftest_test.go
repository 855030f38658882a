package register

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSelfTest: whatever became of the shim, its path runs afterwards; one that runs is left alone, and so is all where
// the next runtime does not run.
func TestSelfTest(t *testing.T) {
	for _, row := range []struct {
		name, shim string
		mode       os.FileMode
		next       string
		replaced   bool
	}{
		{"good", "#!/bin/sh\nexit 0\n", 0o755, "#!/bin/sh\necho next\n", false},
		{"gone", "-", 0, "#!/bin/sh\necho next\n", true},
		{"not executable", "#!/bin/sh\nexit 0\n", 0o644, "#!/bin/sh\necho next\n", true},
		{"of another architecture", "\x7fELF\x02\x01\x01", 0o755, "#!/bin/sh\necho next\n", true},
		{"the next runtime is broken too", "-", 0, "#!/bin/sh\nexit 1\n", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			s := Site{Prefix: filepath.Join(dir, "a prefix")}
			shim := Shim{Name: "docker-runc", Next: filepath.Join(dir, "bin", "runc")}
			put(t, shim.Next, row.next, 0o755)
			if row.shim != "-" {
				put(t, s.ShimPath(shim.Name), row.shim, row.mode)
			}
			out, _ := exec.CommandContext(t.Context(), "/bin/sh", "-c", s.SelfTest(shim)).CombinedOutput()
			target, err := os.Readlink(s.ShimPath(shim.Name))
			if replaced := err == nil && target == shim.Next; replaced != row.replaced {
				t.Errorf("replaced: %v (%q), said %s", replaced, target, out)
			}
			if strings.Contains(string(out), "pass unjudged") != row.replaced {
				t.Errorf("said %q", out)
			}
		})
	}
}

// TestDockerSelfTest: docker's unit has the test, and a change of somebody else's survives us.
func TestDockerSelfTest(t *testing.T) {
	const unit = "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n"
	s := dockerHost(t, "{}", map[string]string{"/lib/systemd/system/docker.service": unit})
	p := register(t, s)
	path := selfTestPath("docker.service")
	text := content(t, s, path)
	if len(p.Edits) != 2 || p.Edits[0].Path != path || !strings.Contains(text, "ExecStartPre=-/bin/sh -c '\"/usr/local/libexec/") {
		t.Errorf("%s: %+v", text, p.Edits)
	}
	if again := register(t, s); len(again.Edits) != 0 {
		t.Errorf("the second time: %+v", again.Edits)
	}
	put(t, filepath.Join(s.Root, path), text+"LimitNOFILE=1048576\n", 0o644)
	unregister(t, s, false)
	if got := content(t, s, path); got != "[Service]\nLimitNOFILE=1048576\n" {
		t.Errorf("taken out: %q", got)
	}
	if got := content(t, s, daemonFile); got != "{}" {
		t.Errorf("daemon.json: %q", got)
	}
}
