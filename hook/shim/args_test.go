package shim

import (
	"strings"
	"testing"
)

// TestParse: the command lines that engines write. go-runc (containerd, docker), conmon (podman), runc and crun by
// hand, nvidia-container-runtime (hands on what it was given).
func TestParse(t *testing.T) {
	for _, tt := range []struct {
		about, line string
		want        call
	}{
		{
			"containerd", "--root /run/containerd/runc/k8s.io --log /run/c/log.json --log-format json create --bundle /run/c/b --pid-file /run/c/init.pid c1",
			call{"create", "/run/c/log.json", "/run/c/b", "c1"},
		},
		{
			"containerd, systemd, terminal", "--root /r --log /l --log-format json --systemd-cgroup create --bundle /b --pid-file /p --console-socket /s --no-pivot --no-new-keyring c1",
			call{"create", "/l", "/b", "c1"},
		},
		{
			"docker", "--root /var/run/docker/runtime-runc/moby --log /l --log-format json create --bundle /b --pid-file /p --preserve-fds 2 c1",
			call{"create", "/l", "/b", "c1"},
		},
		{"conmon", "--systemd-cgroup --log=/l --log-format=json create --bundle /b --pid-file /p c1", call{"create", "/l", "/b", "c1"}},
		{"conmon, crun", "--cgroup-manager cgroupfs --log /l create -b /b --pid-file=/p --console-socket /s c1", call{"create", "/l", "/b", "c1"}},
		{"runc by hand", "run c1", call{"run", "", "", "c1"}},
		{"one dash", "-log /l -debug run -bundle /b -d c1", call{"run", "/l", "/b", "c1"}},
		{"short with =", "run -b=/b c1", call{"run", "", "/b", "c1"}},
		{"crun, another configuration", "run --config /c.json -b /b c1", call{"run", "", "/b", "c1"}},
		{"end of the flags", "create --bundle /b -- -c1", call{"create", "", "/b", "-c1"}},
		{"the last one counts", "run --bundle /a --bundle /b c1", call{"run", "", "/b", "c1"}},
		{"a folder named create", "--root create state c1", call{"state", "", "", ""}},
		{"start", "--log /l start c1", call{"start", "/l", "", ""}},
		{"exec with words of ours", "--log /l exec c1 create --bundle /b", call{"exec", "/l", "", ""}},
		{"features", "features", call{"features", "", "", ""}},
		{"no command", "--version", call{}},
		{"a flag without its value", "--log", call{}},
		{"nothing", "", call{}},
		{"only dashes", "-- - --", call{"-", "", "", ""}},
	} {
		if got := parse(strings.Fields(tt.line)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.about, got, tt.want)
		}
	}
}
