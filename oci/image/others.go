package image

import (
	"path"
	"slices"
	"strings"
)

// MayBePython tells whether a container may surely start a Python, by the words of its command line alone.
func (p Program) MayBePython() bool {
	s, args := newStarter(nil, p), p.Args
	for range maxHops {
		if len(args) == 0 {
			return false
		}
		rest, known := s.through(path.Base(args[0]), args[1:])
		if !known {
			return path.Ext(args[0]) != ".sh"
		}
		args = rest
	}
	return false
}

// tools are programs written in Python that start other ones, or that use none of what lies beside them: it proves nothing
// about what the container loads. Some are modules of Python's own.
var tools = []string{
	"conda", "mamba", "poetry", "pipenv", "pdm", "hatch", "tox", "nox", "pipx", "supervisord", "circusd", "honcho",
	"pip", "venv", "virtualenv", "ensurepip", "http", "huggingface-cli", "hf", "gpustat", "nvitop",
	"notebook", "ipykernel", "ipykernel_launcher", "ipython", "IPython", "start-notebook", "start-singleuser", "ray", "dask",
}

// isTool tells them by a file's name or a module's (pip3.11, jupyter-lab, http.server).
func isTool(file, module string) bool {
	name, _, _ := strings.Cut(module, ".")
	if module == "" {
		name = strings.TrimSuffix(path.Base(file), ".py")
		if version, isPip := strings.CutPrefix(name, "pip"); isPip && strings.Trim(version, ".0123456789") == "" {
			return true
		}
	}
	return strings.HasPrefix(name, "jupyter") || slices.Contains(tools, name)
}

// isArchive tells a program that brings its packages in one file (zipapp of Python, pex).
func isArchive(file string) bool {
	return slices.Contains([]string{".pex", ".pyz", ".zip", ".egg", ".whl"}, path.Ext(file))
}

const (
	ngcEntrypoint = "nvidia_entrypoint.sh"
	ngcScripts    = "/opt/nvidia/entrypoint.d" // it sources *.sh there before it starts its command line
)

// sourced tells whether a line of the scripts that NVIDIA's entry point sources may fit, and is true where they cannot be
// read. Images add some of their own, which activate an environment or set LD_LIBRARY_PATH.
func (s *starter) sourced(fits func(line string) bool) bool {
	if hiddenBy(s.mounts, ngcScripts) != "" {
		return true
	}
	names, err := s.files.ReadDir(ngcScripts, maxFolder)
	if err != nil {
		return !absent(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".sh") {
			continue
		}
		text, err := s.files.ReadFile(ngcScripts+"/"+name, MaxFile)
		if err != nil && !absent(err) || slices.ContainsFunc(strings.Split(string(text), "\n"), fits) {
			return true
		}
	}
	return false
}

// turnsPython tells whether a line of a shell script may start another Python, or give it other packages.
func turnsPython(line string) bool {
	if strings.Contains(line, "activate") || strings.Contains(line, "PYTHON") {
		return true
	}
	before, _, sets := strings.Cut(line, "PATH=")
	return sets && (before == "" || strings.TrimRight(before[len(before)-1:], " \t;&") == "")
}

// turnsLoader tells whether a line may put another libcuda first.
func turnsLoader(line string) bool { return strings.Contains(line, "LD_LIBRARY_PATH=") }
