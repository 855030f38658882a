package image

import (
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"gpu-preflight/oci"
)

// Files is an image's file system: a root file system that is mounted, or the layers of an image that is not there.
// Paths are absolute, links lead nowhere outside, and errors wrap fs.ErrNotExist where nothing is there.
type Files interface {
	Stat(path string) (fs.FileInfo, error)
	Real(path string) (string, error) // the path with every link resolved
	ReadFile(path string, limit int64) ([]byte, error)
	ReadDir(path string, limit int) ([]string, error)
}

// Program is what a container starts, as far as it decides which files are used.
type Program struct {
	Args   []string `json:"args"`
	Env    []string `json:"env"`    // KEY=VALUE, only what Python and shells read; the last of a key counts
	Cwd    string   `json:"cwd"`    // "" is /
	User   string   `json:"user"`   // number or name, and maybe :GROUP; "" is root
	Mounts []string `json:"mounts"` // what is mounted over the image
}

// Bounds of a Program: an argument of a process has at most 128 KiB (execve(2), MAX_ARG_STRLEN).
const (
	maxArgs   = 64
	maxMounts = 256
	maxWord   = 1024
	maxSet    = 8192 // of one variable
)

// ProgramOf is the part of a container's configuration that decides which of its image's files are used. A command line
// that is longer than any real one is left out: nothing is certain then.
func ProgramOf(c *oci.Container) Program {
	p := Program{Cwd: c.Cwd, User: c.User}
	if len(c.Args) <= maxArgs && !slices.ContainsFunc(c.Args, func(word string) bool { return len(word) > maxWord }) {
		p.Args = c.Args
	}
	set := map[string]string{}
	for _, entry := range c.Env {
		if key, value, _ := strings.Cut(entry, "="); decides(key) && len(value) <= maxSet {
			set[key] = value
		}
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		p.Env = append(p.Env, key+"="+set[key])
	}
	for _, m := range c.Mounts[:min(len(c.Mounts), maxMounts)] {
		if len(m.Destination) <= maxWord {
			p.Mounts = append(p.Mounts, m.Destination)
		}
	}
	if len(c.Mounts) > maxMounts {
		p.Args = nil
	}
	return p
}

// decides tells whether a variable changes what is started or loaded.
func decides(key string) bool {
	return slices.Contains([]string{"PATH", "HOME", "BASH_ENV", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "LD_PRELOAD", "LIBTORCH"}, key) ||
		(strings.HasPrefix(key, "PYTHON") || strings.Contains(key, "CUDA_COMPAT")) && len(key) < 32
}

// maxHops bounds how many programs may start one another before the one that stays.
const maxHops = 16

// python is an interpreter that a container surely starts.
type python struct {
	path    string   // as it is called
	script  string   // the folder of its script, or where it is started: the first that it looks into; "" for none
	before  []string // more folders that it looks into before its own packages
	noUser  bool     // it never looks into the user's packages
	version string   // 3.11, "" when its name does not tell

	ignoresEnv bool // variables that begin with PYTHON
}

// starter follows a command line to the interpreter that it starts.
type starter struct {
	files  Files
	env    map[string]string
	cwd    string
	user   string
	mounts []string

	entrypoint bool // NVIDIA's is on the way
}

func newStarter(files Files, p Program) *starter {
	s := &starter{files: files, env: map[string]string{}, cwd: path.Join("/", p.Cwd), user: p.User, mounts: p.Mounts}
	for _, entry := range p.Env {
		key, value, _ := strings.Cut(entry, "=")
		s.env[key] = value
	}
	return s
}

// The programs that only start the rest of their command line, with the options of theirs that take a value.
var starters = map[string]string{
	"tini": "pe", "tini-static": "pe", "docker-init": "pe", "dumb-init": "r", "catatonit": "", ngcEntrypoint: "",
}

