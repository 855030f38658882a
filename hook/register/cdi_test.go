package register

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// withShell is a host's tree with a shell and a CDI file.
func withShell(t *testing.T, files map[string]string) Site {
	t.Helper()
	links := map[string]string{"/var/run": "/run"}
	root := fixture.Tree(t, files, links)
	noError(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
	noError(t, os.WriteFile(filepath.Join(root, "bin/sh"), []byte("#!\n"), 0o755))
	return Site{Root: root, Prefix: "/usr/local"}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gpuYAML is a small CDI file of a GPU.
const gpuYAML = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: all\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\ncontainerEdits:\n  env:\n  - NVIDIA_VISIBLE_DEVICES=void\n"

// gpuYAMLHooked is gpuYAML with our hook.
const gpuYAMLHooked = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: all\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\ncontainerEdits:\n" +
	`  hooks:
    - {"hookName": "createRuntime", "path": "/bin/sh", "args": ["sh","-c","/usr/local/bin/gpu-preflight-hook; [ $? -ne 1 ]"], "env": ["PATH=/usr/bin:/bin","GOMAXPROCS=1"]}
` + "  env:\n  - NVIDIA_VISIBLE_DEVICES=void\n"

// TestCDIPlan: each file of the two folders is edited, or left for a reason that is told.
func TestCDIPlan(t *testing.T) {
	for _, row := range []struct {
		name  string
		files map[string]string
		edits []string
		note  string
	}{
		{name: "both folders", files: map[string]string{"/etc/cdi/nvidia.yaml": gpuYAML, "/run/cdi/nvidia.yaml": gpuYAML}, edits: []string{"/etc/cdi/nvidia.yaml", "/run/cdi/nvidia.yaml"}},
		{name: "two of one folder", files: map[string]string{"/etc/cdi/a.yaml": gpuYAML, "/etc/cdi/b.yaml": gpuYAML}, note: "/etc/cdi/a.yaml: left as it is: /etc/cdi/b.yaml defines the same device"},
		{name: "other devices in one folder", files: map[string]string{"/etc/cdi/a.yaml": gpuYAML, "/etc/cdi/b.yaml": strings.Replace(gpuYAML, "all", "1", 1)}, edits: []string{"/etc/cdi/a.yaml", "/etc/cdi/b.yaml"}},
		{name: "the device plugin's JSON", files: map[string]string{"/run/cdi/k8s.json": `{"cdiVersion": "0.5.0", "kind": "k8s.device-plugin.nvidia.com/gpu", "devices": [{"name": "GPU-1", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia3", "hostPath": "/run/nvidia/driver/dev/nvidia3"}]}}]}`}, edits: []string{"/run/cdi/k8s.json"}},
		{name: "WSL, nodes of the whole file", files: map[string]string{"/etc/cdi/w.yaml": "cdiVersion: 0.3.0\nkind: nvidia.com/gpu\ncontainerEdits:\n  deviceNodes: [{path: /dev/dxg}]\ndevices: [{name: all, containerEdits: {env: [A=b]}}]\n"}, edits: []string{"/etc/cdi/w.yaml"}},
		{name: "passed through to a guest", files: map[string]string{"/etc/cdi/v.yaml": strings.Replace(gpuYAML, "/dev/nvidia0", "/dev/vfio/12", 1)}, note: "no CDI file with a GPU in /etc/cdi, /run/cdi"},
		{name: "management", files: map[string]string{"/etc/cdi/m.yaml": strings.Replace(gpuYAML, "nvidia.com/gpu", "management.nvidia.com/gpu", 1)}, note: "no CDI file"},
		{name: "a claim", files: map[string]string{"/etc/cdi/c.yaml": strings.Replace(gpuYAML, "nvidia.com/gpu", "k8s.gpu.nvidia.com/claim", 1)}, note: "no CDI file"},
		{name: "control nodes only", files: map[string]string{"/etc/cdi/c.yaml": strings.Replace(gpuYAML, "/dev/nvidia0", "/dev/nvidiactl", 1)}, note: "no CDI file"},
		{name: "cut off", files: map[string]string{"/etc/cdi/x.yaml": "kind: [", "/run/cdi/y.yaml": gpuYAML}, edits: []string{"/run/cdi/y.yaml"}, note: "/etc/cdi/x.yaml: left as it is: read as CDI"},
		{name: "another ending", files: map[string]string{"/etc/cdi/x.yaml.bak": gpuYAML}, note: "no CDI file"},
		{name: "an odd form", files: map[string]string{"/etc/cdi/o.yaml": "a: 1\n---\n" + gpuYAML + "---\n", "/run/cdi/o.yaml": gpuYAML + "---\na: 1\n"}, note: "/run/cdi/o.yaml: left as it is, its launches pass by: more than one document"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, err := cdi().Plan(withShell(t, row.files))
			if err != nil {
				t.Fatal(err)
			}
			var edits []string
			for _, e := range p.Edits {
				edits = append(edits, e.Path)
				if string(e.Before) == gpuYAML && string(e.After) != gpuYAMLHooked {
					t.Errorf("%s:\n%s\nwant:\n%s", e.Path, e.After, gpuYAMLHooked)
				}
			}
			if !slices.Equal(edits, row.edits) || !strings.Contains(strings.Join(p.Notes, "\n"), row.note) {
				t.Errorf("edits %q, want %q; notes %q, want %q", edits, row.edits, p.Notes, row.note)
			}
		})
	}
}

// TestCDITwice: an entry in its present form stays, an older one is replaced, one that a tool wrote anew counts.
func TestCDITwice(t *testing.T) {
	s := withShell(t, nil)
	block := strings.ReplaceAll(gpuYAML, "containerEdits:\n  env", `containerEdits:
  hooks:
  - args:
    - sh
    - -c
    - /usr/local/bin/gpu-preflight-hook; [ $? -ne 1 ]
    env:
    - PATH=/usr/bin:/bin
    - GOMAXPROCS=1
    hookName: createRuntime
    path: /bin/sh
  env`)
	for name, row := range map[string]struct{ before, after string }{
		"as we write it":   {gpuYAMLHooked, gpuYAMLHooked},
		"written anew":     {block, block},
		"another prefix":   {strings.ReplaceAll(gpuYAMLHooked, "/usr/local", "/opt"), gpuYAMLHooked},
		"with a timeout":   {strings.Replace(gpuYAMLHooked, `"env"`, `"timeout": 5, "env"`, 1), gpuYAMLHooked},
		"at another stage": {strings.Replace(gpuYAMLHooked, "createRuntime", "prestart", 1), gpuYAMLHooked},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := hookedCDI([]byte(row.before), s.hookEntry())
			if err != nil || string(got) != row.after {
				t.Errorf("%v\n%s\nwant:\n%s", err, got, row.after)
			}
			if got, err = stripCDI("/etc/cdi/nvidia.yaml", got); err != nil || string(got) != gpuYAML {
				t.Errorf("taken out: %v\n%s\nwant:\n%s", err, got, gpuYAML)
			}
		})
	}
}

