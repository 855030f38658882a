package register_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"testing"

	"gpu-preflight/hook/register"
	"gpu-preflight/testdata/fixture"
)

// way is one launch path of status, walked with a real engine.
type way struct {
	row  string                         // as status calls it
	bad  func(t *testing.T) launched    // starts a container that this host cannot serve
	says []string                       // what the engine's user reads of the refusal; none: the launch passes by
	more func(t *testing.T, l launched) // looks at a refusal more closely; may be nil
}

// launched is what the engine's user sees of a launch.
type launched struct {
	started bool
	said    string // all that was printed
}

// host is a host that the ways are walked on.
type host struct {
	register   func(t *testing.T) // and lets the engines read their files
	unregister func(t *testing.T) // likewise
	records    func(t *testing.T) int
	in         []string // the command that runs another one on this host; empty: none
	status     []string // the flags of gpu-preflight status that name this host
}

// walk takes each way three times: unregistered the bad launch starts; registered it is refused, with its reason and
// one record, or passes by; unregistered it starts again. Only when that evidence is there is status read, and it must
// say of each way what was seen.
func walk(t *testing.T, h host, ways []way) {
	t.Helper()
	starts := func(when string) {
		for _, w := range ways {
			n := h.records(t)
			if l := w.bad(t); !l.started {
				t.Fatalf("%s, %s: it did not start: %s", w.row, when, l.said)
			}
			if more := h.records(t) - n; more != 0 {
				t.Errorf("%s, %s: %d records", w.row, when, more)
			}
		}
	}
	starts("before registering")
	h.register(t)
	seen := map[string]register.State{}
	for _, w := range ways {
		n := h.records(t)
		l := w.bad(t)
		seen[w.row] = register.PassesBy
		if !l.started {
			seen[w.row] = register.Judged
		}
		switch {
		case l.started != (len(w.says) == 0):
			t.Errorf("%s, registered: started: %v: %s", w.row, l.started, l.said)
		case l.started:
		default:
			contains(t, l.said, w.says...)
			if more := h.records(t) - n; more != 1 {
				t.Errorf("%s: %d records of the refusal", w.row, more)
			}
			if w.more != nil {
				w.more(t, l)
			}
		}
	}
	for _, row := range h.look(t).Paths {
		state, walked := seen[row.Path]
		switch {
		case walked && row.State != state:
			t.Errorf("%s: status says %q (%s), and %q was seen", row.Path, row.State, row.Why, state)
		case walked:
			delete(seen, row.Path)
		case row.State == register.Judged:
			t.Logf("%s: status says %q, and this test has not tried it", row.Path, row.State)
		}
	}
	for row := range seen {
		t.Errorf("%s: no row of status", row)
	}
	h.unregister(t)
	starts("unregistered")
	for _, row := range h.look(t).Paths {
		if row.State == register.Judged {
			t.Errorf("%s: unregistered, and status says %q: %s", row.Path, row.State, row.Why)
		}
	}
}

// look is what the real program prints.
func (h host) look(t *testing.T) register.Status {
	t.Helper()
	args := slices.Concat(h.in, []string{fixture.Build(t, "cmd/gpu-preflight"), "status", "--format", "json"}, h.status)
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		t.Fatalf("%q: %v: %s", args, err, out)
	}
	var st register.Status
	must(t, json.Unmarshal(out, &st))
	return st
}
