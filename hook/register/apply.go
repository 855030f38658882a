package register

import (
	"context"
	"fmt"
)

// Apply does what an engine's plan says: shims first, then the state, then the configuration. Wherever it is cut
// off, the configuration names only what is there, and doing it again, or unregistering, ends well.
func Apply(ctx context.Context, s Site, e Engine, p Plan) error {
	unlock, err := lock(s)
	if err != nil {
		return err
	}
	defer unlock()
	for _, shim := range p.Shims {
		if err = s.place(ctx, shim); err != nil {
			return fmt.Errorf("put the shim %s in place: %w", shim.Name, err)
		}
	}
	if len(p.Edits) == 0 {
		return nil
	}
	st, err := readState(s, e.Name)
	if err != nil {
		return fmt.Errorf("read the state of %s: %w", e.Name, err)
	}
	if st == nil {
		st = &state{Engine: e.Name}
	}
	st.Prefix, st.Restart = s.Prefix, p.Restart
	st.keepShims(p.Shims)
	if err = st.add(e, p.Edits); err != nil {
		return fmt.Errorf("register %s: %w", e.Name, err)
	}
	if err = writeState(s, e.Name, st); err != nil {
		return fmt.Errorf("write the state of %s: %w", e.Name, err)
	}
	for _, edit := range p.Edits {
		if err = s.replace(edit); err != nil {
			return fmt.Errorf("change %s: %w", edit.Path, err)
		}
	}
	return nil
}

// keepShims remembers every shim that a container may have been started with.
func (st *state) keepShims(shims []Shim) {
	for _, shim := range shims {
		n := 0
		for n < len(st.Shims) && st.Shims[n].Name != shim.Name {
			n++
		}
		if n == len(st.Shims) {
			st.Shims = append(st.Shims, shim)
		}
		st.Shims[n] = shim
	}
}
