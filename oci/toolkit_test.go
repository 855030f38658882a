package oci

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadToolkit(t *testing.T) {
	changed := func(change func(*Toolkit)) Toolkit {
		t := DefaultToolkit()
		change(&t)
		return t
	}
	for _, tt := range []struct {
		about, file string
		want        Toolkit
		err         string
	}{
		{"empty", "", DefaultToolkit(), ""},
		{"unknown keys", "[features]\nx = true\n", DefaultToolkit(), ""},
		{
			"as nvidia-ctk config default prints it",
			`#accept-nvidia-visible-devices-as-volume-mounts = false
disable-require = false
supported-driver-capabilities = "compat32,compute,display,graphics,ngx,utility,video"
#swarm-resource = "DOCKER_RESOURCE_GPU"

[nvidia-container-cli]
environment = []
ldconfig = "@/sbin/ldconfig.real"
load-kmods = true

[nvidia-container-runtime]
mode = "auto"
runtimes = ["runc", "crun"]

[nvidia-container-runtime.modes.cdi]
annotation-prefixes = ["cdi.k8s.io/"]
`,
			DefaultToolkit(), "",
		},
		{
			"GPU operator: driver container, cdi, no environment for the unprivileged",
			`accept-nvidia-visible-devices-as-volume-mounts = true
accept-nvidia-visible-devices-envvar-when-unprivileged = false
disable-require = true
swarm-resource = "DOCKER_RESOURCE_GPU, OTHER"
supported-driver-capabilities = "all"
[nvidia-container-cli]
root = "/run/nvidia/driver"
[nvidia-container-runtime]
mode = "cdi"
[nvidia-container-runtime.modes.cdi]
annotation-prefixes = ["nvidia.cdi.k8s.io/"]
[nvidia-container-runtime.modes.legacy]
cuda-compat-mode = "hook"
`,
			changed(func(t *Toolkit) {
				t.AcceptVolumeMounts, t.AcceptEnvvarUnprivileged, t.DisableRequire = true, false, true
				t.SwarmResources = []string{"DOCKER_RESOURCE_GPU", "OTHER"}
				t.SupportedCapabilities = []string{"all"}
				t.CLIRoot, t.Mode, t.CudaCompatMode = "/run/nvidia/driver", "cdi", "hook"
				t.AnnotationPrefixes = []string{operatorPrefix}
			}), "",
		},
		{"broken", "mode = \n", Toolkit{}, "line 1, column "},
		{"another type", "disable-require = \"yes\"\n", Toolkit{}, "line 1, column "},
	} {
		t.Run(tt.about, func(t *testing.T) {
			root := t.TempDir()
			file := filepath.Join(root, toolkitFile)
			must(t, os.MkdirAll(filepath.Dir(file), 0o700))
			must(t, os.WriteFile(file, []byte(tt.file), 0o600))
			got, err := ReadToolkit(root)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestReadToolkitOddFiles(t *testing.T) {
	root := t.TempDir()
	if got, err := ReadToolkit(root); err != nil || !reflect.DeepEqual(got, DefaultToolkit()) {
		t.Errorf("absent: %+v, %v", got, err)
	}
	file := filepath.Join(root, toolkitFile)
	must(t, os.MkdirAll(filepath.Dir(file), 0o700))
	must(t, unix.Mkfifo(file, 0o600))
	if _, err := ReadToolkit(root); err == nil {
		t.Error("a FIFO was read")
	}
	must(t, os.Remove(file))
	must(t, os.WriteFile(file, make([]byte, maxToolkitFile+1), 0o600))
	if _, err := ReadToolkit(root); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestReadToolkitOfTheOperator(t *testing.T) {
	root := t.TempDir()
	for _, row := range []struct{ file, mode string }{{operatorToolkitFile, "cdi"}, {toolkitFile, "legacy"}} {
		file := filepath.Join(root, row.file)
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, []byte("[nvidia-container-runtime]\nmode = \""+row.mode+"\"\n"), 0o600))
		if got, err := ReadToolkit(root); err != nil || got.Mode != row.mode {
			t.Errorf("%s: mode %s, %v", row.file, got.Mode, err)
		}
	}
}

func FuzzToolkit(f *testing.F) {
	f.Add([]byte("[nvidia-container-runtime]\nmode = \"cdi\"\n"))
	f.Add([]byte("swarm-resource = \",,A\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		toolkit, err := parseToolkit(data)
		if err != nil && !reflect.DeepEqual(toolkit, Toolkit{}) {
			t.Errorf("%+v beside %v", toolkit, err)
		}
	})
}
