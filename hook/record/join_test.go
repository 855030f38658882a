package record_test

import (
	"testing"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/hook/record"
)

func TestJoiner(t *testing.T) {
	type entry struct {
		id, program, verdict string
		after                time.Duration
		check                string
		want                 bool
	}
	rows := map[string][]entry{
		"shim and hook":                  {{id: "a", program: "runtime"}, {id: "a", program: "hook", after: time.Second, want: true}},
		"another container":              {{id: "a", program: "runtime"}, {id: "b", program: "hook"}, {id: "a", program: "hook", want: true}},
		"a container that restarts":      {{id: "a", program: "hook"}, {id: "a", program: "hook", after: time.Second}},
		"shim and hook, restarted":       {{id: "a", program: "runtime"}, {id: "a", program: "hook", want: true}, {id: "a", program: "runtime"}, {id: "a", program: "hook", want: true}},
		"the hook saw more":              {{id: "a", program: "runtime"}, {id: "a", program: "hook", verdict: "refuse"}},
		"the hook saw something else":    {{id: "a", program: "runtime", check: "x"}, {id: "a", program: "hook", check: "y"}},
		"much later":                     {{id: "a", program: "runtime"}, {id: "a", program: "hook", after: time.Hour}},
		"a clock that was set back":      {{id: "a", program: "runtime"}, {id: "a", program: "hook", after: -time.Hour}},
		"containers without an identity": {{program: "runtime"}, {program: "hook"}},
	}
	for name, entries := range rows {
		var j record.Joiner
		for i, e := range entries {
			r := launch(e.id)
			r.Program, r.Verdict, r.Time = e.program, e.verdict, r.Time.Add(e.after)
			r.Results = []checks.Result{{ID: e.check}}
			if got := j.Repeats(r); got != e.want {
				t.Errorf("%s: record %d repeats: %v, want %v", name, i, got, e.want)
			}
		}
	}
}
