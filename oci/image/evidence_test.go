package image

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gpu-preflight/oci"
	"gpu-preflight/testdata/fixture"
)

// row is a line of testdata/evidence.tsv.
type row struct{ file, as, text, cuda string }

func evidenceRows(t *testing.T) []row {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fixture.Root(), "testdata/evidence.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); !strings.HasPrefix(line, "#") && len(f) == 5 {
			rows = append(rows, row{f[0], f[1], strings.ReplaceAll(f[2], `\n`, "\n"), f[3]})
		} else if !strings.HasPrefix(line, "#") {
			t.Fatalf("line %q", line)
		}
	}
	return rows
}

// TestEvidenceCorpus: every collected name and content tells what testdata/evidence.tsv expects; what stands in the corpus is
// read there.
func TestEvidenceCorpus(t *testing.T) {
	corpus := fixture.Corpus(t)
	for _, r := range evidenceRows(t) {
		file, _, _ := strings.Cut(r.file, "#")
		data, err := os.ReadFile(filepath.Join(corpus, "bundles/evidence", file))
		if err != nil {
			t.Fatal(err)
		}
		text := r.text
		if text == "-" {
			text = string(data)
		}
		for _, words := range quoted(r.text) {
			if !strings.Contains(string(data), words) {
				t.Errorf("%s does not hold %q", file, words)
			}
		}
		if got := toldBy(t, r.as, text); got != strings.TrimPrefix(r.cuda, "-") {
			t.Errorf("%s, %s %.80q: %q, want %q", r.file, r.as, r.text, got, r.cuda)
		}
	}
}

// quoted are the words of a row's text that the corpus holds: a name and a version may stand apart there.
func quoted(text string) []string {
	text, _, _ = strings.Cut(text, "\n")
	return strings.Split(strings.TrimSuffix(strings.TrimSuffix(text, ".dist-info"), ".json"), "-")
}

// TestEvidenceCorpusIsWhole: every collected file has its row.
func TestEvidenceCorpusIsWhole(t *testing.T) {
	top := filepath.Join(fixture.Corpus(t), "bundles/evidence")
	var listed []string
	for _, r := range evidenceRows(t) {
		file, _, _ := strings.Cut(r.file, "#")
		listed = append(listed, file)
	}
	files := 0
	err := filepath.WalkDir(top, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(file, ".source") {
			return err
		}
		files++
		if name, _ := filepath.Rel(top, file); !slices.Contains(listed, name) {
			t.Errorf("testdata/evidence.tsv has no row for %s", name)
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files: %v", files, err)
	}
}

// toldBy reads a row's text as what it is.
func toldBy(t *testing.T, as, text string) string {
	t.Helper()
	var f find
	switch as {
	case "version.py":
		f, _ = torchRule().read([]byte(text))
	case "version.txt":
		f, _ = versionTXTRule().read([]byte(text))
	case "version.json":
		if strings.HasPrefix(text, `"`) { // the head of a file
			text = "{" + strings.TrimRight(text, ",\n ") + "}"
		}
		f, _ = readVersionJSON([]byte(text))
	case "name":
		f, _ = readBy(packageRules(), []byte(text))
	case "conda":
		f, _ = readBy(condaRules(), []byte(text))
	case "cudart":
		f, _ = readBy(cudartRules(), []byte(text))
	case "packages":
		return lowestOf(imageOf(t, text))
	case "tree":
		return ollamaOf(t, text)
	case "dpkg":
		return installedOf(t, text)
	case "site":
		return siteOf(t, text)
	case "compat":
		return compatOf(t, text)
	case "env":
		return environmentsOf(t, text)
	default:
		t.Fatalf("a row as %q", as)
	}
	return f.version
}

// imageOf lays out the packages that a wheels file lists, below the prefix it names, and starts the interpreter.
func imageOf(t *testing.T, text string) Found {
	t.Helper()
	var w struct {
		SitePackages string   `json:"site_packages"`
		Entries      []string `json:"entries"`
		Torch        any      `json:"torch_version_py"`
	}
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		t.Fatal(err)
	}
	folder := "app/" + w.SitePackages
	prefix, _, _ := strings.Cut(folder, "/lib/")
	names := []string{prefix + "/bin/python3 = x", prefix + "/pyvenv.cfg = home = /usr/bin"}
	for _, entry := range w.Entries {
		names = append(names, folder+"/"+entry+"/x")
	}
	if content, ok := w.Torch.(string); ok {
		names = append(names, folder+"/torch/version.py = "+content)
	}
	top := tree(t, names...)
	if err := os.Chmod(filepath.Join(top, prefix, "bin/python3"), 0o755); err != nil {
		t.Fatal(err)
	}
	return findIn(t, top, Program{Args: []string{"/" + prefix + "/bin/python3", "/app/main.py"}})
}

