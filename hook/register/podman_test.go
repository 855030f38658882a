package register

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const hooksText = `{
  "version": "1.0.0",
  "hook": {
    "path": "/bin/sh",
    "args": ["sh","-c","GOMAXPROCS=1 /usr/local/bin/gpu-preflight-hook; [ $? -ne 1 ]"]
  },
  "when": {"always": true},
  "stages": ["createRuntime"]
}
`

const usualHooks = "/usr/share/containers/oci/hooks.d/00-gpu-preflight.json"

// programsIn makes programs of a host.
func programsIn(t *testing.T, s Site, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(s.Root, "usr/bin", name)
		noError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		noError(t, os.WriteFile(path, nil, 0o755))
	}
}

// crunConf is what lets the reason through where nothing was configured.
const crunConf = "[containers] # added by gpu-preflight\nannotations = [\"run.oci.hooks.stderr=/dev/stderr\"] # added by gpu-preflight\n\n" +
	"[engine] # added by gpu-preflight\nruntime_supports_json = [\"runc\", \"kata\", \"runsc\", \"youki\", \"krun\"] # added by gpu-preflight\n"

// TestPodmanPlan: the hook is put into the first folder that podman reads and that can be written, and with crun its
// text is let through, whatever was configured.
func TestPodmanPlan(t *testing.T) {
	for _, row := range []struct {
		name  string
		files map[string]string
		crun  bool
		edits map[string]string
		note  string
	}{
		{name: "nothing configured, runc", edits: map[string]string{usualHooks: hooksText}},
		{name: "nothing configured, crun", crun: true, edits: map[string]string{usualHooks: hooksText, containersConf: markMade + "\n\n" + crunConf}},
		{name: "crun is there, runc is chosen", crun: true, files: map[string]string{containersConf: "[engine]\nruntime = \"runc\"\n"}, edits: map[string]string{usualHooks: hooksText}},
		{
			name: "annotations of the user's and of the distribution's", crun: true,
			files: map[string]string{"/usr/share/containers/containers.conf": "[containers]\nannotations = [\"a=b\"]\n", containersConf: "# mine\r\n[containers]\r\n"},
			edits: map[string]string{
				usualHooks: hooksText,
				containersConf: "# mine\r\n[containers]\r\nannotations = [\"a=b\", \"run.oci.hooks.stderr=/dev/stderr\"] # added by gpu-preflight\r\n\r\n" +
					"[engine] # added by gpu-preflight\r\nruntime_supports_json = [\"runc\", \"kata\", \"runsc\", \"youki\", \"krun\"] # added by gpu-preflight\r\n",
			},
		},
		{
			name: "annotations of a drop-in", crun: true,
			files: map[string]string{containersConf + ".d/50.conf": "[containers]\nannotations = [\n  \"a=b\", # mine\n]\n[engine]\nruntime_supports_json = [\"runc\"]\n"},
			edits: map[string]string{usualHooks: hooksText, containersConf + ".d/50.conf": "[containers]\nannotations = [\n  \"a=b\", \"run.oci.hooks.stderr=/dev/stderr\", # mine\n]\n[engine]\nruntime_supports_json = [\"runc\"]\n"},
		},
		{
			name: "the user's own stderr", crun: true, files: map[string]string{containersConf: "[containers]\nannotations = [\"run.oci.hooks.stderr=/var/log/hooks\"]\n"},
			edits: map[string]string{usualHooks: hooksText}, note: "only the hook's exit code",
		},
		{
			name: "the user wants JSON of crun", crun: true, files: map[string]string{containersConf: "[engine]\nruntime_supports_json = [\"crun\"]\n"},
			edits: map[string]string{usualHooks: hooksText}, note: "only the hook's exit code",
		},
		{
			name: "a folder that cannot be written", files: map[string]string{containersConf: "[engine]\nhooks_dir = [\"/usr/ro/hooks.d\", \"/etc/hooks.d\"]\n", "/usr/ro": "a file"},
			edits: map[string]string{"/etc/hooks.d/00-gpu-preflight.json": hooksText},
		},
		{name: "no folder", files: map[string]string{containersConf: "[engine]\nhooks_dir = []\n"}, note: "podman passes by"},
		{name: "registered already", crun: true, files: map[string]string{usualHooks: hooksText, containersConf: crunConf}},
		{name: "registered with another prefix", files: map[string]string{usualHooks: strings.ReplaceAll(hooksText, "/usr/local", "/opt")}, edits: map[string]string{usualHooks: hooksText}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := withShell(t, row.files)
			programsIn(t, s, "podman")
			if row.crun {
				programsIn(t, s, "crun")
			}
			p, err := podman().Plan(s)
			noError(t, err)
			got := map[string]string{}
			for _, e := range p.Edits {
				got[e.Path] = string(e.After)
			}
			for path, text := range row.edits {
				if got[path] != text {
					t.Errorf("%s:\n%s\nwant:\n%s", path, got[path], text)
				}
			}
			if len(got) != len(row.edits) || !strings.Contains(strings.Join(p.Notes, "\n"), row.note) {
				t.Errorf("edits of %q, notes %q; want %q", p.Edits, p.Notes, row.note)
			}
			undoes(t, podman(), s, p)
		})
	}
}

