package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// TestInstallRegisters: --register hands the engines on; without it a folder of a package is not registered, this host
// is, and over an earlier installation only what is registered already.
func TestInstallRegisters(t *testing.T) {
	from, path := release(t, allPrograms...), pathOf(t, append([]string{"basename"}, installNeeds...)...)
	const nothing = "nothing was registered. Next: gpu-preflight register --dry-run"
	for _, row := range []struct {
		name   string
		states []string // engines that are registered
		over   bool     // an earlier installation is there
		host   bool     // this host, as a dry run
		args   []string
		runs   string
	}{
		{"auto", nil, false, false, []string{"--register", "auto"}, "register --prefix /usr/local\n"},
		{"named", nil, false, false, []string{"--register", "docker,cdi"}, "register --prefix /usr/local docker cdi\n"},
		{"none", nil, false, false, []string{"--register", "none"}, nothing},
		{"a package", nil, false, false, nil, nothing},
		{"a package over another", []string{"docker"}, true, false, nil, nothing},
		{"this host", nil, false, true, nil, "PREFIX/bin/gpu-preflight register --prefix PREFIX\n"},
		{"this host, an upgrade, nothing is registered", nil, true, true, nil, nothing},
		{"this host, an upgrade, named anew", nil, true, true, []string{"--register", "auto"}, "PREFIX/bin/gpu-preflight register --prefix PREFIX\n"},
		{"this host, none", nil, false, true, []string{"--register", "none"}, nothing},
	} {
		t.Run(row.name, func(t *testing.T) {
			dest := t.TempDir()
			args, prefix := append([]string{"--destdir", dest}, row.args...), "/usr/local"
			if row.host {
				prefix = dest
				args = append([]string{"--dry-run", "--prefix", dest}, row.args...)
			}
			bin := filepath.Join(dest, map[bool]string{false: prefix, true: ""}[row.host], "bin")
			if row.over {
				write(t, filepath.Join(bin, "gpu-preflight"), "#!/bin/sh\n", 0o755)
			}
			for _, engine := range row.states {
				write(t, dest+"/var/lib/gpu-preflight/register/"+engine+".json", "{}", 0o600)
			}
			out := mustInstall(t, from, path, args...)
			want := strings.ReplaceAll(row.runs, "PREFIX", prefix)
			if !strings.Contains(out, want) || (row.runs == nothing) == strings.Contains(out, " register --prefix") {
				t.Errorf("no %q in\n%s", want, out)
			}
		})
	}
}

