package register

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
)

// oddTOML are files as people and tools leave them.
var oddTOML = map[string]string{
	"empty":                    "",
	"one line break":           "\n",
	"only a comment":           "# nothing set here",
	"nvidia-ctk default":       nvidiaDefaultFile,
	"crlf":                     strings.ReplaceAll(nvidiaDefaultFile, "\n", "\r\n"),
	"crlf, no last line break": "disable-require = false\r\n\r\n[nvidia-container-runtime]\r\nlog-level = \"info\" # mine",
	"no last line break":       "[nvidia-container-runtime]\nruntimes = [\"runc\", \"crun\"]",
	"blanks at the end":        "[nvidia-container-runtime]\nlog-level = \"info\"\n\n\n   ",
	"several lines, comments": "[nvidia-container-runtime]\n  runtimes = [ # in this order\n    \"runc\", # Debian's\n" +
		"    # \"youki\",\n    'crun',\n  ]\n\n[features]\n  x = true\n",
	"quoted keys":             "['nvidia-container-runtime'] # quoted\n\"runtimes\" = ['crun']\n",
	"dotted at the root":      "nvidia-container-runtime.runtimes = [\"crun\", \"runc\"]\nnvidia-container-runtime.mode = \"auto\"\n",
	"dotted, key missing":     "nvidia-container-runtime.mode = \"auto\"\nother.x = 1\n\n[z]\na = 1",
	"inline table":            "nvidia-container-runtime = { mode = \"auto\", runtimes = [\"runc\"] } # short\n",
	"inline, key missing":     "nvidia-container-runtime = { mode = \"auto\" }\n",
	"inline, empty":           "nvidia-container-runtime = {}\n",
	"inline, blank":           "nvidia-container-runtime = { }\n",
	"only a table below":      "[nvidia-container-runtime.modes.cdi]\ndefault-kind = \"nvidia.com/gpu\"\n",
	"unknown keys":            "future = 1979-05-27T07:32:00Z\n[nvidia-container-runtime]\nruntimes=['/opt/runc']\nnovel = { a = [1, 2, [3]] }\n[[plugin]]\nname = \"a\"\n[plugin.runtimes]\nx = 1\n",
	"text over several lines": "a = \"\"\"\n[nvidia-container-runtime]\nruntimes = []\n\"\"\"\n[nvidia-container-runtime]\n\tmode = '''\nx'''\n",
	"empty list":              "[nvidia-container-runtime]\nruntimes = [ ]\n",
	"comma at the end":        "[nvidia-container-runtime]\nruntimes = [\"runc\",]\n",
	"mixed line breaks":       "a = 1\r\n[nvidia-container-runtime]\nmode = \"cdi\"\r\n[b]\nc = 2\n",
}

// nvidiaDefaultFile has the keys that `nvidia-ctk config default` prints (nvidia-container-toolkit 1.20).
const nvidiaDefaultFile = `#accept-nvidia-visible-devices-as-volume-mounts = false
#accept-nvidia-visible-devices-envvar-when-unprivileged = true
disable-require = false
supported-driver-capabilities = "compat32,compute,display,graphics,ngx,utility,video"
#swarm-resource = "DOCKER_RESOURCE_GPU"

[nvidia-container-cli]
#debug = "/var/log/nvidia-container-toolkit.log"
environment = []
ldconfig = "@/sbin/ldconfig"
load-kmods = true

[nvidia-container-runtime]
#debug = "/var/log/nvidia-container-runtime.log"
log-level = "info"
mode = "auto"
runtimes = ["runc", "crun"]

[nvidia-container-runtime.modes]

[nvidia-container-runtime.modes.cdi]
annotation-prefixes = ["cdi.k8s.io/"]
default-kind = "nvidia.com/gpu"

[nvidia-container-runtime-hook]
path = "nvidia-container-runtime-hook"
skip-mode-detection = false
`

const shimPath = "/usr/local/libexec/gpu-preflight/x-runc/gpu-preflight-runtime"

