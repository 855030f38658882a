package register

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
)

// hookName is the program that an entry of ours runs.
const hookName = "gpu-preflight-hook"

// hookEntry is a hook as engines start it (runtime-spec, "POSIX-platform Hooks"). It has no timeout: a runtime's own
// would refuse and hide the reason.
type hookEntry struct {
	Path string   `json:"path"`
	Args []string `json:"args"`
	Env  []string `json:"env"` // what it gets and nothing else; nil: what the runtime has
}

// hookEntry is our hook with an environment of its own.
func (s Site) hookEntry() hookEntry {
	return s.launcher([]string{"PATH=/usr/bin:/bin", "GOMAXPROCS=1"}, "")
}

// userEntry is our hook with the runtime's environment: of a user without rights on the machine's log it needs the
// home.
func (s Site) userEntry() hookEntry { return s.launcher(nil, "GOMAXPROCS=1 ") }

// launcher puts the shell, where there is one, in front of our hook, so that only the hook's own refusal (exit code
// 1) refuses: where the program is missing, killed or made for another machine the container starts.
func (s Site) launcher(env []string, settings string) hookEntry {
	program := filepath.Join(s.Prefix, "bin", hookName)
	if shell := s.program("/bin/sh"); shell != "" {
		return hookEntry{Path: shell, Args: []string{"sh", "-c", settings + shellWord(program) + "; [ $? -ne 1 ]"}, Env: env}
	}
	return hookEntry{Path: program, Args: []string{hookName}, Env: env}
}

// ours says whether a hook runs our program, wherever that was installed.
func (e hookEntry) ours() bool {
	return filepath.Base(e.Path) == hookName ||
		slices.ContainsFunc(e.Args, func(arg string) bool { return strings.Contains(arg, "/bin/"+hookName) })
}

func (e hookEntry) equal(other hookEntry) bool {
	return e.Path == other.Path && slices.Equal(e.Args, other.Args) && slices.Equal(e.Env, other.Env)
}

// shellWord is a path as one word of a shell's command line.
func shellWord(path string) string {
	plain := strings.Trim(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+") == ""
	if plain {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// jsonText is a value as JSON on one line.
func jsonText(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "" // strings and lists of strings always encode
	}
	return strings.TrimSuffix(text.String(), "\n")
}
