package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func writeConfig(t testing.TB, config string) string {
	t.Helper()
	bundle := t.TempDir()
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return bundle
}

func TestLoadContainerRoot(t *testing.T) {
	for _, tt := range []struct{ about, config, want string }{
		{"relative: runc spec, containerd's CRI", `{"root":{"path":"rootfs"}}`, "BUNDLE/rootfs"},
		{"absolute: docker, podman", `{"root":{"path":"/var/lib/docker/overlay2/x/merged"}}`, "/var/lib/docker/overlay2/x/merged"},
		{"up", `{"root":{"path":"../r"}}`, "BUNDLE/../r"},
		{"none", `{}`, ""},
	} {
		t.Run(tt.about, func(t *testing.T) {
			bundle := writeConfig(t, tt.config)
			c, err := LoadContainer(bundle)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Replace(tt.want, "BUNDLE", bundle, 1)
			if want != "" {
				want = filepath.Clean(want)
			}
			if c.Root != want || c.Bundle != bundle {
				t.Errorf("root %s, bundle %s, want %s", c.Root, c.Bundle, want)
			}
		})
	}
}

func TestLoadContainerErrors(t *testing.T) {
	for _, tt := range []struct{ about, config, want string }{
		{"syntax", "{\n  \"process\": {\n    \"env\": [\"A=1\",,]\n", "config.json:3:19: invalid character"},
		{"type", "{\n  \"process\": {\"env\": 5}\n}", "config.json:2:"},
		{"cut off", `{"process": {`, "config.json:1:13: unexpected end"},
		{"empty", "", "config.json:1:1: unexpected end"},
		{"a list", "[]", "config.json:1:1: json: cannot unmarshal array"},
	} {
		t.Run(tt.about, func(t *testing.T) {
			bundle := writeConfig(t, tt.config)
			_, err := LoadContainer(bundle)
			if want := "parse " + bundle + "/" + tt.want; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error %v, want %s…", err, want)
			}
		})
	}
}

// What nobody reads may have any form: engines add fields.
func TestLoadContainerIgnoresWhatItDoesNotRead(t *testing.T) {
	bundle := writeConfig(t, `{"ociVersion":7,"windows":[],"linux":{"seccomp":"no object"},"process":{"rlimits":3,"user":{"username":4,"uid":1000},"args":["a"]}}`)
	if c, err := LoadContainer(bundle); err != nil || len(c.Args) != 1 || c.User != "1000" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestLoadContainerOddFiles(t *testing.T) {
	for _, tt := range []struct {
		about string
		make  func(path string) error
		want  string
	}{
		{"absent", func(string) error { return nil }, "no such file or directory"},
		{"a FIFO", func(path string) error { return unix.Mkfifo(path, 0o600) }, "not a regular file"},
		{"a folder", func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
		{"a device", func(path string) error { return os.Symlink("/dev/zero", path) }, "not a regular file"},
		{"too large", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, maxConfig+1))
		}, "more than 16777216 bytes"},
	} {
		t.Run(tt.about, func(t *testing.T) {
			bundle := t.TempDir()
			if err := tt.make(filepath.Join(bundle, "config.json")); err != nil {
				t.Fatal(err)
			}
			_, err := LoadContainer(bundle)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Count(err.Error(), bundle) != 1 {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			var tooLarge *TooLargeError
			if errors.As(err, &tooLarge) != (tt.about == "too large") {
				t.Errorf("%v is of another type", err)
			}
		})
	}
}

func TestGetenv(t *testing.T) {
	c := &Container{Env: []string{"A=1", "B", "A=2=3", "C=", "=x"}}
	for key, want := range map[string]string{"A": "2=3", "C": ""} {
		if got, ok := c.Getenv(key); got != want || !ok {
			t.Errorf("%s: %q, %t", key, got, ok)
		}
	}
	if _, ok := c.Getenv("B"); ok {
		t.Error("B has no value and counts as set")
	}
}

// largeConfig is a docker configuration of about 40 KB, most of it in what is not read (seccomp) as in real ones.
func largeConfig(tb testing.TB) string {
	tb.Helper()
	seccomp := specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
	for i := range 530 {
		seccomp.Syscalls = append(seccomp.Syscalls, specs.LinuxSyscall{
			Names: []string{fmt.Sprintf("system_call_%03d", i)}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{},
		})
	}
	spec := specs.Spec{
		Version: "1.2.0", Hostname: "h", Root: &specs.Root{Path: "/var/lib/docker/overlay2/x/merged"},
		Process: &specs.Process{Args: []string{"sh"}},
		Linux:   &specs.Linux{Seccomp: &seccomp},
	}
	for i := range 40 {
		spec.Process.Env = append(spec.Process.Env, fmt.Sprintf("VARIABLE_%d=%s", i, strings.Repeat("v", 60)))
		spec.Mounts = append(spec.Mounts, specs.Mount{
			Destination: fmt.Sprintf("/mnt/destination/%d", i), Source: fmt.Sprintf("/srv/source/%d", i), Type: "bind",
			Options: []string{"rbind", "rprivate", "ro", "nosuid", "nodev"},
		})
	}
	data, err := json.Marshal(spec)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func BenchmarkLoadContainer(b *testing.B) {
	config := largeConfig(b)
	bundle := writeConfig(b, config)
	b.SetBytes(int64(len(config)))
	b.ReportAllocs()
	for b.Loop() {
		c, err := LoadContainer(bundle)
		if err != nil {
			b.Fatal(err)
		}
		FindGPUs(c, Host{})
	}
}

// BenchmarkWholeSpec is what the narrow struct is measured against.
func BenchmarkWholeSpec(b *testing.B) {
	data := []byte(largeConfig(b))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var spec specs.Spec
		if err := json.Unmarshal(data, &spec); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"process":{"env":["NVIDIA_VISIBLE_DEVICES=all"]},"hooks":{"prestart":[{"path":"/usr/bin/nvidia-container-runtime-hook"}]}}`), false)
	f.Add([]byte(`{"linux":{"devices":[{"path":"/dev/x","type":"c","major":240,"minor":-1}]}}`), true)
	f.Add([]byte(`{"mounts":[{"source":"/dev/null","destination":"/var/run/nvidia-container-devices/cdi/a/b/c"}]}`), true)
	f.Fuzz(func(t *testing.T, data []byte, above bool) {
		c, err := parseConfig(data)
		if err != nil {
			position(data, err)
			return
		}
		r := FindGPUs(c, Host{
			Majors:             func() (map[string]int, error) { return map[string]int{"nvidia-uvm": 240, "nvidia-caps": 241}, nil },
			Toolkit:            func() (Toolkit, error) { return Toolkit{AcceptVolumeMounts: true, Mode: "auto"}, nil },
			AboveNVIDIARuntime: above,
		})
		if r.GPU != (len(r.Reasons) > 0) {
			t.Errorf("GPU without a reason, or a reason without GPU: %+v", r)
		}
		if r.Injected && !r.GPU {
			t.Errorf("injected, but no GPU launch: %+v", r)
		}
		Namespace(c)
		Engine(c)
		if bytes.Contains([]byte(strings.Join(r.Reasons, "")), []byte{0}) {
			t.Errorf("control characters in %q", r.Reasons)
		}
	})
}
