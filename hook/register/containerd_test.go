package register

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// debianContainerd has what Debian 12's package installs.
const debianContainerd = `version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd/opt"
`

// nvidiaDropIn has what nvidia-ctk 1.20 makes of a configuration with a runc handler.
const nvidiaDropIn = `version = 2

[plugins]

  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "registry.example/pause:3"

    [plugins."io.containerd.grpc.v1.cri".containerd]

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]

        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
          runtime_type = "io.containerd.runc.v2"

          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
            BinaryName = "/usr/bin/nvidia-container-runtime"
            SystemdCgroup = true

        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
          runtime_type = "io.containerd.runc.v2"

          [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
            SystemdCgroup = true
`

const importsConfD = "imports = [\"/etc/containerd/conf.d/*.toml\"]\n"

const (
	criV2 = `plugins."io.containerd.grpc.v1.cri"`
	criV3 = `plugins.'io.containerd.cri.v1.runtime'`
)

// containerdHosts are configurations by name: the files, the handler in force and the runtime behind it.
var containerdHosts = map[string]struct {
	files   map[string]string
	handler string
	next    string
}{
	"none":   {handler: "runc", next: "/usr/sbin/runc"},
	"debian": {files: map[string]string{containerdConfig: debianContainerd}, handler: "runc", next: "/usr/sbin/runc"},
	"crlf":   {files: map[string]string{containerdConfig: strings.ReplaceAll(debianContainerd, "\n", "\r\n")}, handler: "runc", next: "/usr/sbin/runc"},
	"no last line break, crun": {
		files: map[string]string{containerdConfig: "version = 2\n[" + criV2 + ".containerd]\ndefault_runtime_name = \"crun\"\n# ours\n[" + criV2 +
			".containerd.runtimes.crun]\nruntime_type = \"io.containerd.runc.v2\"\npod_annotations = [\n  \"a.*\", # theirs\n]\n[" + criV2 +
			".containerd.runtimes.crun.options]\n  BinaryName = '/usr/bin/crun' # from apt"},
		handler: "crun", next: "/usr/bin/crun",
	},
	"dotted keys": {
		files: map[string]string{containerdConfig: "version = 2\n[" + criV2 + ".containerd]\nruntimes.runc.runtime_type = \"io.containerd.runc.v2\"\n" +
			"runtimes.runc.options.BinaryName = \"runc\"\n\n[debug]\nlevel = \"info\"\n"},
		handler: "runc", next: "/usr/sbin/runc",
	},
	"inline tables": {
		files: map[string]string{containerdConfig: "version = 2\n[" + criV2 + ".containerd.runtimes]\n" +
			"runc = { runtime_type = \"io.containerd.runc.v2\", pod_annotations = [], options = { SystemdCgroup = true } } # kept short\n"},
		handler: "runc", next: "/usr/sbin/runc",
	},
	"nvidia-ctk's drop-in, version 2": {
		files:   map[string]string{containerdConfig: importsConfD + debianContainerd, "/etc/containerd/conf.d/99-nvidia.toml": nvidiaDropIn},
		handler: "runc", next: "/usr/sbin/runc",
	},
	"nvidia is the default": {
		files: map[string]string{
			containerdConfig:                        importsConfD + debianContainerd,
			"/etc/containerd/conf.d/99-nvidia.toml": strings.Replace(nvidiaDropIn, ".containerd]\n", ".containerd]\n      default_runtime_name = \"nvidia\"\n", 1),
		},
		handler: "nvidia", next: "/usr/bin/nvidia-container-runtime",
	},
	"version 3": {
		files: map[string]string{containerdConfig: "# by hand\nversion = 3\n\n[" + criV3 + ".containerd.runtimes.runc]\n  runtime_type = 'io.containerd.runc.v2'\n" +
			"  pod_annotations = ['a.*']\n  [" + criV3 + ".containerd.runtimes.runc.options]\n    SystemdCgroup = true\n"},
		handler: "runc", next: "/usr/sbin/runc",
	},
	"version 4, imports": {
		files:   map[string]string{containerdConfig: "version = 4\nimports = ['/etc/containerd/conf.d/*.toml']\r\n"},
		handler: "runc", next: "/usr/sbin/runc",
	},
	"version 3, crun from a relative import": {
		files: map[string]string{
			containerdConfig:            "version = 3\nimports = [\n  'more.toml', # mine\n]\n",
			"/etc/containerd/more.toml": "version = 3\n[" + criV3 + ".containerd]\ndefault_runtime_name = 'crun'\nruntimes.crun.runtime_type = 'io.containerd.runc.v2'\nruntimes.crun.options.BinaryName = '/usr/bin/crun'\n",
		},
		handler: "crun", next: "/usr/bin/crun",
	},
}

