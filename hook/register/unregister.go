package register

import (
	"fmt"
	"slices"
)

// Removal is what taking an engine's registration out does.
type Removal struct {
	Plan
	Prefix string   // where the shims lie
	Users  []string // containers that need our runtime's entry, which stays for them

	state *state // what remains to be known; nil: nothing
}

// Remove plans to take an engine's registration out. Files that still are as we wrote them get back the bytes they
// had; from others only our entries go. What containers need stays, unless force is given.
func Remove(s Site, e Engine, force bool) (Removal, error) {
	st, err := readState(s, e.Name)
	if err != nil {
		return Removal{}, fmt.Errorf("read the state of %s: %w", e.Name, err)
	}
	known := st != nil
	if !known {
		st = lost(s, e)
	}
	st.look(s, e)
	r := Removal{Plan: Plan{Engine: e.Name, Shims: st.Shims}, Prefix: st.Prefix}
	if e.Users != nil && !force {
		if r.Users, err = e.Users(s); err != nil {
			return Removal{}, fmt.Errorf("find the containers that name our runtime: %w", err)
		}
	}
	if err = r.plan(s, e, st); err != nil {
		return Removal{}, err
	}
	if len(r.Users) > 0 && known {
		r.state = st
	}
	if r.Restart = e.Back; r.Restart == nil {
		r.Restart = st.Restart
	}
	return r, nil
}

// plan finds the edits; the last file that was changed is the first to change back.
func (r *Removal) plan(s Site, e Engine, st *state) error {
	for i, file := range slices.Backward(st.Files) {
		edit, err := r.edit(s, e, file)
		if err != nil {
			return fmt.Errorf("%s: %w", file.Path, err)
		}
		if edit == nil {
			continue
		}
		r.Edits = append(r.Edits, *edit)
		if len(r.Users) > 0 && edit.After != nil && file.wrote(edit.Before) {
			st.Files[i].own(edit.After)
		}
	}
	return nil
}

// lost is what can be known of a registration without its state.
func lost(s Site, e Engine) *state {
	st := &state{Engine: e.Name, Prefix: s.Prefix}
	if p, err := e.Plan(s); err == nil && len(p.Edits) == 0 {
		st.Shims = p.Shims
	}
	return st
}

// look adds the files that may hold our entries though we did not write them: other tools copy what they find.
func (st *state) look(s Site, e Engine) {
	if e.Files == nil {
		return
	}
	for _, path := range e.Files(s) {
		if !slices.ContainsFunc(st.Files, func(f stateFile) bool { return f.Path == path }) {
			st.Files = append(st.Files, stateFile{Path: path})
		}
	}
}

// edit is what has to become of one file; nil: nothing.
func (r Removal) edit(s Site, e Engine, file stateFile) (*Edit, error) {
	now, mode, err := s.read(file.Path)
	if err != nil || now == nil {
		return nil, err
	}
	edit := &Edit{Path: file.Path, Before: now, Mode: mode}
	switch {
	case len(r.Users) > 0:
		edit.After, err = e.Keep(file.Path, now)
	case file.wrote(now):
		edit.After = file.Before
	default:
		edit.After, err = e.Strip(file.Path, now)
	}
	if err != nil || (edit.After != nil && string(edit.After) == string(now)) {
		return nil, err
	}
	return edit, nil
}

// Empty says that there is nothing to take out.
func (r Removal) Empty() bool { return len(r.Edits) == 0 && len(r.Shims) == 0 }

// Undo does what was planned: configuration first, then the shims, which from then on lead straight to the runtimes
// behind them, then the state.
func Undo(s Site, r Removal) error {
	unlock, err := lock(s)
	if err != nil {
		return err
	}
	defer unlock()
	s.Prefix = r.Prefix
	if r.state != nil {
		if err = writeState(s, r.Engine, r.state); err != nil {
			return fmt.Errorf("write the state of %s: %w", r.Engine, err)
		}
	}
	for _, edit := range r.Edits {
		if err = s.replace(edit); err != nil {
			return fmt.Errorf("change %s: %w", edit.Path, err)
		}
	}
	for _, shim := range r.Shims {
		if err = s.leave(shim); err != nil {
			return fmt.Errorf("let %s lead to %s: %w", s.ShimPath(shim.Name), shim.Next, err)
		}
	}
	if r.state == nil {
		if err = writeState(s, r.Engine, nil); err != nil {
			return fmt.Errorf("remove the state of %s: %w", r.Engine, err)
		}
	}
	return nil
}