// TestCDIWithoutShell: a host without a shell runs the program itself.
func TestCDIWithoutShell(t *testing.T) {
	got, err := hookedCDI([]byte(gpuYAML), Site{Root: t.TempDir(), Prefix: "/opt/x"}.hookEntry())
	if err != nil || !strings.Contains(string(got), `"path": "/opt/x/bin/gpu-preflight-hook", "args": ["gpu-preflight-hook"]`) {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err = stripCDI("x.yaml", got); err != nil || string(got) != gpuYAML {
		t.Errorf("taken out: %v\n%s", err, got)
	}
}

// corpusCDI says of each real CDI file whether it is edited, or why it is left.
var corpusCDI = map[string]string{
	"ctk-1.12.0-rc.1-nvml-dgx-470.57.02.yaml":        "cut: no kind",
	"ctk-1.12.0-rc.2-nvml-520.61.05.yaml":            "cut: no kind",
	"ctk-1.15-nvml-aarch64-535.161.08.json":          "edited",
	"ctk-1.17.8-headless-575.57.08.yaml":             "cut: no kind",
	"ctk-1.17.8-nvml-baremetal-575.64.03.yaml":       "edited",
	"ctk-1.20.0-nvml-rocky9-t4-615.71.09.yaml":       "edited",
	"dra-claim-aks-t4.yaml":                          "a claim",
	"dra-claim-mig-h200.yaml":                        "a claim",
	"dra-claim-mps-edits.yaml":                       "cut: no kind",
	"jetson-jp5-jetson-orin-nano.yaml":               "no /dev/nvidia<N>",
	"jetson-jp5-jetson-xavier-nx.yaml":               "another kind",
	"jetson-jp6-jetson-orin.yaml":                    "edited",
	"jetson-jp7-jetson-thor.yaml":                    "edited",
	"jetson-pva-not-a-gpu.yaml":                      "another kind",
	"management-spec-shape.yaml":                     "another kind",
	"nixos-ctk-1.15-tail.yaml":                       "cut: no version",
	"prerelease-handwritten-dgx-a100-460.91.03.yaml": "cut: no devices",
	"wsl-ctk-1.19-nvfrwi.yaml":                       "cut: no kind",
	"wsl-device-plugin-crio.json":                    "edited",
	"wsl-rtx4080-docker-k3s.yaml":                    "edited",
}

// TestCDICorpus: the real files are edited or left as the table says. An edit is one line or one item more, CDI's
// library reads it, twice is once, and taking it out gives the same bytes. The same holds with other line ends, tabs,
// a comment and no last line break.
func TestCDICorpus(t *testing.T) {
	dir := filepath.Join(fixture.Corpus(t), "bundles", "cdi")
	files, err := filepath.Glob(filepath.Join(dir, "*.[jy][sa][om][nl]"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			noError(t, err)
			want, known := corpusCDI[filepath.Base(file)]
			if !known {
				t.Fatal("not in the table")
			}
			// A published file hides an UUID.
			text := strings.ReplaceAll(string(data), "GPU-<uuid>", "GPU-11111111-2222-3333-4444-555555555555")
			for name, text := range variants(text, filepath.Ext(file)) {
				s := withShell(t, map[string]string{"/run/cdi/" + filepath.Base(file): text})
				p, err := planCDI(s)
				noError(t, err)
				if want != "edited" {
					if len(p.Edits) != 0 {
						t.Errorf("%s: edited, want %s", name, want)
					}
					if strings.HasPrefix(want, "cut") != strings.Contains(p.Notes[0], "read as CDI") {
						t.Errorf("%s: notes %q, want %s", name, p.Notes, want)
					}
					continue
				}
				if len(p.Edits) != 1 {
					t.Fatalf("%s: %d edits: %q", name, len(p.Edits), p.Notes)
				}
				checkEdit(t, s, name, p.Edits[0])
			}
		})
	}
}