var containerdPrograms = []string{"/usr/bin/containerd", "/usr/sbin/runc", "/usr/bin/crun", "/usr/bin/nvidia-container-runtime"}

func TestContainerdRegistersTwiceAsOnceAndLeavesNothing(t *testing.T) {
	for name, c := range containerdHosts {
		t.Run(name, func(t *testing.T) {
			s := hostWith(t, c.files, containerdPrograms...)
			if !containerd().Present(s) {
				t.Error("it is not seen")
			}
			p := registerOn(t, s, containerd())
			want := Shim{Name: "containerd-" + c.handler, Next: c.next}
			if len(p.Shims) != 1 || p.Shims[0] != want {
				t.Fatalf("shims are %v, want %v", p.Shims, want)
			}
			section := criInForce(t, s)
			if got := valueAt(section, "containerd", "runtimes", c.handler, "options", "BinaryName"); got != s.ShimPath(want.Name) {
				t.Errorf("BinaryName of %s is %v", c.handler, got)
			}
			annotations, _ := valueAt(section, "containerd", "runtimes", c.handler, "pod_annotations").([]any)
			if !slices.Contains(annotations, any(podAnnotations)) || (strings.Contains(c.files[containerdConfig], "a.*") && annotations[0] != "a.*") {
				t.Errorf("pod_annotations are %v", annotations)
			}
			beside, _ := valueAt(section, "containerd", "runtimes", unwrappedHandler).(map[string]any)
			if got, _ := valueAt(beside, "options", "BinaryName").(string); beside["runtime_type"] != runcV2 || s.programOr(got, "runc") != c.next {
				t.Errorf("the handler without us is %v", beside)
			}
			stripAll(t, s, containerd())
			for path, text := range c.files {
				if got := hostFile(t, s, path); got != text {
					t.Errorf("%s, taken out again:\n%q\nwant\n%q", path, got, text)
				}
			}
			for _, path := range []string{containerdConfig, dropInPath(s)} {
				if _, was := c.files[path]; !was && hostFile(t, s, path) != "absent" {
					t.Errorf("%s is left", path)
				}
			}
		})
	}
}

// programOr finds a program that may go without a name.
func (s Site) programOr(name, otherwise string) string {
	if name == "" {
		name = otherwise
	}
	return s.program(name)
}

// criInForce is the CRI section as containerd would put it together, our drop-in last.
func criInForce(t *testing.T, s Site) map[string]any {
	t.Helper()
	files, err := containerdRead(s)
	if err != nil {
		t.Fatal(err)
	}
	version, _ := mustParse(t, hostFile(t, s, files[0].path)).tree["version"].(int64)
	var raw []containerdFile
	for _, file := range files {
		file.toml = mustParse(t, hostFile(t, s, file.path))
		raw = append(raw, file)
	}
	if version > 2 {
		raw = append(raw, containerdFile{toml: mustParse(t, hostFile(t, s, dropInPath(s)))})
		if importPlace(raw[0].toml, raw[0].path, dropInPath(s)) < 0 {
			t.Error("the drop-in is not imported")
		}
	}
	section, _ := criSection(raw, version)
	return section
}