func findIn(t *testing.T, top string, p Program) Found {
	t.Helper()
	root, err := oci.OpenRootfs(top)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	return FindEvidence(root, p)
}

// lowestOf is the lowest certain version, or where nothing is certain the lowest of all.
func lowestOf(f Found) string {
	lowest, certain := "", false
	for _, e := range f.Evidence {
		if e.Certain && !certain {
			lowest, certain = "", true
		}
		if e.Certain == certain && (lowest == "" || fixtureLess(e.Version, lowest)) {
			lowest = e.Version
		}
	}
	return lowest
}

func fixtureLess(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }

// ollamaOf lays out the tree of ollama's bundle.
func ollamaOf(t *testing.T, text string) string {
	t.Helper()
	var names []string
	folder := ""
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(strings.TrimLeft(strings.TrimSpace(line), "│├└─ \u00a0"), " -> ")
		switch {
		case strings.HasPrefix(name, "cuda_v"):
			folder = name
		case strings.HasPrefix(name, "libcudart") && folder != "":
			names = append(names, "usr/lib/ollama/"+folder+"/"+name)
		}
	}
	var versions []string
	for _, e := range findIn(t, tree(t, names...), Program{Args: []string{"/bin/ollama", "serve"}}).Evidence {
		if e.Certain {
			t.Errorf("certain: %+v", e)
		}
		versions = append(versions, e.Version)
	}
	slices.Sort(versions)
	return strings.Join(versions, " ")
}

// A virtual environment of Python 3.11 with one package or another.
const venv = "opt/venv/lib/python3.11/site-packages/"

var venvPython = []string{"opt/venv/bin/python3 = x", "opt/venv/pyvenv.cfg = home = /usr/bin\nversion = 3.11.7\n", "bin/bash = x", "usr/bin/tini = x"}

func torchIs(folder, cuda string) string {
	return folder + "torch/version.py = __version__ = '2.9.1'\ncuda: Optional[str] = '" + cuda + "'\n"
}

