package register

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Registration is what became of an engine's registration.
type Registration string

// The registrations.
const (
	Registered   Registration = "registered"
	Unregistered Registration = "not registered"
	Drifted      Registration = "drift"  // a file no longer holds what was registered
	Broken       Registration = "BROKEN" // a file leads to a program that cannot start
	Unread       Registration = "unknown"
)

// EngineStatus is one engine's registration.
type EngineStatus struct {
	Engine string       `json:"engine"`
	State  Registration `json:"state"`
	What   []string     `json:"what,omitempty"` // what drifted or is broken, or has to be known
	Mend   string       `json:"mend,omitempty"` // the one command that mends it
}

// engineStatus compares what was registered with what the files hold now.
func engineStatus(s Site, e Engine) EngineStatus {
	st, err := readState(s, e.Name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return EngineStatus{Engine: e.Name, State: Unread, What: []string{"read " + statePath(e.Name) + ": not allowed; root may"}}
	case err != nil:
		return EngineStatus{Engine: e.Name, State: Drifted, What: []string{err.Error()}, Mend: "gpu-preflight unregister " + e.Name}
	case st == nil:
		return s.withoutState(e)
	}
	if st.Prefix != "" {
		s.Prefix = st.Prefix
	}
	row := EngineStatus{Engine: e.Name, State: Registered}
	if e.Name == "docker" && keptForContainers(s, st) {
		row.State = Unregistered
		row.What = []string{"the runtime's entry stays for containers that name it; gpu-preflight unregister " + e.Name + " takes it out once there are none"}
		return row
	}
	shims := s.drift(e, st, &row)
	for _, shim := range shims {
		if s.stale(shim) {
			row.What = append(row.What, s.ShimPath(shim.Name)+" is another build than "+hookName+"; "+s.command(e.Name)+" puts the present one there")
		}
	}
	for _, what := range s.faults(e, shims) {
		row.State, row.Mend = Broken, s.mend(e.Name)
		row.What = appendNew(row.What, what)
	}
	return row
}

// withoutState looks for entries whose state was lost, or that somebody made by hand.
func (s Site) withoutState(e Engine) EngineStatus {
	row := EngineStatus{Engine: e.Name, State: Unregistered}
	if e.Files == nil || !e.Present(s) {
		return row
	}
	for _, path := range e.Files(s) {
		if s.holdsOurs(e, path) {
			row.State = Registered
			row.What = append(row.What, path+" holds an entry of ours, and "+statePath(e.Name)+", which tells what was there before, is missing")
		}
	}
	return row
}

// holdsOurs says whether a file has an entry of ours.
func (s Site) holdsOurs(e Engine, path string) bool {
	now, _, err := s.read(path)
	if err != nil || now == nil {
		return false
	}
	if filepath.Base(path) == hooksFile {
		return strings.Contains(string(now), hookName)
	}
	without, err := e.Strip(path, now)
	return err == nil && string(without) != string(now)
}

// keptForContainers says whether docker is unregistered but for the entry that containers name: the file is as
// unregistering left it, and the shim stands in front of nothing.
func keptForContainers(s Site, st *state) bool {
	content, _, err := s.read(dockerFile(s))
	if err != nil || !slices.ContainsFunc(st.Files, func(f stateFile) bool { return f.Path == dockerFile(s) && f.wrote(content) }) {
		return false
	}
	c, err := readDaemonJSON(content)
	return err == nil && c.DefaultRuntime != dockerRuntime && !c.wraps()
}

// drifted records that something no longer is as it was registered.
func (row *EngineStatus) drifted(mend, what string) {
	row.State, row.Mend = Drifted, mend
	row.What = append(row.What, what)
}

// drift adds what no longer is as it was registered, and returns the shims that are called.
func (s Site) drift(e Engine, st *state, row *EngineStatus) []Shim {
	s.AboveNVIDIA = st.standsAbove()
	plan, err := e.Plan(s)
	if err != nil {
		row.drifted(s.mend(e.Name), err.Error())
		return st.Shims
	}
	for _, edit := range plan.Edits {
		what := " was rewritten without our entry"
		if edit.Before == nil {
			what = " is gone or was never written"
		} else if s.holdsOurs(e, edit.Path) {
			what = " holds another form of our entry"
		}
		row.drifted(s.mend(e.Name), edit.Path+what)
	}
	if e.Name == "docker" && len(st.Shims) > 0 && len(plan.Shims) == 0 {
		s.AboveNVIDIA = true // its default runtime is NVIDIA's now
		row.drifted(s.command(e.Name), strings.Join(append([]string{"our entry is no longer in force"}, plan.Notes...), ": "))
	}
	if row.State == Registered {
		s.changes(st, row)
	}
	// One that the plan wants anew was never put in place: nothing leads there yet.
	return slices.DeleteFunc(plan.Shims, func(shim Shim) bool { return !st.has(shim) })
}

// has says whether a registration has put a shim in place.
func (st *state) has(shim Shim) bool {
	return slices.ContainsFunc(st.Shims, func(placed Shim) bool { return placed.Name == shim.Name })
}

// changes tells of files that others changed around our entry, which is no drift.
func (s Site) changes(st *state, row *EngineStatus) {
	for _, file := range st.Files {
		if now, _, err := s.read(file.Path); err == nil && now != nil && !file.wrote(now) {
			row.What = append(row.What, file.Path+" was changed since; our entry still stands")
		}
	}
}

// stale says whether a shim is not the program that is installed.
func (s Site) stale(shim Shim) bool {
	there, err := s.at(s.ShimPath(shim.Name))
	if err != nil {
		return false
	}
	program, err := s.at(filepath.Join(s.Prefix, "bin", hookName))
	if err != nil {
		return false
	}
	one, err := os.Stat(there)
	if err != nil {
		return false
	}
	other, err := os.Stat(program)
	return err == nil && !os.SameFile(one, other) && s.shimFault(s.ShimPath(shim.Name)).text == ""
}

// faults are what is wrong with the programs that an engine's files lead to.
func (s Site) faults(e Engine, shims []Shim) []string {
	var out []string
	for _, shim := range shims {
		out = appendNew(out, s.shimFault(s.ShimPath(shim.Name)).text)
	}
	switch {
	case e.Name == "cdi", e.Name == "podman", e.Name == "crio", e.Name == "containerd" && len(shims) == 0:
		out = appendNew(out, s.programFault(filepath.Join(s.Prefix, "bin", hookName)))
	}
	return out
}
