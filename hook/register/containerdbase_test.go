package register

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ctrSpec is what `ctr oci spec` prints, cut down.
const ctrSpec = `{
    "ociVersion": "1.0.2-dev",
    "process": {
        "cwd": "/",
        "apparmorProfile": "x",
        "rlimits": [
            {
                "type": "RLIMIT_NOFILE",
                "hard": 1024
            }
        ],
        "noNewPrivileges": true
    },
    "root": {
        "path": "rootfs"
    },
    "linux": {
        "seccomp": {"defaultAction": "SCMP_ACT_ERRNO"},
        "cgroupsPath": "/default"
    }
}
`

const ourBaseSpec = "/etc/containerd/" + baseSpecName

// withBaseSpec lets a host be registered by the specification.
func withBaseSpec(t *testing.T, s Site) Site {
	t.Helper()
	put(t, filepath.Join(s.Root, "usr/bin/ctr"), "", 0o755)
	s.Method, s.Ask = BaseSpec, func(program string, args ...string) ([]byte, error) {
		switch strings.Join(append([]string{program}, args...), " ") {
		case "/usr/bin/containerd --version", "/usr/bin/ctr --version":
			return []byte(filepath.Base(program) + " containerd.io 1.6.20 0123\n"), nil
		case "/usr/bin/ctr oci spec":
			return []byte(ctrSpec), nil
		}
		return nil, errors.New("another program was run: " + program)
	}
	return s
}

func specOf(t *testing.T, s Site, path string) specs.Spec {
	t.Helper()
	var spec specs.Spec
	noError(t, json.Unmarshal([]byte(content(t, s, path)), &spec))
	return spec
}

// TestContainerdBaseSpec: on every host the handler in force names the specification, which is containerd's own with our
// hook and without what CRI takes off; the handler beside does not.
func TestContainerdBaseSpec(t *testing.T) {
	t.Run("every engine's host", func(t *testing.T) {
		everyCut(t, containerd(), func() Site { return withBaseSpec(t, everyHost(t)) })
	})
	for name, c := range containerdHosts {
		t.Run(name, func(t *testing.T) {
			s := withBaseSpec(t, hostWith(t, c.files, containerdPrograms...))
			if p, err := forth(t, s, containerd()); err != nil || len(p.Shims) != 0 || p.Edits[0].Path != ourBaseSpec {
				t.Fatalf("%+v, %v", p, err)
			}
			section := criInForce(t, s)
			if got := valueAt(section, "containerd", "runtimes", c.handler, "base_runtime_spec"); got != ourBaseSpec {
				t.Errorf("base_runtime_spec is %v", got)
			}
			if valueAt(section, "containerd", "runtimes", unwrappedHandler, "base_runtime_spec") != nil {
				t.Error("the handler beside has it too")
			}
			spec := specOf(t, s, ourBaseSpec)
			if h := spec.Hooks.CreateRuntime; len(h) != 1 || h[0].Timeout != nil || !(hookEntry{h[0].Path, h[0].Args, h[0].Env}).equal(s.hookEntry()) {
				t.Errorf("hooks are %+v", h)
			}
			if spec.Process.Rlimits != nil || spec.Process.ApparmorProfile != "" || spec.Linux.Seccomp != nil || !spec.Process.NoNewPrivileges || spec.Linux.CgroupsPath != "/default" {
				t.Errorf("the specification is %+v, %+v", spec.Process, spec.Linux)
			}
		})
	}
}

// theirs is a specification of the administrator's own, and a configuration that names it.
const (
	theirSpec   = "{\"process\": {\"rlimits\": [{\"type\": \"RLIMIT_CORE\"}]}, \"root\": {}, \"linux\": {\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ALLOW\"}}, \"x\": 1e2, \"hooks\": HOOKS}"
	theirConfig = "version = 2\n[" + criV2 + ".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\nbase_runtime_spec = '/srv/base.json' # ours\n"
)