// TestEvidenceCertain: what the interpreter that is surely started surely loads, and nothing else, is certain.
func TestEvidenceCertain(t *testing.T) {
	torch := torchIs(venv, "13.0")
	python := "/opt/venv/bin/python3"
	for _, tt := range []struct {
		about   string
		args    []string
		files   []string
		env     []string
		mounts  []string
		certain string // versions, in order
	}{
		{"the interpreter of a virtual environment", []string{python, "/app/x.py"}, []string{torch}, nil, nil, "13.0"},
		{"by PATH", []string{"python3", "-u", "-m", "app"}, []string{torch}, []string{"PATH=/usr/bin:/opt/venv/bin"}, nil, "13.0"},
		{"the last PATH counts", []string{"python3", "x.py"}, []string{torch}, []string{"PATH=/opt/venv/bin", "PATH=/usr/bin"}, nil, ""},
		{"through tini, env and a shell", []string{"/usr/bin/tini", "-g", "--", "env", "A=b", "bash", "-c", "exec " + python + " -m app"}, []string{torch}, []string{"PATH=/bin:/usr/bin"}, nil, "13.0"},
		{"env sets PATH", []string{"env", "PATH=/opt/venv/bin", "python3"}, []string{torch}, nil, nil, "13.0"},
		{"a script that pip made", []string{"/opt/venv/bin/vllm", "serve"}, []string{torch, "opt/venv/bin/vllm = #!" + python + "\nimport x\n"}, nil, nil, "13.0"},
		{"env in the first line", []string{"/app/run.py"}, []string{torch, "app/run.py = #!/usr/bin/env python3\n"}, []string{"PATH=/opt/venv/bin"}, nil, "13.0"},
		{"NGC's entry point", []string{"/opt/nvidia/nvidia_entrypoint.sh", python, "x.py"}, []string{torch, "opt/nvidia/nvidia_entrypoint.sh = #!/bin/bash\n"}, nil, nil, "13.0"},
		{"dumb-init, which rewrites a signal", []string{"/usr/bin/dumb-init", "-r", "15:2", "--", python, "x.py"}, []string{torch}, nil, nil, "13.0"},
		{"docker run --init", []string{"/sbin/docker-init", "--", "python3", "x.py"}, []string{torch}, []string{"PATH=/opt/venv/bin"}, nil, "13.0"},
		{"tini with a value", []string{"tini", "-e", "143", "-s", "--", python, "x.py"}, []string{torch}, nil, nil, "13.0"},
		{"NGC's entry point and a shell", []string{"/opt/nvidia/nvidia_entrypoint.sh", "bash", "-c", python + " -m app"}, []string{torch}, nil, nil, "13.0"},
		{"VIRTUAL_ENV alone starts nothing", []string{"python3", "x.py"}, []string{torch, "usr/bin/python3.11 = x", "usr/bin/python3 -> python3.11"}, []string{"PATH=/usr/bin", "VIRTUAL_ENV=/opt/venv"}, nil, ""},
		{"an environment that is activated by PATH", []string{"python3", "x.py"}, []string{torch}, []string{"PATH=/opt/venv/bin:/usr/bin", "VIRTUAL_ENV=/opt/venv"}, nil, "13.0"},
		{"uv's environment", []string{"/app/.venv/bin/python", "-m", "app"}, []string{torchIs("app/.venv/lib/python3.12/site-packages/", "12.8"), "app/.venv/bin/python = x", "app/.venv/pyvenv.cfg = home = /usr/bin\nuv = 0.8.4\nversion_info = 3.12.9\n"}, nil, nil, "12.8"},
		{"uv run, which may install first", []string{"uv", "run", "app.py"}, []string{torchIs("app/.venv/lib/python3.12/site-packages/", "12.8"), "usr/bin/uv = x"}, []string{"PATH=/usr/bin"}, nil, ""},
		{"conda's activation", []string{"bash", "-c", "source activate app && python x.py"}, []string{torchIs("opt/conda/lib/python3.10/site-packages/", "12.1"), "opt/conda/bin/python3.10 = x", "opt/conda/bin/python -> python3.10"}, []string{"PATH=/opt/conda/bin:/bin"}, nil, ""},
		{"an environment of conda that is activated by PATH", []string{"python", "x.py"}, []string{torchIs("opt/conda/envs/app/lib/python3.10/site-packages/", "12.1"), "opt/conda/envs/app/bin/python = x"}, []string{"PATH=/opt/conda/envs/app/bin:/opt/conda/bin", "CONDA_PREFIX=/opt/conda/envs/app"}, nil, "12.1"},
		{
			"conda run, a program of Python that starts another one",
			[]string{"conda", "run", "--no-capture-output", "-n", "app", "python", "x.py"},
			[]string{torchIs("opt/conda/lib/python3.10/site-packages/", "13.0"), "opt/conda/bin/python3.10 = x", "opt/conda/bin/conda = #!/opt/conda/bin/python3.10\nimport sys\n"},
			[]string{"PATH=/opt/conda/bin"},
			nil, "",
		},
		{"supervisord", []string{"supervisord", "-n"}, []string{torch, "usr/bin/supervisord = #!" + python + "\n"}, []string{"PATH=/usr/bin"}, nil, ""},
		{"pip, which imports nothing of it", []string{"/opt/venv/bin/pip3", "list"}, []string{torch, "opt/venv/bin/pip3 = #!" + python + "\n"}, nil, nil, ""},
		{"pip of one version", []string{"/opt/venv/bin/pip3.11", "list"}, []string{torch, "opt/venv/bin/pip3.11 = #!" + python + "\n"}, nil, nil, ""},
		{"a notebook, whose kernels may be other ones", []string{"/usr/bin/tini", "--", "jupyter", "lab"}, []string{torch, "opt/venv/bin/jupyter = #!" + python + "\n"}, []string{"PATH=/opt/venv/bin"}, nil, ""},
		{"a notebook by its other name", []string{"jupyter-lab", "--ip=0.0.0.0"}, []string{torch, "opt/venv/bin/jupyter-lab = #!" + python + "\n"}, []string{"PATH=/opt/venv/bin"}, nil, ""},
		{"the start of docker-stacks", []string{"start-notebook.py"}, []string{torch, "opt/venv/bin/start-notebook.py = #!/usr/bin/env python3\n"}, []string{"PATH=/opt/venv/bin"}, nil, ""},
		{"the head of ray, whose jobs bring their own", []string{"ray", "start", "--head", "--block"}, []string{torch, "opt/venv/bin/ray = #!" + python + "\n"}, []string{"PATH=/opt/venv/bin"}, nil, ""},
		{"a download", []string{"huggingface-cli", "download", "x"}, []string{torch, "opt/venv/bin/huggingface-cli = #!" + python + "\n"}, []string{"PATH=/opt/venv/bin"}, nil, ""},
		{"pip as a module", []string{python, "-m", "pip", "install", "-r", "x"}, []string{torch}, nil, nil, ""},
		{"a module in the same word", []string{python, "-umvenv", "/v"}, []string{torch}, nil, nil, ""},
		{"a notebook as a module", []string{python, "-m", "jupyter", "lab"}, []string{torch}, nil, nil, ""},
		{"a part of a notebook as a module", []string{python, "-m", "jupyterlab.labapp"}, []string{torch}, nil, nil, ""},
		{"a module of Python's own", []string{python, "-m", "http.server", "8000"}, []string{torch}, nil, nil, ""},
		{"a module that only begins like one", []string{python, "-m", "pipeline"}, []string{torch}, nil, nil, "13.0"},
		{"pip called by its file", []string{python, "/opt/venv/bin/pip", "list"}, []string{torch, "opt/venv/bin/pip = #!" + python + "\n"}, nil, nil, ""},
		{"an archive with packages of its own", []string{python, "/app/app.pex"}, []string{torch, "app/app.pex = x"}, nil, nil, ""},
		{"an archive that is started itself", []string{"/app/app.pyz"}, []string{torch, "app/app.pyz = #!" + python + "\nPK"}, nil, nil, ""},
		{
			"NGC's entry point, and a script beside it that activates another environment",
			[]string{"/opt/nvidia/nvidia_entrypoint.sh", python, "x.py"},
			[]string{torch, "opt/nvidia/entrypoint.d/10-banner.sh = echo x\n", "opt/nvidia/entrypoint.d/110.conda.sh = conda activate app\n"},
			nil, nil, "",
		},
		{
			"NGC's entry point, and a script beside it that sets PATH",
			[]string{"/opt/nvidia/nvidia_entrypoint.sh", "python3", "x.py"},
			[]string{torch, "opt/nvidia/entrypoint.d/99.sh = export PATH=/custom:$PATH\n"},
			[]string{"PATH=/opt/venv/bin"},
			nil, "",
		},
		{
			"NGC's entry point with its own scripts",
			[]string{"/opt/nvidia/nvidia_entrypoint.sh", python, "x.py"},
			[]string{torch, "opt/nvidia/entrypoint.d/10-banner.txt = activate\n", "opt/nvidia/entrypoint.d/50-gpu-driver-check.sh = export NVIDIA_CPU_ONLY=1\nif [ -z \"$_CUDA_COMPAT_PATH\" ]; then :; fi\n"},
			nil, nil, "13.0",
		},
		{
			"NGC's entry point and a mount over its scripts",
			[]string{"/opt/nvidia/nvidia_entrypoint.sh", python, "x.py"},
			[]string{torch},
			nil,
			[]string{"/opt/nvidia/entrypoint.d"},
			"",
		},
		{"poetry run", []string{"/opt/venv/bin/poetry", "run", "app"}, []string{torch, "opt/venv/bin/poetry = #!" + python + "\n"}, nil, nil, ""},
		{"a shell that does more", []string{"bash", "-c", "source /env.sh && " + python}, []string{torch}, nil, nil, ""},
		{"a login shell", []string{"bash", "-lc", python}, []string{torch}, nil, nil, ""},
		{"a shell script", []string{"/entrypoint.sh", python}, []string{torch, "entrypoint.sh = #!/bin/bash\nexec \"$@\"\n"}, nil, nil, ""},
		{"BASH_ENV", []string{"bash", "-c", python}, []string{torch}, []string{"BASH_ENV=/x"}, nil, ""},
		{"another program", []string{"/bin/bash"}, []string{torch}, nil, nil, ""},
		{"nothing", nil, []string{torch}, nil, nil, ""},
		{"a shell script named python3", []string{"/usr/local/bin/python3", "x.py"}, []string{torchIs("usr/local/lib/python3.11/site-packages/", "13.0"), "usr/local/bin/python3 = #!/bin/sh\nexec " + python + " \"$@\"\n"}, nil, nil, ""},
		{"a script for python named python3", []string{"/x/python3", "x.py"}, []string{torch, "x/python3 = #!" + python + "\n"}, nil, nil, "13.0"},
		{"a mount over the script", []string{"/app/run.py"}, []string{torch, "app/run.py = #!" + python + "\n"}, nil, []string{"/app"}, ""},
		{"a mount with an earlier python", []string{"python3", "x.py"}, []string{torch}, []string{"PATH=/custom/bin:/opt/venv/bin"}, []string{"/custom"}, ""},
		{"a mount with a later python", []string{"python3", "x.py"}, []string{torch}, []string{"PATH=/opt/venv/bin:/custom/bin"}, []string{"/custom"}, "13.0"},
		{"a mount of another program", []string{"python3", "x.py"}, []string{torch}, []string{"PATH=/usr/bin:/opt/venv/bin"}, []string{"/usr/bin/nvidia-smi"}, "13.0"},
		{"starts itself", []string{"/a"}, []string{"a = #!/a\n"}, nil, nil, ""},
		{"no site", []string{python, "-S", "x.py"}, []string{torch}, nil, nil, ""},
		{"PYTHONHOME", []string{python, "x.py"}, []string{torch}, []string{"PYTHONHOME=/x"}, nil, ""},
		{"PYTHONPATH with another torch", []string{python, "x.py"}, []string{torch, torchIs("other/", "11.8")}, []string{"PYTHONPATH=/other"}, nil, ""},
		{"PYTHONPATH that is ignored", []string{python, "-E", "x.py"}, []string{torch, torchIs("other/", "11.8")}, []string{"PYTHONPATH=/other"}, nil, "13.0"},
		{"PYTHONPATH without one", []string{python, "x.py"}, []string{torch, "other/app.py"}, []string{"PYTHONPATH=/other"}, nil, "13.0"},
		{"a torch beside the script", []string{python, "/src/x.py"}, []string{torch, "src/torch.py"}, nil, nil, ""},
		{"a mount over the environment", []string{python, "x.py"}, []string{torch}, nil, []string{"/opt"}, ""},
		{"a mount over one package", []string{python, "x.py"}, []string{torch}, nil, []string{"/" + venv + "torch"}, ""},
		{"the code mounted", []string{python, "/app/x.py"}, []string{torch, "app/x.py"}, nil, []string{"/app", "/proc", "/dev/shm"}, "13.0"},
		{"a mount over PYTHONPATH", []string{python, "x.py"}, []string{torch}, []string{"PYTHONPATH=/other"}, []string{"/other"}, ""},
		{"a second environment is unused", []string{python, "x.py"}, []string{torch, torchIs("opt/other/lib/python3.11/site-packages/", "11.8"), "opt/other/pyvenv.cfg"}, nil, nil, "13.0"},
		{"the system's packages too", []string{python, "x.py"}, []string{torch, "opt/venv/pyvenv.cfg = home = /usr/bin\ninclude-system-site-packages = true\n"}, nil, nil, ""},
		{"libraries are no software", []string{python, "x.py"}, []string{venv + "nvidia_cuda_runtime_cu12-12.8.90.dist-info/x"}, nil, nil, ""},
		{"cpu wheels with libraries left over", []string{python, "x.py"}, []string{venv + "torch/version.py = __version__ = '2.9.1+cpu'\ncuda: Optional[str] = None\n", venv + "torch-2.9.1+cu130.dist-info/x", venv + "nvidia_cuda_runtime-13.0.96.dist-info/x"}, nil, nil, ""},
		{
			"a cpu torch before another",
			[]string{"/usr/bin/python3.11", "x.py"},
			[]string{"usr/bin/python3.11 = x", "usr/local/lib/python3.11/dist-packages/torch/version.py = cuda = None\n", torchIs("usr/lib/python3/dist-packages/", "13.0")},
			nil, nil, "",
		},
		{"torch's file is a pointer of git-lfs", []string{python, "x.py"}, []string{venv + "torch-2.9.1+cu130.dist-info/x", venv + "torch/version.py = version https://git-lfs.github.com/spec/v1\n"}, nil, nil, "13.0"},
		{"options with values", []string{python, "-W", "ignore", "-Xdev", "-X", "utf8", "-um", "app"}, []string{torch}, nil, nil, "13.0"},
		{"torch says it by name only", []string{python, "x.py"}, []string{venv + "torch-2.9.1+cu130.dist-info/x", venv + "torch/x"}, nil, nil, "13.0"},
		{"torch does not say it", []string{python, "x.py"}, []string{venv + "torch-2.9.1.dist-info/x", venv + "torch/x", venv + "jax_cuda13_plugin-0.8.0.dist-info/x"}, nil, nil, ""},
		{"a version that is none", []string{python, "x.py"}, []string{torch, venv + "cupy_cuda" + strings.Repeat("1", 100) + "x-13.dist-info/x"}, nil, nil, "13.0"},
		{"two frameworks", []string{python, "x.py"}, []string{torch, venv + "cupy_cuda12x-13.6.0.dist-info/x"}, nil, nil, "12.0 13.0"},
		{"a stranger beside", []string{python, "x.py"}, []string{torch, venv + "ctranslate2/x"}, nil, nil, ""},
		{
			"Debian's Python: pip's packages before Debian's",
			[]string{"/usr/bin/python3", "x.py"},
			[]string{"usr/bin/python3.11 = x", "usr/bin/python3 -> python3.11", torchIs("usr/local/lib/python3.11/dist-packages/", "12.8"), torchIs("usr/lib/python3/dist-packages/", "11.8")},
			nil, nil, "12.8",
		},
		{
			"the user's own torch",
			[]string{"/usr/bin/python3.11", "x.py"},
			[]string{"usr/bin/python3.11 = x", torchIs("usr/local/lib/python3.11/dist-packages/", "12.8"), "home/u/.local/lib/python3.11/site-packages/torch/x"},
			[]string{"HOME=/home/u"},
			nil, "",
		},
		{
			"python of an official image",
			[]string{"python3", "x.py"},
			[]string{"usr/local/bin/python3.12 = x", "usr/local/bin/python3 -> python3.12", torchIs("usr/local/lib/python3.12/site-packages/", "13.0")},
			[]string{"PATH=/usr/local/bin"},
			nil, "13.0",
		},
		{
			"conda",
			[]string{"/opt/conda/bin/python", "x.py"},
			[]string{"opt/conda/bin/python3.10 = x", "opt/conda/bin/python -> python3.10", torchIs("opt/conda/lib/python3.10/site-packages/", "12.1")},
			nil, nil, "12.1",
		},
		{
			"a link into an environment",
			[]string{"/usr/bin/python3", "x.py"},
			[]string{torch, "usr/bin/python3 -> /opt/venv/bin/python3"},
			nil, nil, "",
		},
	} {
		t.Run(tt.about, func(t *testing.T) {
			top := tree(t, append(slices.Clone(venvPython), tt.files...)...)
			runnable(t, top)
			var certain []string
			for _, e := range findIn(t, top, Program{Args: tt.args, Env: tt.env, Mounts: tt.mounts}).Evidence {
				if e.Certain {
					certain = append(certain, e.Version)
				}
				if e.Path == "" || e.Stack == "" {
					t.Errorf("no place: %+v", e)
				}
			}
			slices.Sort(certain)
			if got := strings.Join(certain, " "); got != tt.certain {
				t.Errorf("certain %q, want %q", got, tt.certain)
			}
		})
	}
}