var pythonName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^python(?:3|(3\.\d{1,2}))?$`) })

// follow returns the interpreter; ok is false where another program is started, or what is started is not sure: a
// script of the shell may do anything first.
func (s *starter) follow(args []string) (p python, ok bool) {
	for range maxHops {
		if len(args) == 0 {
			break
		}
		s.entrypoint = s.entrypoint || path.Base(args[0]) == ngcEntrypoint
		if rest, known := s.through(path.Base(args[0]), args[1:]); known {
			args = rest
			continue
		}
		file, found := s.lookup(args[0])
		if !found {
			break
		}
		if interpreter := s.shebang(file); interpreter != nil {
			args = slices.Concat(interpreter, []string{file}, args[1:])
			continue
		}
		if m := pythonName().FindStringSubmatch(path.Base(file)); m != nil {
			p, ok = s.python(file, m[1], args[1:])
			return p, ok && (!s.entrypoint || !s.sourced(turnsPython))
		}
		break
	}
	return python{}, false
}

// through is the command line that a program starts which only starts another one; nil where it is not sure.
func (s *starter) through(name string, args []string) (rest []string, known bool) {
	values, known := starters[name]
	switch {
	case known:
		return afterOptions(args, values), true
	case name == "env":
		return s.afterEnv(args), true
	case !slices.Contains([]string{"sh", "bash", "dash", "ash"}, name):
		return nil, false
	case s.env["BASH_ENV"] != "": // bash reads that file first
		return nil, true
	}
	return shellWords(args), true
}

// lookup finds a program as execvp does. Where a mount may bring one, none is found for sure.
func (s *starter) lookup(word string) (string, bool) {
	candidates := []string{word}
	if !strings.Contains(word, "/") {
		candidates = strings.Split(s.env["PATH"], ":")
		for i, folder := range candidates {
			candidates[i] = folder + "/" + word
		}
	}
	for _, file := range candidates {
		file = s.absolute(file)
		if hiddenBy(s.mounts, file) != "" {
			break
		}
		if s.runnable(file) {
			return file, true
		}
	}
	return "", false
}

func (s *starter) absolute(file string) string {
	if path.IsAbs(file) {
		return path.Clean(file)
	}
	return path.Join(s.cwd, file)
}

func (s *starter) runnable(file string) bool {
	info, err := s.files.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// shebang is the interpreter that a script names in its first line, nil for other programs.
func (s *starter) shebang(file string) []string {
	head, err := s.files.ReadFile(file, maxScript)
	line, _, _ := strings.Cut(string(head), "\n")
	rest, isScript := strings.CutPrefix(line, "#!")
	if err != nil || !isScript || len(line) > 255 { // the kernel reads 256 bytes (BINPRM_BUF_SIZE)
		return nil
	}
	return strings.Fields(rest)
}

// maxScript bounds a script, in bytes; one that pip makes has a few hundred.
const maxScript = 64 << 10

// python reads the interpreter's own options. With -S it has no packages.
func (s *starter) python(file, version string, args []string) (python, bool) {
	letters, module, args := pythonOptions(args)
	has := func(one string) bool { return strings.ContainsAny(letters, one) }
	p := python{path: file, version: version, noUser: has("sI"), ignoresEnv: has("EI")}
	script := ""
	if len(args) > 0 {
		script = args[0]
	}
	if isTool(script, module) || isArchive(script) {
		return python{}, false
	}
	switch {
	case has("IP"):
	case script != "":
		p.script = path.Dir(s.absolute(script))
	default: // -m, -c and a prompt
		p.script = s.cwd
	}
	if !p.ignoresEnv {
		for folder := range strings.SplitSeq(s.env["PYTHONPATH"], ":") {
			if folder != "" {
				p.before = append(p.before, s.absolute(folder))
			}
		}
		p.noUser = p.noUser || s.env["PYTHONNOUSERSITE"] != ""
	}
	return p, !has("S") && s.env["PYTHONHOME"] == ""
}

// pythonOptions are the letters of an interpreter's options, and what it runs: a module (-m), or a script with its own
// options; neither behind -c (python --help).
func pythonOptions(args []string) (letters, module string, script []string) {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "-" {
		word := args[0]
		args = args[1:]
		if strings.HasPrefix(word, "--") {
			continue
		}
		before, value, takes := cutAny(word[1:], "mcWX")
		letters += before
		if takes != 0 && value == "" && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		switch takes {
		case 'm':
			return letters, value, nil
		case 'c':
			return letters, "", nil
		}
	}
	return letters, "", args
}

// cutAny cuts a word around the first of some letters; 0: it has none.
func cutAny(word, letters string) (before, after string, at byte) {
	i := strings.IndexAny(word, letters)
	if i < 0 {
		return word, "", 0
	}
	return word[:i], word[i+1:], word[i]
}

// afterEnv is the command line behind env's own words. Its settings hold for what it starts.
func (s *starter) afterEnv(args []string) []string {
	for len(args) > 0 {
		word := args[0]
		key, value, setting := strings.Cut(word, "=")
		switch {
		case word == "--":
			return args[1:]
		case setting && !strings.HasPrefix(word, "-"):
			s.env[key] = value
		case word == "-u" && len(args) > 1:
			delete(s.env, args[1])
			args = args[1:]
		case word == "-i" || word == "-":
			clear(s.env)
		case strings.HasPrefix(word, "-"):
			return nil // -S, -C and others
		default:
			return args
		}
		args = args[1:]
	}
	return nil
}

// afterOptions is the command line behind a starter's own options; values are the letters that take a word.
func afterOptions(args []string, values string) []string {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		if last := word[len(word)-1:]; !strings.HasPrefix(word, "--") && strings.Contains(values, last) && len(args) > 0 {
			args = args[1:]
		}
	}
	return args
}

// shellWords are the words of the one simple command that a shell is given with -c, nil for anything else. A login shell
// reads files first that may change everything.
func shellWords(args []string) []string {
	if len(args) < 2 || !strings.HasPrefix(args[0], "-") || strings.HasPrefix(args[0], "--") {
		return nil
	}
	letters := args[0][1:]
	if !strings.HasSuffix(letters, "c") || strings.Trim(letters, "ceux") != "" {
		return nil
	}
	command := args[1]
	if strings.ContainsAny(command, "|&;<>()$`\\\"'*?[]#~=%!{}\n\r") {
		return nil
	}
	words := strings.Fields(command)
	if len(words) > 0 && words[0] == "exec" {
		words = words[1:]
	}
	return words
}
