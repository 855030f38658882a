package image

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Carried is the environment that an unpacked image carries with it.
type Carried struct {
	Env    []string `json:"env,omitempty"`    // KEY=VALUE, the last of a key counts
	Unsure []string `json:"unsure,omitempty"` // what else decides about it, and is not followed
}

// The folders and files of Apptainer (internal/pkg/build/files, and the env scripts that its conveyors write) and of enroot
// (docker.sh writes /etc/environment, and /etc/rc that starts the program).
const (
	apptainerEnv      = "/.singularity.d/env"
	enrootEnvironment = "/etc/environment"
	enrootRC          = "/etc/rc"
)

// apptainerOwn are scripts of Apptainer itself. They set nothing that is looked at here but LD_LIBRARY_PATH, to which
// they add the folder where the host's libraries are mounted.
var apptainerOwn = []string{"01-base.sh", "94-appsbase.sh", "95-apps.sh", "99-base.sh", "99-runtimevars.sh"}

var (
	// export KEY="value", KEY=value, and Apptainer's export KEY="${KEY:-"value"}", by which the user's own variable comes
	// first. A value that a shell would change is not matched.
	shellPlain = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:export[ \t]+)?([A-Za-z_]\w*)=(?:"([^"$` + "`" + `\\]*)"|'([^']*)'|([\w./:,+@%=>~-]*))$`)
	})
	shellDefault = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^export[ \t]+([A-Za-z_]\w*)="\$\{([A-Za-z_]\w*):-"?([^"$` + "`" + `\\}]*)"?\}"$`)
	})
)

// CarriedBy reads it: a sandbox of Apptainer or Singularity, or a container of enroot; other folders carry none. Nothing
// is executed: of a shell script that does more than set variables to plain values nothing is taken, and what it names
// is dropped.
func CarriedBy(files Files) Carried {
	if names, err := files.ReadDir(apptainerEnv, maxFolders); err == nil {
		return carriedByApptainer(files, names)
	}
	var c Carried
	rc, err := files.ReadFile(enrootRC, MaxFile)
	if err != nil || !strings.Contains(string(rc), "exec ") {
		return c
	}
	text, err := files.ReadFile(enrootEnvironment, MaxFile)
	if err != nil {
		return c
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok && isName(key) {
			c.Env = append(c.Env, key+"="+value)
		}
	}
	c.Unsure = append(c.Unsure, enrootRC+": a shell script starts the program, and is not followed")
	return c
}

func carriedByApptainer(files Files, names []string) (c Carried) {
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, ".sh") || slices.Contains(apptainerOwn, name) {
			continue
		}
		file := path.Join(apptainerEnv, name)
		text, err := files.ReadFile(file, MaxFile)
		if err != nil {
			c.Unsure = append(c.Unsure, file+": "+err.Error())
			continue
		}
		if env, plain := assignments(string(text)); plain {
			c.Env = append(c.Env, env...)
			continue
		}
		c.Unsure = append(c.Unsure, file+": a shell script, which is not run")
		c.Env = slices.DeleteFunc(c.Env, func(entry string) bool {
			key, _, _ := strings.Cut(entry, "=")
			return regexp.MustCompile(`\b` + key + `\b`).MatchString(string(text))
		})
	}
	return c
}

// assignments are what a script sets; plain is false where it does more, or where a value is more than text.
func assignments(script string) (env []string, plain bool) {
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if m := shellPlain().FindStringSubmatch(line); m != nil {
			env = append(env, m[1]+"="+m[2]+m[3]+m[4])
		} else if m := shellDefault().FindStringSubmatch(line); m != nil && m[1] == m[2] {
			env = append(env, m[1]+"="+m[3])
		} else {
			return nil, false
		}
	}
	return env, true
}

func isName(key string) bool {
	return key != "" && strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