// TestEvidenceUserSite: the packages of the container's user come before those that pip installed for all; whose they are the
// environment tells, else the image's passwd as runc and crun read it.
func TestEvidenceUserSite(t *testing.T) {
	const passwd = "etc/passwd = root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n"
	python := []string{"/usr/bin/python3.11", "x.py"}
	for _, tt := range []struct {
		about string
		user  string
		args  []string
		env   []string
		files []string
		base  string // where the user's own torch lies
		mount string
		sure  bool
	}{
		{"root", "", python, nil, []string{passwd}, "root/.local", "", false},
		{"root by number", "0", python, nil, []string{passwd}, "root/.local", "", false},
		{"another user", "1000", python, nil, []string{passwd}, "home/u/.local", "", false},
		{"another user by name and group", "u:adm", python, nil, []string{passwd}, "home/u/.local", "", false},
		{"root's are not another user's", "1000", python, nil, []string{passwd}, "root/.local", "", true},
		{"another user's are not root's", "0", python, nil, []string{passwd}, "home/u/.local", "", true},
		{"root lives elsewhere", "0", python, nil, []string{"etc/passwd = root:x:0:0::/data:/bin/sh\n"}, "data/.local", "", false},
		{"a user of no name", "4711", python, nil, []string{passwd}, ".local", "", false},
		{"a user of no name does not live in /home", "4711", python, nil, []string{passwd}, "home/u/.local", "", true},
		{"no passwd", "", python, nil, nil, "root/.local", "", false},
		{"no passwd, and a runtime that takes /", "", python, nil, nil, ".local", "", false},
		{"HOME", "1000", python, []string{"HOME=/h"}, []string{passwd}, "h/.local", "", false},
		{"HOME comes first", "1000", python, []string{"HOME=/h"}, []string{passwd}, "home/u/.local", "", true},
		{"an empty HOME is none", "1000", python, []string{"HOME="}, []string{passwd}, "home/u/.local", "", false},
		{"a HOME that is no path", "1000", python, []string{"HOME=h"}, []string{passwd}, "srv", "", false},
		{"HOME is taken away", "1000", append([]string{"env", "-u", "HOME"}, python...), []string{"HOME=/h"}, []string{passwd}, "home/u/.local", "", false},
		{"a passwd that is mounted", "1000", python, nil, []string{passwd}, "srv", "/etc/passwd", false},
		{"HOME beside a passwd that is mounted", "1000", python, []string{"HOME=/h"}, []string{passwd}, "srv", "/etc/passwd", true},
		{"a passwd that cannot be read", "1000", python, nil, []string{"etc/passwd |"}, "srv", "", false},
		{"PYTHONUSERBASE", "1000", python, []string{"PYTHONUSERBASE=/ub"}, []string{passwd}, "ub", "", false},
		{"PYTHONUSERBASE comes first", "1000", python, []string{"PYTHONUSERBASE=/ub"}, []string{passwd}, "home/u/.local", "", true},
		{"PYTHONUSERBASE that is ignored", "1000", []string{python[0], "-E", "x.py"}, []string{"PYTHONUSERBASE=/ub"}, []string{passwd}, "ub", "", true},
		{"no packages of the user", "1000", []string{python[0], "-s", "x.py"}, nil, []string{passwd}, "home/u/.local", "", true},
		{"no packages of the user by environment", "1000", python, []string{"PYTHONNOUSERSITE=1"}, []string{passwd}, "home/u/.local", "", true},
	} {
		t.Run(tt.about, func(t *testing.T) {
			top := tree(t, append([]string{"usr/bin/python3.11", torchIs("usr/local/lib/python3.11/dist-packages/", "13.0"), tt.base + "/lib/python3.11/site-packages/torch/x"}, tt.files...)...)
			runnable(t, top)
			found := findIn(t, top, Program{Args: tt.args, Env: append(tt.env, "PATH=/usr/bin"), User: tt.user, Mounts: strings.Fields(tt.mount)})
			if len(found.Evidence) == 0 || found.Evidence[0].Certain != tt.sure {
				t.Errorf("%+v, want certain %t", found, tt.sure)
			}
		})
	}
}