// dockerBelow is a host's tree with docker, and the real program below it.
func dockerBelow(t *testing.T) (from, dest string) {
	t.Helper()
	from, dest = release(t, "gpu-preflight-hook"), t.TempDir()
	program, err := os.ReadFile(fixture.Build(t, "cmd/gpu-preflight"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(from, "gpu-preflight"), string(program), 0o755)
	for _, name := range []string{"/usr/bin/dockerd", "/usr/sbin/runc"} {
		write(t, dest+name, "", 0o755)
	}
	write(t, dest+daemonJSON, dockersOwn, 0o644)
	return from, dest
}

const (
	daemonJSON = "/etc/docker/daemon.json"
	dockersOwn = "{\n\t\"debug\": true\n}"
	dockerShim = "/usr/local/libexec/gpu-preflight/docker-runc/gpu-preflight-runtime"
)

func text(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestInstallAndUninstallWithDocker: the real program registers below a tree; a second installation renews the shim; and
// containers that name the runtime start after --uninstall, which says which they are and may be run again.
func TestInstallAndUninstallWithDocker(t *testing.T) {
	path := pathOf(t, installNeeds...)
	from, dest := dockerBelow(t)
	installed := func() { mustInstall(t, from, path, "--destdir", dest, "--register", "auto") }
	installed()
	registered := text(t, dest+daemonJSON)
	if !strings.Contains(registered, `"default-runtime"`) || !strings.Contains(registered, dockerShim) {
		t.Fatalf("daemon.json: %s", registered)
	}
	installed()
	if inode(t, dest+dockerShim) != inode(t, dest+"/usr/local/bin/gpu-preflight-hook") || text(t, dest+daemonJSON) != registered {
		t.Errorf("the second time: the shim is an old program, or %s", text(t, dest+daemonJSON))
	}
	container := dest + "/var/lib/docker/containers/aaa/hostconfig.json"
	write(t, container, `{"Runtime": "gpu-preflight"}`, 0o600)
	out := mustInstall(t, from, path, "--uninstall", "--destdir", dest)
	if !strings.Contains(out, "aaa") || !strings.Contains(out, "stays, because containers name it") {
		t.Errorf("the container is not named:\n%s", out)
	}
	if target, err := os.Readlink(dest + dockerShim); err != nil || target != "/usr/sbin/runc" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	left := text(t, dest+daemonJSON)
	if strings.Contains(left, "default-runtime") || !strings.Contains(left, dockerShim) {
		t.Errorf("daemon.json: %s", left)
	}
	if files := strings.Join(tree(t, dest+"/usr/local/bin"), "\n"); files != "" {
		t.Errorf("left behind: %s", files)
	}
	if out := mustInstall(t, from, path, "--uninstall", "--destdir", dest); !strings.Contains(out, "containers that name it") || text(t, dest+daemonJSON) != left {
		t.Errorf("the second time:\n%s\n%s", out, text(t, dest+daemonJSON))
	}
	installed()
	if text(t, dest+daemonJSON) != registered {
		t.Errorf("installed again: %s", text(t, dest+daemonJSON))
	}
	if err := os.Remove(container); err != nil {
		t.Fatal(err)
	}
	mustInstall(t, from, path, "--uninstall", "--destdir", dest)
	if got := text(t, dest+daemonJSON); got != dockersOwn {
		t.Errorf("taken out: %q, want %q", got, dockersOwn)
	}
}

// TestInstallWhereRegistrationFails: without an engine the installation is whole; with one whose file is broken it is
// done, nothing of that file was touched, and the exit code tells.
func TestInstallWhereRegistrationFails(t *testing.T) {
	path := pathOf(t, installNeeds...)
	from, dest := dockerBelow(t)
	if out := mustInstall(t, from, path, "--destdir", t.TempDir(), "--register", "auto"); !strings.Contains(out, "no engine is installed here") {
		t.Errorf("without an engine:\n%s", out)
	}
	write(t, dest+daemonJSON, "{", 0o644)
	out, code := install(t, from, path, "--destdir", dest, "--register", "auto")
	if code != 1 || !strings.Contains(out, "installed, but not registered everywhere") || text(t, dest+daemonJSON) != "{" {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if _, err := os.Stat(dest + "/usr/local/bin/gpu-preflight-hook"); err != nil {
		t.Error(err)
	}
}

// TestUpgradeRegistersWhatIsRegistered: an upgrade of this host registers again what is registered, in a mount namespace
// in which only the test's state is there.
func TestUpgradeRegistersWhatIsRegistered(t *testing.T) {
	from, prefix := release(t, allPrograms...), t.TempDir()
	write(t, prefix+"/bin/gpu-preflight", "#!/bin/sh\n", 0o755)
	script := "mount -t tmpfs none /var/lib && mkdir -p /var/lib/gpu-preflight/register && cd /var/lib/gpu-preflight/register && " +
		"echo '{}' >docker.json && echo '{}' >nvidia-ctk.json && exec " + from + "/install.sh --dry-run --prefix " + prefix
	out, err := exec.CommandContext(t.Context(), "unshare", "--map-root-user", "--mount", "sh", "-c", script).CombinedOutput()
	want := prefix + "/bin/gpu-preflight register --prefix " + prefix + " docker nvidia-ctk\n"
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: no %q in\n%s", err, want, out)
	}
}
