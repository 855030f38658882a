package register

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDockerForeignChange: what somebody else wrote since stays, and our entries go.
func TestDockerForeignChange(t *testing.T) {
	for _, row := range []struct{ name, before, from, to, want string }{
		{"a key more", "{\n  \"debug\": true\n}\n", "\"debug\": true,", "\"debug\": false,\n  \"mtu\": 1400,", "{\n  \"debug\": false,\n  \"mtu\": 1400\n}\n"},
		{"a runtime more", "{\"debug\": true}", "{\"gpu-preflight\":", "{\"kata\": {\"path\": \"k\"}, \"gpu-preflight\":", "{\"debug\": true,\"runtimes\": {\"kata\": {\"path\": \"k\"}}}"},
		{"nvidia is the default now", "{\"debug\": true}", "\"default-runtime\": \"gpu-preflight\"", "\"default-runtime\": \"nvidia\"", "{\"debug\": true,\"default-runtime\": \"nvidia\"}"},
		{"crun", oddDaemons[13].text, "\n}\n", "\n}\n\n", strings.Replace(oddDaemons[13].text, "\n}\n", "\n}\n\n", 1)},
		{"was absent", "-", "{\n", "{\n  \"mtu\": 1400,\n", "{\n  \"mtu\": 1400\n}\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := dockerHost(t, row.before, nil)
			register(t, s)
			ours := content(t, s, daemonFile)
			changed := strings.Replace(ours, row.from, row.to, 1)
			if changed == ours {
				t.Fatalf("%q is not in %s", row.from, ours)
			}
			put(t, filepath.Join(s.Root, daemonFile), changed, 0o644)
			unregister(t, s, false)
			if got := content(t, s, daemonFile); got != row.want {
				t.Errorf("%q\nwant %q", got, row.want)
			}
		})
	}
}