// TestContainerdBaseSpecOfTheirs: a handler's own specification is copied as it is, with our hook before its hooks; the
// handler beside keeps it, and it is followed when it changes.
func TestContainerdBaseSpecOfTheirs(t *testing.T) {
	for hooks, want := range map[string]int{
		"null": 1, "{}": 1, `{"createRuntime": null, "prestart": [{"path": "/a"}]}`: 1,
		`{"createRuntime": [{"path": "/a", "timeout": 7}, {"path": "/x/bin/gpu-preflight-hook"}], "poststop": []}`: 2,
	} {
		for version, config := range map[string]string{
			"2": theirConfig, "3": strings.NewReplacer("version = 2", "version = 3", criV2, criV3).Replace(theirConfig),
		} {
			t.Run(version+" "+hooks, func(t *testing.T) {
				text := strings.Replace(theirSpec, "HOOKS", hooks, 1)
				host := func() Site {
					s := hostWith(t, map[string]string{containerdConfig: config, "/srv/base.json": text}, containerdPrograms...)
					put(t, filepath.Join(s.Root, "usr/local/bin", hookName), elfFor(amd64), 0o755)
					s.Method = BaseSpec // and nothing need be run
					return s
				}
				if hooks == "null" {
					everyCut(t, containerd(), host)
				}
				s := host()
				_, err := forth(t, s, containerd())
				noError(t, err)
				spec := specOf(t, s, ourBaseSpec)
				h := spec.Hooks.CreateRuntime
				if len(h) != want || !(hookEntry{h[0].Path, h[0].Args, h[0].Env}).ours() || (want == 2 && (h[1].Path != "/a" || *h[1].Timeout != 7)) {
					t.Errorf("hooks are %+v", h)
				}
				if len(spec.Process.Rlimits) != 1 || spec.Linux.Seccomp == nil || !strings.Contains(content(t, s, ourBaseSpec), `"x": 1e2`) {
					t.Errorf("it is no copy: %s", content(t, s, ourBaseSpec))
				}
				if got := valueAt(criInForce(t, s), "containerd", "runtimes", unwrappedHandler, "base_runtime_spec"); got != "/srv/base.json" {
					t.Errorf("the handler beside has %v", got)
				}
				put(t, filepath.Join(s.Root, "/srv/base.json"), strings.Replace(text, `"root": {}`, `"root": {"path": "r"}`, 1), 0o644)
				if e := engineRow(t, Look(s), "containerd"); e.State != Drifted {
					t.Errorf("theirs changed: %+v", e)
				}
				s.Method = ""
				if p, err := forth(t, s, containerd()); err != nil || len(p.Edits) != 1 || specOf(t, s, ourBaseSpec).Root.Path != "r" {
					t.Errorf("%+v, %v", p, err)
				}
			})
		}
	}
}

// TestContainerdBaseSpecRefuses: what cannot be done is not begun, and the reason names the place.
func TestContainerdBaseSpecRefuses(t *testing.T) {
	says := func(version, spec string) func(string, ...string) ([]byte, error) {
		return func(program string, args ...string) ([]byte, error) {
			switch {
			case args[0] == "oci":
				return []byte(spec), nil
			case filepath.Base(program) == "ctr":
				return []byte(version), nil
			}
			return []byte("containerd x 1.6.20\n"), nil
		}
	}
	theirs := func(text string) map[string]string {
		files := map[string]string{containerdConfig: theirConfig}
		if text != "" {
			files["/srv/base.json"] = text
		}
		return files
	}
	for _, c := range []struct {
		name  string
		files map[string]string
		ask   func(string, ...string) ([]byte, error)
		noCtr bool
		want  string
	}{
		{name: "theirs is gone", files: theirs(""), want: "/srv/base.json, which is not there"},
		{name: "theirs is no JSON", files: theirs("{"), want: "/srv/base.json"},
		{name: "theirs is no specification", files: theirs("{}"), want: "/srv/base.json: no specification"},
		{name: "a key twice", files: theirs(`{"process": {}, "root": {}, "linux": {}, "hooks": {}, "hooks": {}}`), want: "twice"},
		{name: "a key in two cases", files: theirs(`{"process": {}, "root": {}, "linux": {}, "hooks": {}, "Hooks": {"createRuntime": [{"path": "/a"}]}}`), want: "more than that"},
		{name: "hooks of another form", files: theirs(`{"process": {}, "root": {}, "linux": {}, "hooks": []}`), want: "/srv/base.json"},
		{name: "nothing may be run", want: "ctr oci spec"},
		{name: "no ctr", ask: says("ctr x 1.6.20", ctrSpec), noCtr: true, want: "no ctr"},
		{name: "another ctr", ask: says("ctr x 2.4.2", ctrSpec), want: "containerd is 1.6.20"},
		{name: "a ctr of no version", ask: says("ctr", ctrSpec), want: "--version"},
		{name: "ctr prints nothing", ask: says("ctr x 1.6.20", ""), want: "ctr oci spec"},
		{name: "ctr prints something else", ask: says("ctr x 1.6.20", "{}"), want: "ctr oci spec: no specification"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := withBaseSpec(t, hostWith(t, c.files, containerdPrograms...))
			s.Ask = c.ask
			if c.noCtr {
				noError(t, os.Remove(filepath.Join(s.Root, "usr/bin/ctr")))
			}
			if p, err := containerd().Plan(s); err == nil || len(p.Edits) > 0 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v, want %q", p, err, c.want)
			}
		})
	}
}