func TestSpliceTOMLAddAndStrip(t *testing.T) {
	ours := tomlOurs{element: isShim, value: isShim, otherwise: nvidiaDefaultRuntimes}
	for _, at := range []listEnd{first, last} {
		for name, text := range oddTOML {
			t.Run(name, func(t *testing.T) {
				f := mustParse(t, text)
				before := nvidiaList(f)
				g, err := f.addTo(nvidiaRuntimes, at, shimPath, nvidiaDefaultRuntimes)
				if err != nil {
					t.Fatal(err)
				}
				want := append([]string{shimPath}, before...)
				if at == last {
					want = append(slices.Clone(before), shimPath)
				}
				if got := nvidiaList(g); !slices.Equal(got, want) {
					t.Errorf("runtimes are %q, want %q in\n%s", got, want, g.data)
				}
				for line := range bytes.Lines([]byte(text)) {
					if !strings.Contains(string(line), "runtimes") && !bytes.Contains(g.data, bytes.TrimRight(line, "\r\n")) &&
						!strings.HasPrefix(string(line), "nvidia-container-runtime = ") && !strings.Contains(string(line), `"runc", # `) &&
						!strings.Contains(string(line), `'crun',`) {
						t.Errorf("the line %q is gone from\n%s", line, g.data)
					}
				}
				back, err := stripTOML(g.data, ours)
				if err != nil {
					t.Fatal(err)
				}
				if name == "inline, key missing" || name == "inline, empty" || name == "inline, blank" {
					// An inline table has no place for a mark: the list stays, and says what its absence says.
					if got := nvidiaList(back); !slices.Equal(got, nvidiaDefaultRuntimes) {
						t.Errorf("runtimes are %q", got)
					}
					return
				}
				if string(back.data) != text {
					t.Errorf("taken out again:\n%q\nwant\n%q", back.data, text)
				}
			})
		}
	}
}

func TestSpliceTOMLSetAndStrip(t *testing.T) {
	path := []string{"nvidia-container-runtime", "low", "BinaryName"}
	texts := maps.Clone(oddTOML)
	texts["there"] = "[nvidia-container-runtime.low]\n  BinaryName = '/usr/bin/crun'   # fast\n  x = 1\n"
	texts["there, no line break"] = "[nvidia-container-runtime.low]\r\nBinaryName = \"\""
	texts["there, inline"] = "nvidia-container-runtime = {low = { BinaryName = \"/a \\\" # b\", y = 2 }} # why\n"
	texts["header below"] = "[nvidia-container-runtime.low.deep]\nx = 1\n\n# the end\n"
	texts["dotted twice"] = "[nvidia-container-runtime]\nlow.a = 1\nlow.b = 2\nmode = 'x'\n"
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			f := mustParse(t, text)
			g, err := f.setString(path, shimPath)
			if err != nil {
				t.Fatal(err)
			}
			if got := valueAt(g.tree, path...); got != shimPath {
				t.Errorf("the key is %v in\n%s", got, g.data)
			}
			back, err := stripTOML(g.data, tomlOurs{value: isShim})
			if err != nil {
				t.Fatal(err)
			}
			if !sameTree(back.tree, f.tree) {
				t.Errorf("taken out again it says something else:\n%s\nwant\n%s", back.data, text)
			}
			if nested := strings.HasPrefix(name, "inline"); string(back.data) != text && !nested {
				t.Errorf("taken out again:\n%q\nwant\n%q", back.data, text)
			}
		})
	}
}

func TestSpliceTOMLTouchesNothingItDoesNotUnderstand(t *testing.T) {
	for name, text := range map[string]string{
		"no TOML":            "[nvidia-container-runtime\nruntimes = [\"runc\"]\n",
		"a key twice":        "a = 1\na = 2\n",
		"a string":           "[nvidia-container-runtime]\nruntimes = \"runc\"\n",
		"a list of numbers":  "[nvidia-container-runtime]\nruntimes = [1, \"runc\"]\n",
		"the table is a key": "nvidia-container-runtime = true\n",
		"a list of tables":   "[[nvidia-container-runtime]]\nruntimes = [\"runc\"]\n",
	} {
		t.Run(name, func(t *testing.T) {
			f, err := parseTOML([]byte(text))
			if err == nil {
				f, err = f.addTo(nvidiaRuntimes, first, shimPath, nvidiaDefaultRuntimes)
			}
			if err == nil {
				t.Errorf("it was edited to\n%s", f.data)
			}
		})
	}
	if _, err := parseTOML([]byte("a = 1\nb = = 2\n")); err == nil || !strings.HasPrefix(err.Error(), "line 2, column 5") {
		t.Errorf("the error does not name the place: %v", err)
	}
}

