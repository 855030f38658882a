package record

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Target is where launches are recorded: a file, or for users without rights on the file the journal alone.
type Target struct {
	File    string // empty: none
	Journal bool   // the journal is the place, not a copy
}

// Place tells where launches are recorded. root writes the policy's file. Rootless engines do too where they may;
// else it is journald, else $XDG_STATE_HOME (default $HOME/.local/state)/gpu-preflight/launches.jsonl. Without
// any of them, the Target is empty.
func Place(policyFile string, root bool, env func(string) string) Target {
	switch {
	case root, policyFile == "", writable(policyFile):
		return Target{File: policyFile}
	case journalThere():
		return Target{Journal: true}
	}
	// The XDG base directory specification: a relative path is to be ignored.
	if state := env("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return Target{File: filepath.Join(state, "gpu-preflight", "launches.jsonl")}
	}
	if home := env("HOME"); filepath.IsAbs(home) {
		return Target{File: filepath.Join(home, ".local", "state", "gpu-preflight", "launches.jsonl")}
	}
	return Target{}
}

// Root tells whether this process is root of the machine, not of the user namespace of a rootless engine.
func Root() bool {
	if os.Geteuid() != 0 {
		return false
	}
	// user_namespaces(7): the initial namespace maps every ID to itself.
	data, err := os.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(string(data))
	return err != nil || len(fields) == 3 && fields[0] == "0" && fields[1] == "0" && fields[2] == "4294967295"
}

// writable tells whether a record can be added: to the file, or by making it in its folder.
func writable(file string) bool {
	if err := unix.Access(file, unix.W_OK); !errors.Is(err, unix.ENOENT) {
		return err == nil
	}
	return unix.Access(filepath.Dir(file), unix.W_OK) == nil
}

// Keep records a launch where Place says. Root's record goes to the journal too when journald is set and runs;
// a file that cannot be written (a full disk, a read-only one) then still leaves the journal's copy. An empty
// policyFile keeps no file.
func Keep(ctx context.Context, policyFile string, journald bool, r Record) error {
	target := Place(policyFile, Root(), os.Getenv)
	var failed error
	if target.File != "" {
		failed = Append(target.File, r)
	}
	if target.Journal || journald {
		err := Journal(ctx, r, r.Message)
		if target.Journal || !errors.Is(err, ErrNoJournal) {
			failed = errors.Join(failed, err)
		}
	}
	if target == (Target{}) && policyFile != "" {
		failed = errors.Join(failed, errors.New("record: no place to write to: "+policyFile+" is not ours, no journald, no HOME"))
	}
	return failed
}