func TestContainerdLeavesAlone(t *testing.T) {
	k3s := "# File generated by k3s. DO NOT EDIT. Use config-v3.toml.tmpl instead.\nversion = 3\n[" + criV3 + ".containerd.runtimes.runc]\nruntime_type = 'io.containerd.runc.v2'\n"
	runc := "[" + criV2 + ".containerd.runtimes.runc]\n"
	for name, c := range map[string]struct {
		files   map[string]string
		configs map[string]string
		want    []string
		absent  bool
	}{
		"docker's package":       {files: map[string]string{containerdConfig: "disabled_plugins = [\"cri\"]\n"}, want: []string{"CRI plugin is disabled"}, absent: true},
		"version 1":              {files: map[string]string{containerdConfig: "[plugins.cri]\n"}, want: []string{"version 1", "config migrate"}},
		"a version to come":      {files: map[string]string{containerdConfig: "version = 9\n"}, want: []string{"version 9"}},
		"no TOML":                {files: map[string]string{containerdConfig: "version = 2\n[plugins\n"}, want: []string{containerdConfig, "line 2"}},
		"kata is the default":    {files: map[string]string{containerdConfig: "version = 2\n" + runc + "runtime_type = \"io.containerd.kata.v2\"\n"}, want: []string{"io.containerd.kata.v2"}},
		"no such handler":        {files: map[string]string{containerdConfig: "version = 2\n[" + criV2 + ".containerd]\ndefault_runtime_name = \"x\"\n"}, want: []string{`"x"`}},
		"the runtime is gone":    {files: map[string]string{containerdConfig: "version = 2\n" + runc + "options = { BinaryName = \"/opt/gone\" }\n"}, want: []string{"/opt/gone"}},
		"a name out of a path":   {files: map[string]string{containerdConfig: "version = 2\n[" + criV2 + ".containerd]\ndefault_runtime_name = \"../x\"\nruntimes.\"../x\".runtime_type = \"io.containerd.runc.v2\"\n"}, want: []string{"../x"}},
		"an import that is gone": {files: map[string]string{containerdConfig: "version = 2\nimports = [\"/gone.toml\"]\n"}, want: []string{"/gone.toml"}},
		"overruled": {
			files: map[string]string{
				containerdConfig:                  "version = 3\n" + importsConfD,
				"/etc/containerd/conf.d/zzz.toml": "version = 3\n[" + criV3 + ".containerd.runtimes.runc.options]\nBinaryName = '/usr/bin/crun'\n",
			},
			want: []string{"/etc/containerd/conf.d/zzz.toml", "read after our drop-in"},
		},
		"k3s": {
			files: map[string]string{"/var/lib/rancher/k3s/agent/etc/containerd/config.toml": k3s},
			want: []string{
				"generated", "/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl", `{{ template "base" . }}`,
				`BinaryName = "/usr/local/libexec/gpu-preflight/containerd-runc/gpu-preflight-runtime"`, "--default-runtime",
			},
		},
		"rke2 at another place": {
			files:   map[string]string{"/x/config.toml": "# File generated by rke2. DO NOT EDIT. Use config.toml.tmpl instead.\nversion = 2\n"},
			configs: map[string]string{"containerd": "/x/config.toml"}, want: []string{"/x/config.toml.tmpl", criPlugin[2]},
		},
		"microk8s": {
			files: map[string]string{"/var/snap/microk8s/current/args/containerd.toml": debianContainerd},
			want:  []string{"/var/snap/microk8s/current/args/containerd-template.toml"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := hostWith(t, c.files, containerdPrograms...)
			s.Configs = c.configs
			p, err := containerd().Plan(s)
			if err == nil || len(p.Edits) > 0 {
				t.Fatalf("planned %+v", p)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not name %q: %v", want, err)
				}
			}
			if containerd().Present(s) == c.absent {
				t.Errorf("present: %v", !c.absent)
			}
			if generated := strings.Contains(err.Error(), "generated"); errors.Is(err, errGenerated) != generated || generated != (len(p.Shims) == 1) {
				t.Errorf("shims are %v with %v", p.Shims, err)
			}
		})
	}
}

// nvidia-ctk writes the top file anew without comments, and copies what it finds there into its drop-in.
func TestContainerdStripsCopiesWithoutComments(t *testing.T) {
	crun := strings.Replace(nvidiaDropIn, "options]\n            SystemdCgroup", "options]\n            BinaryName = \"/usr/bin/crun\"\n            SystemdCgroup", 1)
	s := hostWith(t, map[string]string{containerdConfig: crun}, containerdPrograms...)
	registerOn(t, s, containerd())
	var tree map[string]any
	if err := toml.Unmarshal([]byte(hostFile(t, s, containerdConfig)), &tree); err != nil {
		t.Fatal(err)
	}
	again, err := toml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	back, err := containerd().Strip("/etc/containerd/conf.d/99-nvidia.toml", again)
	if err != nil {
		t.Fatal(err)
	}
	got, want := mustParse(t, string(back)).tree, mustParse(t, crun).tree
	list, _ := withValue(got, runtimesOf(criPlugin[2], "runc", "pod_annotations"), nil) // it stays as an empty list
	if !sameTree(list, want) {
		t.Errorf("it says\n%s\nwant\n%s", back, crun)
	}
}

