package register

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// stateFolder holds a file for each engine that is registered.
const stateFolder = "/var/lib/gpu-preflight/register"

// state is what taking a registration out has to know.
type state struct {
	Engine string      `json:"engine"`
	Prefix string      `json:"prefix"`
	Shims  []Shim      `json:"shims,omitempty"`
	Files  []stateFile `json:"files"`

	Restart []string `json:"restart,omitempty"`
}

// stateFile is one file that was changed.
type stateFile struct {
	Path   string   `json:"path"`
	Before []byte   `json:"before"` // null: it was absent
	After  []string `json:"after"`  // SHA-256 of each form that we gave it since
}

func statePath(engine string) string { return stateFolder + "/" + engine + ".json" }

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// wrote says whether these bytes are a form that we gave the file.
func (f stateFile) wrote(data []byte) bool { return slices.Contains(f.After, hashOf(data)) }

// own adds a form that we are about to give the file.
func (f *stateFile) own(data []byte) {
	if !f.wrote(data) {
		f.After = append(f.After, hashOf(data))
	}
}

// lock keeps others from registering or unregistering at the same time; systemd units do so too.
func lock(s Site) (unlock func(), err error) {
	here, err := s.at(stateFolder)
	if err != nil {
		return nil, err
	}
	if err = os.MkdirAll(here, 0o755); err != nil {
		return nil, err
	}
	dir, err := os.Open(here)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", stateFolder, err), dir.Close())
	}
	return func() { _ = dir.Close() }, nil
}

// readState returns nil where the engine is not registered.
func readState(s Site, engine string) (*state, error) {
	data, _, err := s.read(statePath(engine))
	if err != nil || data == nil {
		return nil, err
	}
	st := &state{}
	if err := json.Unmarshal(data, st); err != nil {
		return nil, fmt.Errorf("%s: %w", statePath(engine), err)
	}
	return st, nil
}

// writeState replaces the engine's state; nil takes it away.
func writeState(s Site, engine string, st *state) error {
	path := statePath(engine)
	before, _, err := s.read(path)
	if err != nil {
		return err
	}
	edit := Edit{Path: path, Before: before, Mode: 0o600}
	if st != nil {
		if edit.After, err = json.MarshalIndent(st, "", "  "); err != nil {
			return err
		}
		edit.After = append(edit.After, '\n')
	}
	if st == nil && before == nil {
		return nil
	}
	return s.replace(edit)
}

// add takes edits that are about to be written into the state. What we gave a file before is still ours; where
// somebody changed it since, what it would be without us is what it goes back to.
func (st *state) add(e Engine, edits []Edit) error {
	at := 0 // a file's place is before those that name it: they change back first
	for _, edit := range edits {
		n := slices.IndexFunc(st.Files, func(f stateFile) bool { return f.Path == edit.Path })
		if n >= 0 {
			at = n + 1
		}
		if n >= 0 && st.Files[n].wrote(edit.Before) && edit.Before != nil {
			st.Files[n].own(edit.After)
			continue
		}
		before := edit.Before
		if before != nil {
			var err error
			if before, err = e.Strip(edit.Path, edit.Before); err != nil {
				return fmt.Errorf("%s: %w", edit.Path, err)
			}
		}
		file := stateFile{Path: edit.Path, Before: before, After: []string{hashOf(edit.After)}}
		if n < 0 {
			st.Files = slices.Insert(st.Files, at, file)
			at++
		} else {
			st.Files[n] = file
		}
	}
	return nil
}