// TestDockerOverForeignChange: registered again over somebody's change, unregister gives back what it would be
// without us.
func TestDockerOverForeignChange(t *testing.T) {
	s := dockerHost(t, "{\"debug\": true}", nil)
	register(t, s)
	theirs := strings.Replace(content(t, s, daemonFile), "\"default-runtime\": \"gpu-preflight\"", "\"default-runtime\": \"crun\"", 1)
	put(t, filepath.Join(s.Root, daemonFile), strings.Replace(theirs, "\"runtimes\": {", "\"runtimes\": {\"crun\": {\"path\": \"crun\"}, ", 1), 0o644)
	register(t, s)
	if got := content(t, s, daemonFile); !strings.Contains(got, "docker-crun/") || !strings.Contains(got, "\"default-runtime\": \"gpu-preflight\"") {
		t.Errorf("registered again: %s", got)
	}
	unregister(t, s, false)
	want := "{\"debug\": true,\"runtimes\": {\"crun\": {\"path\": \"crun\"}},\"default-runtime\": \"crun\"}"
	if got := content(t, s, daemonFile); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestDockerUsers: while a container names our runtime its entry stays and leads straight to the next one.
func TestDockerUsers(t *testing.T) {
	for _, root := range []string{"/var/lib/docker", "/data/docker"} {
		t.Run(root, func(t *testing.T) {
			before := "{\"debug\": true}\n"
			if root != "/var/lib/docker" {
				before = "{\"data-root\": \"" + root + "\"}\n"
			}
			s := dockerHost(t, before, map[string]string{
				root + "/containers/aaa/hostconfig.json": `{"Runtime": "gpu-preflight"}`,
				root + "/containers/bbb/hostconfig.json": `{"Runtime": "runc"}`,
				root + "/containers/ccc/hostconfig.json": `{"Runti`,
				root + "/containers/ddd/other":           "",
			})
			register(t, s)
			r := unregister(t, s, false)
			if !slices.Equal(r.Users, []string{"aaa", "ccc"}) {
				t.Errorf("users: %v", r.Users)
			}
			want := strings.TrimSuffix(before, "}\n") + `,"runtimes": {"gpu-preflight": {"path":"/usr/local/libexec/gpu-preflight/docker-runc/gpu-preflight-runtime"}}}` + "\n"
			if got := content(t, s, daemonFile); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
			if target, err := os.Readlink(filepath.Join(s.Root, "usr/local/libexec/gpu-preflight/docker-runc/gpu-preflight-runtime")); err != nil || target != "/usr/sbin/runc" {
				t.Errorf("the link leads to %q, %v", target, err)
			}
			register(t, s)
			unregister(t, s, false)
			if got := content(t, s, daemonFile); got != want {
				t.Errorf("the second time: %s", got)
			}
			if r := unregister(t, s, true); len(r.Users) != 0 || content(t, s, daemonFile) != before {
				t.Errorf("by force: %v, %s", r.Users, content(t, s, daemonFile))
			}
		})
	}
}

// TestDockerFileKept: links, mode, owner, attributes and read-only files stay as they are.
func TestDockerFileKept(t *testing.T) {
	s := dockerHost(t, "-", nil)
	put(t, filepath.Join(s.Root, "srv/conf/docker.json"), "{\"debug\": true}", 0o440)
	if err := errors.Join(os.MkdirAll(filepath.Join(s.Root, "etc/docker"), 0o755), os.Symlink("/srv/conf/docker.json", filepath.Join(s.Root, daemonFile))); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(s.Root, "srv/conf/docker.json")
	attribute := unix.Setxattr(conf, "user.label", []byte("kept"), 0) == nil
	owner := os.Geteuid()
	if owner == 0 {
		owner = 12345
		if err := os.Chown(conf, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	held := func(want string) {
		t.Helper()
		info, err := os.Lstat(filepath.Join(s.Root, "srv/conf/docker.json"))
		if err != nil || info.Mode() != 0o440 {
			t.Errorf("%v, %v", info, err)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != owner {
			t.Errorf("owner: %+v", info.Sys())
		}
		value := make([]byte, 16)
		if n, _ := unix.Getxattr(conf, "user.label", value); attribute && (n < 0 || string(value[:n]) != "kept") {
			t.Errorf("attribute: %q", value)
		}
		if target, err := os.Readlink(filepath.Join(s.Root, daemonFile)); err != nil || target != "/srv/conf/docker.json" {
			t.Errorf("the link leads to %q, %v", target, err)
		}
		if got := content(t, s, "srv/conf/docker.json"); !strings.Contains(got, want) {
			t.Errorf("%s", got)
		}
	}
	register(t, s)
	held("gpu-preflight")
	unregister(t, s, false)
	held("{\"debug\": true}")
	if left, _ := os.ReadDir(filepath.Join(s.Root, "srv/conf")); len(left) != 1 {
		t.Errorf("left over: %v", left)
	}
}

// TestDockerStateLost: without its state a registration is taken out by what the files say.
func TestDockerStateLost(t *testing.T) {
	s := dockerHost(t, "{\"debug\": true}", nil)
	register(t, s)
	if err := os.RemoveAll(filepath.Join(s.Root, stateFolder)); err != nil {
		t.Fatal(err)
	}
	r := unregister(t, s, false)
	if got := content(t, s, daemonFile); got != "{\"debug\": true}" || len(r.Shims) != 1 {
		t.Errorf("%s, %+v", got, r.Shims)
	}
}

// TestDockerChangedMeanwhile: a file that changed after the plan was made is not written over.
func TestDockerChangedMeanwhile(t *testing.T) {
	s := dockerHost(t, "{}", nil)
	p, err := docker().Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(s.Root, daemonFile), "{\"debug\": true}", 0o644)
	if err := Apply(t.Context(), s, docker(), p); err == nil || content(t, s, daemonFile) != "{\"debug\": true}" {
		t.Errorf("%v, %s", err, content(t, s, daemonFile))
	}
	unregister(t, s, false)
	if got := content(t, s, daemonFile); got != "{\"debug\": true}" {
		t.Errorf("unregistered: %s", got)
	}
}