// runnable makes every file of a tree executable.
func runnable(t *testing.T, top string) {
	t.Helper()
	err := filepath.WalkDir(top, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		return os.Chmod(file, 0o755)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEvidenceUncertain: where nothing is certain, what lies at the usual places is told, each in a stack of its own.
func TestEvidenceUncertain(t *testing.T) {
	top := tree(t,
		"usr/local/cuda-12.6/version.json = {\"cuda\": {\"version\": \"12.6.20241114\"}}", "usr/local/cuda -> cuda-12.6",
		"usr/local/cuda-12.6/lib64/libcudart.so.12.6.77", "usr/local/cuda-12.6/lib64/libcudart.so.12 -> libcudart.so.12.6.77",
		"opt/conda/conda-meta/cuda-cudart-12.1.105-0.json", "opt/conda/conda-meta/cuda-version-12.6-3.json",
		torchIs("app/.venv/lib/python3.12/site-packages/", "13.0"), "usr/lib/ollama/cuda_v13/libcudart.so.13.0.96",
		"opt/libtorch/build-version = 2.8.0+cu129\n", "deps/libtorch/build-version = 2.4.1+cu118\n", "libtorch/build-version = 2.8.0+cpu\n",
	)
	want := []Evidence{
		{"conda", "12.1", "/opt/conda/conda-meta/cuda-cudart-12.1.105-0.json", false, "/opt/conda", ""},
		{"torch", "13.0", "/app/.venv/lib/python3.12/site-packages/torch/version.py", false, "/app/.venv/lib/python3.12/site-packages", ""},
		{"toolkit", "12.6", "/usr/local/cuda/version.json", false, "/usr/local/cuda", ""},
		{"cudart", "12.6", "/usr/local/cuda/lib64/libcudart.so.12.6.77", false, "/usr/local/cuda/lib64", ""},
		{"torch", "11.8", "/deps/libtorch/build-version", false, "/deps/libtorch", ""},
		{"torch", "12.9", "/opt/libtorch/build-version", false, "/opt/libtorch", ""},
		{"cudart", "13.0", "/usr/lib/ollama/cuda_v13/libcudart.so.13.0.96", false, "/usr/lib/ollama/cuda_v13", ""},
	}
	if got := findIn(t, top, Program{Args: []string{"/bin/serve"}, Env: []string{"LIBTORCH=/deps/libtorch"}}); !reflect.DeepEqual(got.Evidence, want) {
		t.Errorf("%+v", got)
	}
	if got := findIn(t, t.TempDir(), Program{Args: []string{"python3"}, Env: []string{"PATH=/bin"}}); got.Evidence != nil {
		t.Errorf("an empty image: %+v", got)
	}
}

// TestEvidenceUnread: what cannot be read is told once, and with its place; what is not there is not told of.
func TestEvidenceUnread(t *testing.T) {
	args := []string{"/opt/venv/bin/python3", "x.py"}
	for _, tt := range []struct {
		about, want string
		files       []string
	}{
		{"nothing there", "", []string{"etc/hostname"}},
		{"nothing mounted", "the root file system is empty: it is not mounted", nil},
		{"a prefix", "/usr/local/lib", []string{"usr/local/lib |"}},
		{"a loop", "/usr/local/cuda/lib64", []string{"usr/local/cuda/lib64 -> lib64"}},
		{"a file for a folder", "", []string{"usr/local/lib"}},
		{"conda's list", "/opt/conda/conda-meta", []string{"opt/conda/conda-meta |"}},
		{"libraries", "/usr/local/cuda/lib64", []string{"usr/local/cuda/lib64 |"}},
		{"a bundle", "/usr/lib/ollama", []string{"usr/lib/ollama |"}},
		{"a toolkit", "/usr/local/cuda/version.json", []string{"usr/local/cuda/version.json |"}},
		{"an older toolkit", "/usr/local/cuda/version.txt", []string{"usr/local/cuda/version.txt |"}},
		{"what the interpreter loads", venv[:len(venv)-1], append([]string{venv[:len(venv)-1] + " |"}, venvPython...)},
		{"a framework", venv + "torch/version.py", append([]string{venv + "torch/version.py |"}, venvPython...)},
		{"which Python", "/opt/venv/bin/python3: several versions", []string{"opt/venv/bin/python3", "opt/venv/lib/python3.11/", "opt/venv/lib/python3.12/"}},
	} {
		t.Run(tt.about, func(t *testing.T) {
			top := tree(t, tt.files...)
			runnable(t, top)
			got := findIn(t, top, Program{Args: args}).Unread
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("%q, want one with %q", got, tt.want)
			}
		})
	}
}

// TestEvidenceHostile: what an image's author puts in the place of a file that is read costs neither time nor memory, reads
// nothing outside, and makes nothing certain.
func TestEvidenceHostile(t *testing.T) {
	args := []string{"/opt/venv/bin/python3", "x.py"}
	secret := filepath.Join(t.TempDir(), "version.py")
	if err := os.WriteFile(secret, []byte("cuda = '9.9'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		about string
		files []string
		spoil func(top string) error
	}{
		{"a FIFO", []string{venv + "torch/version.py |"}, nil},
		{"a link to the host", []string{venv + "torch/version.py -> " + secret}, nil},
		{"a link out by ..", []string{venv + "torch/version.py -> " + strings.Repeat("../", 40) + strings.TrimPrefix(secret, "/")}, nil},
		{"a link to /", nil, func(top string) error {
			torch := filepath.Join(top, venv, "torch")
			return errors.Join(os.RemoveAll(torch), os.Symlink("/", torch))
		}},
		{"a link to itself", []string{venv + "torch/version.py -> version.py"}, nil},
		{"a device of the host", []string{venv + "torch/version.py -> /dev/zero"}, nil},
		{"a file of a gigabyte", []string{venv + "torch/version.py"}, func(top string) error {
			return os.Truncate(filepath.Join(top, venv, "torch/version.py"), 1<<30)
		}},
		{"more packages than there are", nil, func(top string) error {
			for i := range maxPackages + 1 {
				if err := os.WriteFile(filepath.Join(top, venv, "p"+strconv.Itoa(i)), nil, 0o600); err != nil {
					return err
				}
			}
			return nil
		}},
		{"no UTF-8", []string{venv + "torch/version.py = cuda = '13.0\xff'\n\x00\x00"}, nil},
		{"a huge number", []string{venv + "torch/version.py = cuda = '" + strings.Repeat("9", 5000) + ".0'\n"}, nil},
	} {
		t.Run(tt.about, func(t *testing.T) {
			top := tree(t, append(append(slices.Clone(venvPython), venv+"torch-2.9.1.dist-info/x", venv+"torch/y"), tt.files...)...)
			runnable(t, top)
			if tt.spoil != nil {
				if err := tt.spoil(top); err != nil {
					t.Fatal(err)
				}
			}
			for _, e := range findIn(t, top, Program{Args: args}).Evidence {
				t.Errorf("told: %+v", e)
			}
		})
	}
}

// FuzzEvidence: whatever a command line and a file hold, the search ends, and what it tells is a version.
func FuzzEvidence(f *testing.F) {
	f.Add("/opt/venv/bin/python3 x.py", "PATH=/bin", "cuda = '12.8'\n", "torch-2.0+cu128.dist-info")
	f.Add("env -i A=b python3", "PATH=/opt/venv/bin", "'cuda_version': '12'", "nvidia_cuda_runtime-13.0.96.dist-info")
	f.Fuzz(func(t *testing.T, command, env, content, name string) {
		top := t.TempDir()
		folder := filepath.Join(top, venv)
		for _, file := range []string{"torch/version.py", "tensorflow/python/platform/build_info.py", "onnxruntime/capi/build_and_package_info.py"} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, file)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_ = os.WriteFile(filepath.Join(folder, filepath.Base(name)), nil, 0o600)
		if err := os.MkdirAll(filepath.Join(top, "opt/venv/bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(top, "opt/venv/bin/python3"), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, e := range findIn(t, top, Program{Args: strings.Fields(command), Env: []string{env}, Cwd: name}).Evidence {
			if major, minor, ok := strings.Cut(e.Version, "."); !ok || strings.Trim(major+minor, "0123456789") != "" {
				t.Errorf("%+v", e)
			}
		}
	})
}
