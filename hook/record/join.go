package record

import (
	"slices"
	"time"
)

// joinWithin is how far apart the two records of one launch may be: the engine's own work lies between them, and
// the hook's waiting for a fault that mends itself (20 s by default).
const joinWithin = time.Minute

// Joiner finds the launches that two registrations judged: the shim and, moments later, the hook of the same
// container.
type Joiner struct{ open map[string]Record }

// Repeats tells whether r says again what the shim's record said of the same launch. Records are shown in their
// order.
func (j *Joiner) Repeats(r Record) bool {
	if j.open == nil {
		j.open = map[string]Record{}
	}
	id := r.Container.ID
	if id == "" {
		return false
	}
	if r.Program == "runtime" {
		if len(j.open) > 1<<16 { // bounded whatever the log holds
			clear(j.open)
		}
		j.open[id] = Record{Time: r.Time, Verdict: r.Verdict, WouldRefuse: r.WouldRefuse, Problem: r.Problem, Results: r.Results}
		return false
	}
	first, ok := j.open[id]
	delete(j.open, id)
	apart := r.Time.Sub(first.Time)
	return ok && apart >= 0 && apart <= joinWithin && r.Verdict == first.Verdict && r.WouldRefuse == first.WouldRefuse &&
		r.Problem == first.Problem && slices.Equal(ids(r), ids(first))
}