func TestStripKeepsWhatOthersAdded(t *testing.T) {
	ours := tomlOurs{element: isShim, value: isShim, otherwise: nvidiaDefaultRuntimes, table: unwrappedHandler}
	f := mustParse(t, "version = 2\n")
	g := must(t)(f.addTo(nvidiaRuntimes, first, shimPath, nvidiaDefaultRuntimes))
	g = must(t)(g.setString([]string{"a", "BinaryName"}, shimPath))
	g = must(t)(g.addTable([]string{"h", unwrappedHandler}, map[string]any{"x": "y", "options": map[string]any{"z": true}}))
	edited := strings.Replace(string(g.data), `"runc", `, `"runc", "youki", `, 1)
	edited = strings.Replace(edited, "[a] "+markAdded+"\n", "[a] "+markAdded+"\n# theirs\nk = 1\n", 1)
	edited += "[mine]\nq = 1\n"
	back, err := stripTOML([]byte(edited), ours)
	if err != nil {
		t.Fatal(err)
	}
	want := "version = 2\n\n[nvidia-container-runtime]\nruntimes = [\"runc\", \"youki\", \"crun\"]\n\n[a]\n# theirs\nk = 1\n[mine]\nq = 1\n"
	if string(back.data) != want {
		t.Errorf("got\n%s\nwant\n%s", back.data, want)
	}
}

// FuzzSpliceTOML: a file is edited at our key alone, or not at all; and never does it end the program.
func FuzzSpliceTOML(f *testing.F) {
	for _, text := range oddTOML {
		f.Add([]byte(text), "nvidia-container-runtime.runtimes", "x")
		f.Add([]byte(text), "nvidia-container-runtime.low.BinaryName", "\"\x00'")
	}
	f.Add([]byte("a = {b = {c = \"\"\"\n\"\"\"}}\n"), "a.b.c", "y")
	f.Fuzz(func(t *testing.T, data []byte, dotted, value string) {
		file, err := parseTOML(data)
		if err != nil {
			return
		}
		path := strings.Split(dotted, ".")
		is := func(s string) bool { return s == value }
		for _, edit := range []func() (*tomlFile, error){
			func() (*tomlFile, error) { return file.setString(path, value) },
			func() (*tomlFile, error) { return file.addTo(path, first, value, []string{"a"}) },
			func() (*tomlFile, error) { return file.addTo(path, last, value, nil) },
			func() (*tomlFile, error) { return file.addTable(path, map[string]any{"k": value}) },
		} {
			next, err := edit()
			if err != nil {
				continue
			}
			again, err := parseTOML(next.data)
			if err != nil {
				t.Fatalf("%q does not parse: %v", next.data, err)
			}
			without, err1 := withValue(again.tree, path, nil)
			old, err2 := withValue(file.tree, path, nil)
			if err1 != nil || err2 != nil || !sameTree(without, old) {
				t.Fatalf("%q became %q", data, next.data)
			}
		}
		if _, err := stripTOML(data, tomlOurs{value: is, element: is, table: path[0]}); err != nil {
			t.Logf("left as it is: %v", err)
		}
	})
}

func nvidiaList(f *tomlFile) []string {
	list, there := valueAt(f.tree, nvidiaRuntimes...).([]any)
	if !there {
		return nvidiaDefaultRuntimes
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, _ := e.(string)
		out = append(out, s)
	}
	return out
}

func mustParse(t *testing.T, text string) *tomlFile {
	t.Helper()
	return must(t)(parseTOML([]byte(text)))
}

// must ends the test at an error.
func must(t *testing.T) func(*tomlFile, error) *tomlFile {
	return func(f *tomlFile, err error) *tomlFile {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}