// TestContainerdChangesMethod: without a word the method stays, a named one is taken, and the way back gives the bytes
// from either, the last file that is named the last to go.
func TestContainerdChangesMethod(t *testing.T) {
	for name, c := range containerdHosts {
		t.Run(name, func(t *testing.T) {
			s := withBaseSpec(t, hostWith(t, c.files, containerdPrograms...))
			put(t, filepath.Join(s.Root, "usr/local/bin", hookName), elfFor(amd64), 0o755)
			before := snapshot(t, s)
			for _, method := range []string{BinaryName, "", BaseSpec, "", BinaryName, BaseSpec} {
				s.Method = method
				if _, err := forth(t, s, containerd()); err != nil {
					t.Fatal(err)
				}
				spec, at := content(t, s, ourBaseSpec), valueAt(criInForce(t, s), "containerd", "runtimes", c.handler, "base_runtime_spec")
				if method == BaseSpec && (spec == "-" || at != ourBaseSpec) || method == BinaryName && (spec != "-" || at != nil) {
					t.Errorf("%s: base_runtime_spec is %v, the file %q", method, at, spec)
				}
				if p, err := forth(t, s, containerd()); err != nil || len(p.Edits) > 0 {
					t.Errorf("%q the second time: %+v, %v", method, p, err)
				}
				if e := engineRow(t, Look(Site{Root: s.Root}), "containerd"); e.State != Registered || len(e.What) > 0 {
					t.Errorf("%q: %+v", method, e)
				}
			}
			r, err := Remove(s, containerd(), false)
			noError(t, err)
			if n := slices.IndexFunc(r.Edits, func(e Edit) bool { return e.Path == ourBaseSpec }); n != len(r.Edits)-1 {
				t.Errorf("%s goes as number %d of %d", baseSpecName, n, len(r.Edits))
			}
			noError(t, Undo(s, r))
			same(t, "taken out", snapshot(t, s), before)
		})
	}
}

// TestStatusBaseSpec: the launches of the handler are judged; what is missing is said, with what mends it.
func TestStatusBaseSpec(t *testing.T) {
	const path = "default handler (containerd CRI)"
	for name, c := range map[string]struct {
		spoil func(s Site)
		state State
		row   Registration
		what  string
	}{
		"whole":        {func(Site) {}, Judged, Registered, ourBaseSpec},
		"program gone": {func(s Site) { noError(t, os.Remove(filepath.Join(s.Root, "usr/local/bin/gpu-preflight-hook"))) }, PassesBy, Broken, "missing"},
		"file gone":    {func(s Site) { noError(t, os.Remove(filepath.Join(s.Root, ourBaseSpec))) }, NotStarted, Drifted, ourBaseSpec},
		"null": {func(s Site) {
			put(t, filepath.Join(s.Root, ourBaseSpec), strings.Replace(ctrSpec, `"process"`, `"hooks": null, "process"`, 1), 0o644)
		}, PassesBy, Drifted, "no hook of ours"},
		"no JSON": {func(s Site) { put(t, filepath.Join(s.Root, ourBaseSpec), "{", 0o644) }, NotKnown, Drifted, ourBaseSpec},
		"no hook": {func(s Site) { put(t, filepath.Join(s.Root, ourBaseSpec), ctrSpec, 0o644) }, PassesBy, Drifted, "no hook of ours"},
		"another's": {func(s Site) {
			put(t, filepath.Join(s.Root, ourBaseSpec), strings.Replace(ctrSpec, `"process"`, `"hooks": {"createRuntime": [{"path": "/a"}]}, "process"`, 1), 0o644)
		}, PassesBy, Drifted, "no hook of ours"},
		"the state is lost": {func(s Site) { noError(t, os.Remove(filepath.Join(s.Root, statePath("containerd")))) }, Judged, Registered, ourBaseSpec},
	} {
		t.Run(name, func(t *testing.T) {
			s := withBaseSpec(t, statusHost(t))
			registerHere(t, s, "containerd")
			c.spoil(s)
			st := Look(Site{Root: s.Root})
			p, e := row(t, st, path), engineRow(t, st, "containerd")
			if p.State != c.state || !strings.Contains(p.Why, c.what) || e.State != c.row {
				t.Errorf("%+v\n%+v", p, e)
			}
			if dra := row(t, st, "DRA claim (containerd CRI)"); dra.State != c.state {
				t.Errorf("%+v", dra)
			}
			if c.row != Registered && (e.Mend == "" || (c.state == PassesBy && len(p.Close) == 0)) {
				t.Errorf("nothing mends %+v, %+v", p, e)
			}
			if c.row == Drifted {
				s.Method = ""
				_, err := forth(t, s, containerd())
				noError(t, err)
				if p := row(t, Look(Site{Root: s.Root}), path); p.State != Judged {
					t.Errorf("registered anew: %+v", p)
				}
			}
		})
	}
}