// TestContainerdReadsOurEdit asks the containerd of this machine what it makes of the files: all is as before but the
// handler in force, and the one beside it.
func TestContainerdReadsOurEdit(t *testing.T) {
	program, err := exec.LookPath("containerd")
	if err != nil {
		t.Skip("containerd is not installed")
	}
	dump := func(path string) map[string]any {
		out, failed := exec.CommandContext(context.Background(), program, "-c", path, "config", "dump").Output()
		if failed != nil {
			t.Fatalf("containerd cannot read %s: %v", path, failed)
		}
		return mustParse(t, string(out)).tree
	}
	for name, c := range containerdHosts {
		text := c.files[containerdConfig]
		if len(c.files) != 1 || !strings.Contains(text, "version = 2") || strings.Contains(text, "imports") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s := hostWith(t, c.files, containerdPrograms...)
			path := filepath.Join(s.Root, containerdConfig)
			before := dump(path)
			registerOn(t, s, containerd())
			after := dump(path)
			runtimes := []string{"plugins", criPlugin[2], "containerd", "runtimes"}
			handler := slices.Concat(runtimes, []string{c.handler})
			if got := valueAt(after, slices.Concat(handler, []string{"options", "BinaryName"})...); got != s.ShimPath("containerd-"+c.handler) {
				t.Errorf("containerd takes %v for the runtime", got)
			}
			beside, _ := valueAt(after, slices.Concat(runtimes, []string{unwrappedHandler})...).(map[string]any)
			old, _ := valueAt(before, handler...).(map[string]any)
			if !sameTree(withoutDefaults(beside), withoutDefaults(old)) {
				t.Errorf("the handler without us is %v, was %v", beside, old)
			}
			for _, tree := range []*map[string]any{&before, &after} {
				for _, key := range []string{c.handler, unwrappedHandler} {
					if *tree, err = withValue(*tree, slices.Concat(runtimes, []string{key}), nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			if !sameTree(before, after) {
				t.Errorf("another setting changed:\n%v\n%v", before, after)
			}
		})
	}
}

// withoutDefaults leaves out what containerd's dump adds to a handler without being told.
func withoutDefaults(table map[string]any) map[string]any {
	out := maps.Clone(table)
	maps.DeleteFunc(out, func(_ string, v any) bool { return v == "" || v == false || v == int64(0) || isEmptyList(v) })
	for key, v := range out {
		if sub, ok := v.(map[string]any); ok {
			out[key] = withoutDefaults(sub)
		}
	}
	return out
}

func isEmptyList(v any) bool {
	list, ok := v.([]any)
	return ok && len(list) == 0
}

func TestContainerdImportsAreFollowedInItsOrder(t *testing.T) {
	s := hostWith(t, map[string]string{
		containerdConfig:                "version = 2\nimports = [\"b.toml\", \"/etc/containerd/conf.d/*.toml\"]\n",
		"/etc/containerd/b.toml":        "imports = [\"c.toml\", \"config.toml\"]\n",
		"/etc/containerd/c.toml":        "",
		"/etc/containerd/conf.d/y.toml": "", "/etc/containerd/conf.d/x.toml": "", "/etc/containerd/conf.d/x.conf": "",
		"/etc/containerd/conf.d/" + dropInName: "",
	})
	files, err := containerdRead(s)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, filepath.Base(file.path))
	}
	if got := strings.Join(names, " "); got != "config.toml b.toml x.toml y.toml c.toml" {
		t.Errorf("read in the order %s", got)
	}
	if err := os.WriteFile(filepath.Join(s.Root, "/etc/containerd/c.toml"), []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := containerdRead(s); err == nil || !strings.Contains(err.Error(), "/etc/containerd/c.toml") {
		t.Errorf("a broken import is not named: %v", err)
	}
}