func checkEdit(t *testing.T, s Site, name string, e Edit) {
	t.Helper()
	spec, err := readCDI(e.After)
	noError(t, err)
	h := spec.ContainerEdits.Hooks[0]
	if got := (hookEntry{h.Path, h.Args, h.Env}); !got.equal(s.hookEntry()) || h.HookName != "createRuntime" || h.Timeout != nil {
		t.Errorf("%s: hook %+v", name, h)
	}
	noError(t, os.WriteFile(filepath.Join(s.Root, e.Path), e.After, 0o600))
	again, err := planCDI(s)
	noError(t, err)
	if len(again.Edits) != 0 {
		t.Errorf("%s: registering twice is not once", name)
	}
	back, err := stripCDI(e.Path, e.After)
	if err != nil || string(back) != string(e.Before) {
		t.Errorf("%s: taken out: %v: other bytes than before", name, err)
	}
}

// variants are other ways of writing a file that means the same.
func variants(text, ext string) map[string]string {
	out := map[string]string{
		"as it is":      text,
		"CRLF":          strings.ReplaceAll(text, "\n", "\r\n"),
		"no last break": strings.TrimRight(text, "\n"),
	}
	if ext == ".json" {
		out["tabs"] = strings.ReplaceAll(text, "  ", "\t")
		out["one line"] = strings.Join(strings.Fields(text), " ")
	} else {
		out["comments"] = "# top\n" + strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\ncontainerEdits:\n", "\ncontainerEdits: # ours\n  # one more\n")
	}
	return out
}