// undoes holds that an engine finds nothing more to do once its plan was done, and that what was done is taken out
// again also where the bytes before are not known.
func undoes(t *testing.T, e Engine, s Site, p Plan) {
	t.Helper()
	if !e.Present(s) {
		t.Error("not present")
	}
	for _, edit := range p.Edits {
		path := filepath.Join(s.Root, edit.Path)
		noError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		noError(t, os.WriteFile(path, edit.After, 0o644))
		if !slices.Contains(e.Files(s), edit.Path) {
			t.Errorf("%s: not among %q", edit.Path, e.Files(s))
		}
		back, err := e.Strip(edit.Path, edit.After)
		want := edit.Before
		if strings.HasPrefix(string(want), "{") {
			want = nil
		}
		kept := strings.Contains(string(want), "# mine\r\n[containers]\r\n") // the list that was in force stays written there
		if err != nil || (string(back) != string(want) && !kept) || (back == nil) != (want == nil) {
			t.Errorf("%s taken out: %v:\n%s\nwant:\n%s", edit.Path, err, back, want)
		}
	}
	again, err := e.Plan(s)
	noError(t, err)
	if len(again.Edits) != 0 {
		t.Errorf("registering twice is not once: %q", again.Edits)
	}
}

// TestPodmanBrokenConf: a file that cannot be read is not touched, and the error names the place.
func TestPodmanBrokenConf(t *testing.T) {
	s := withShell(t, map[string]string{containersConf: "[engine]\nhooks_dir = [\n"})
	if _, err := podman().Plan(s); err == nil || !strings.Contains(err.Error(), containersConf+": line ") {
		t.Errorf("%v", err)
	}
}

// TestCRIOPlan: the same file, in the folder that CRI-O's configuration names.
func TestCRIOPlan(t *testing.T) {
	for _, row := range []struct {
		name  string
		files map[string]string
		path  string
		note  string
	}{
		{name: "nothing configured", path: usualHooks, note: "never tried"},
		{name: "a drop-in names the folder", files: map[string]string{crioConf: "[crio.runtime]\nhooks_dir = [\"/a\"]\n", crioConf + ".d/10.conf": "[crio.runtime]\nhooks_dir = [\"/b\"]\ndefault_runtime = \"crun\"\n"}, path: "/b/" + hooksFile, note: "only the hook's exit code"},
		{name: "no folder", files: map[string]string{crioConf: "[crio.runtime]\nhooks_dir = []\n"}, note: "CRI-O passes by"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := withShell(t, row.files)
			programsIn(t, s, "crio")
			p, err := crio().Plan(s)
			noError(t, err)
			if (row.path == "") != (len(p.Edits) == 0) || (row.path != "" && (p.Edits[0].Path != row.path || string(p.Edits[0].After) != hooksText)) {
				t.Errorf("edits %q, want one of %s", p.Edits, row.path)
			}
			if !strings.Contains(strings.Join(p.Notes, "\n"), row.note) {
				t.Errorf("notes %q, want %q", p.Notes, row.note)
			}
			undoes(t, crio(), s, p)
		})
	}
}
