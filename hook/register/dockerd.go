package register

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// dockerdWords are the words that dockerd is started with, as far as files tell.
func dockerdWords(s Site) []string {
	files := []string{"/etc/default/docker", "/etc/sysconfig/docker"}
	for _, folder := range []string{"/usr/lib", "/lib", "/etc"} {
		unit := folder + "/systemd/system/docker.service"
		files = append(append(files, unit), s.list(unit+".d", "*.conf")...)
	}
	var words []string
	for _, file := range files {
		text, _, err := s.read(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
			name, value, found := strings.Cut(strings.TrimSpace(line), "=")
			if found && !strings.ContainsAny(name, "#; ") {
				words = append(words, strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune(" \t\"'", c) })...)
			}
		}
	}
	return words
}

// list returns the host's paths of the files in a folder.
func (s Site) list(folder, pattern string) []string {
	here, err := s.at(folder)
	if err != nil {
		return nil
	}
	found, _ := filepath.Glob(filepath.Join(here, pattern))
	for i, path := range found {
		found[i] = filepath.Join(folder, filepath.Base(path))
	}
	return found
}

// flagValues are the values of a flag among words, as `--flag value` or `--flag=value`.
func flagValues(words []string, flags ...string) []string {
	var values []string
	for i, word := range words {
		name, value, joined := strings.Cut(word, "=")
		switch {
		case !slices.Contains(flags, name):
		case joined:
			values = append(values, value)
		case i+1 < len(words):
			values = append(values, words[i+1])
		}
	}
	return values
}

// flagsAllow refuses to write what dockerd also has as a flag: it would not start then (moby daemon/config/config.go,
// findConfigurationConflicts).
func flagsAllow(words []string) error {
	for _, flag := range []string{"--default-runtime", "--add-runtime"} {
		if values := flagValues(words, flag); len(values) > 0 {
			return fmt.Errorf("dockerd is started with %s %s, and does not start when its file has such a key too: "+
				"move it from the flag into daemon.json first", flag, values[0])
		}
	}
	return nil
}

// dockerUsers lists the containers that name our runtime, whether docker runs or not: docker writes the runtime into
// each at its first start. One that cannot be read may name it.
func dockerUsers(s Site) ([]string, error) {
	var users []string
	for _, root := range dataRoots(s) {
		containers := filepath.Join(root, "containers")
		here, err := s.at(containers)
		if err != nil {
			return nil, err
		}
		entries, err := os.ReadDir(here)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.IsDir() && namesUs(s, filepath.Join(containers, entry.Name())) {
				users = append(users, entry.Name())
			}
		}
	}
	return users, nil
}

func namesUs(s Site, container string) bool {
	text, _, err := s.read(filepath.Join(container, "hostconfig.json"))
	if err != nil || text == nil {
		return err != nil
	}
	var config struct{ Runtime string }
	return json.Unmarshal(text, &config) != nil || config.Runtime == dockerRuntime
}

// dataRoots are the folders in which docker's containers may be.
func dataRoots(s Site) []string {
	var roots []string
	if content, _, err := s.read(dockerFile(s)); err == nil {
		if c, err := readDaemonJSON(content); err == nil {
			roots = append(roots, c.DataRoot, c.Graph)
		}
	}
	flags := []string{"--data-root", "--graph", "-g"}
	roots = append(roots, flagValues(dockerdWords(s), flags...)...)
	for _, process := range s.list("/proc", "[0-9]*") {
		text, _, err := s.read(process + "/cmdline")
		if words := strings.Split(string(text), "\x00"); err == nil && filepath.Base(words[0]) == "dockerd" {
			roots = append(roots, flagValues(words, flags...)...)
		}
	}
	roots = append(roots, "/var/lib/docker")
	slices.Sort(roots)
	return slices.DeleteFunc(slices.Compact(roots), func(path string) bool { return !filepath.IsAbs(path) })
}