// TestCDIUnits: with systemd, what writes CDI files anew is followed by us, and the engines wait for the
// driver's services. The files of deploy/systemd are the same, and there are no others.
func TestCDIUnits(t *testing.T) {
	s := withShell(t, map[string]string{
		"/run/cdi/nvidia.yaml":                                 gpuYAML,
		"/usr/lib/systemd/system/nvidia-cdi-refresh.service":   "[Service]\n",
		"/usr/lib/systemd/system/containerd.service":           "[Service]\n",
		"/etc/systemd/system/multi-user.target.wants/x.target": "",
	})
	noError(t, os.WriteFile(filepath.Join(s.Root, "bin/systemctl"), nil, 0o755))
	p, err := planCDI(s)
	noError(t, err)
	var paths []string
	for _, e := range p.Edits {
		paths = append(paths, e.Path)
	}
	want := []string{
		"/run/cdi/nvidia.yaml", unitFolder + "/gpu-preflight-cdi.service", unitFolder + "/multi-user.target.d/gpu-preflight-cdi.conf",
		unitFolder + "/nvidia-cdi-refresh.service.d/gpu-preflight.conf", unitFolder + "/containerd.service.d/gpu-preflight-cdi.conf",
		unitFolder + "/gpu-preflight-cdi.path",
	}
	if !slices.Equal(paths, want) {
		t.Errorf("edits %q, want %q", paths, want)
	}
	if want := []string{"systemctl daemon-reload", "systemctl start gpu-preflight-cdi.path"}; !slices.Equal(p.Restart, want) {
		t.Errorf("restart %q, want %q", p.Restart, want)
	}
	for _, u := range cdiUnits(s) {
		shipped, err := os.ReadFile(filepath.Join(fixture.Root(), "deploy/systemd", strings.TrimPrefix(u.path, unitFolder)))
		if err != nil || string(shipped) != u.text {
			t.Errorf("deploy/systemd: %v: not what is registered:\n%s", err, u.text)
		}
		if left, err := stripCDI(u.path, []byte(u.text+"# mine\n")); err != nil || left != nil {
			t.Errorf("%s: %q stays: %v", u.path, left, err)
		}
	}
	shipped := 0
	noError(t, filepath.WalkDir(filepath.Join(fixture.Root(), "deploy/systemd"), func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			shipped++
		}
		return err
	}))
	if shipped != len(cdiUnits(s)) {
		t.Errorf("deploy/systemd has %d files, %d are registered", shipped, len(cdiUnits(s)))
	}
}

// TestCDICycle: registered, written anew by the toolkit, registered again by the units, taken out: the toolkit's
// bytes are there, nothing else is, and the units go before the files, so that none of them registers again.
func TestCDICycle(t *testing.T) {
	const path = "/run/cdi/nvidia.yaml"
	s := withShell(t, map[string]string{path: gpuYAML, "/usr/lib/systemd/system/nvidia-cdi-refresh.service": "[Service]\n"})
	noError(t, os.WriteFile(filepath.Join(s.Root, "bin/systemctl"), nil, 0o755))
	registered := func() {
		p, err := cdi().Plan(s)
		noError(t, err)
		noError(t, Apply(t.Context(), s, cdi(), p))
	}
	holds := func(want string) {
		t.Helper()
		got, err := os.ReadFile(filepath.Join(s.Root, path))
		if err != nil || string(got) != want {
			t.Fatalf("%v:\n%s\nwant:\n%s", err, got, want)
		}
	}
	registered()
	holds(gpuYAMLHooked)
	anew := strings.Replace(gpuYAML, "nvidia0", "nvidia1", 1)
	noError(t, os.WriteFile(filepath.Join(s.Root, path), []byte(anew), 0o644))
	registered()
	holds(strings.Replace(gpuYAMLHooked, "nvidia0", "nvidia1", 1))
	r, err := Remove(s, cdi(), false)
	noError(t, err)
	if last := r.Edits[len(r.Edits)-1].Path; last != path || r.Edits[0].Path != unitFolder+"/gpu-preflight-cdi.path" {
		t.Errorf("%s goes first, %s last", r.Edits[0].Path, last)
	}
	noError(t, Undo(s, r))
	holds(anew)
	for _, u := range cdiUnits(s) {
		if _, err := os.Stat(filepath.Join(s.Root, u.path)); !os.IsNotExist(err) {
			t.Errorf("%s stays: %v", u.path, err)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Root, statePath("cdi"))); !os.IsNotExist(err) {
		t.Errorf("the state stays: %v", err)
	}
}
