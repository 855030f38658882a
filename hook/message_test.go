package hook

import (
	"strings"
	"testing"

	"gpu-preflight/checks"
)

// refusing is a verdict that refuses for these results, of a policy that refuses what is unknown of the check u.
func refusing(results ...checks.Result) Verdict {
	for i := range results {
		if results[i].Status == "" {
			results[i].Status = checks.StatusFail
		}
	}
	return Policy{Mode: ModeEnforce, Unknown: "refuse", Checks: map[string]Setting{"u": SettingRefuse}}.decide(results)
}

func TestMessage(t *testing.T) {
	first := checks.Result{ID: "one", What: "a differs from b", Why: "CUDA fails", Fix: []string{"do x", "do y"}}
	for _, tt := range []struct {
		about string
		v     Verdict
		want  string
	}{
		{"one cause", refusing(first), "gpu-preflight refused this container: a differs from b; CUDA fails. Fix: do x, or do y [one; gpu-preflight logs]"},
		{
			"several causes", refusing(first, checks.Result{ID: "two", What: "c"}, checks.Result{ID: "three", What: "d"}),
			"gpu-preflight refused this container: a differs from b; CUDA fails. Fix: do x, or do y. Also: two, three [one; gpu-preflight logs]",
		},
		{
			"what does not refuse is not told", refusing(
				checks.Result{ID: "w", What: "w", Status: checks.StatusWarn}, checks.Result{ID: "t", What: "t", Transient: true},
				checks.Result{ID: "v", What: "v", Status: checks.StatusUnknown}, checks.Result{ID: "f", What: "f"},
			), "gpu-preflight refused this container: f [f; gpu-preflight logs]",
		},
		{
			"an unknown fact that the policy refuses, behind one that it does not", refusing(checks.Result{ID: "v", What: "v", Status: checks.StatusUnknown}, checks.Result{ID: "u", Title: "all is well", What: "not read", Status: checks.StatusUnknown}),
			"gpu-preflight refused this container: the policy refuses what is unknown: whether all is well (not read) [u; gpu-preflight logs]",
		},
		{"nothing to tell", refusing(), "gpu-preflight refused this container [gpu-preflight logs]"},
		{
			"foreign text", refusing(checks.Result{ID: "f", What: "a\nb\tc\x00\x1b[31mé\xff\u2028"}),
			"gpu-preflight refused this container: a b c??[31m??? [f; gpu-preflight logs]",
		},
		{
			"docker's words", refusing(checks.Result{ID: "f", What: "Permission Denied, NO SUCH FILE OR DIRECTORY", Why: "x is a directory", Fix: []string{"executable file not found"}}),
			"gpu-preflight refused this container: access refused, not there; x is a folder. Fix: program missing [f; gpu-preflight logs]",
		},
	} {
		if got := Message(tt.v); got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", tt.about, got, tt.want)
		}
	}
}

// TestMessageBounds: whatever the texts, the message has 900 printable ASCII bytes at most, begins with the reason,
// ends with the ID and holds none of docker's words, not even put together from two texts.
func TestMessageBounds(t *testing.T) {
	long := func(n int) string { return "REASON " + strings.Repeat("x", n) }
	many := make([]string, 200)
	for i := range many {
		many[i] = long(50)
	}
	var others []checks.Result
	for range 60 {
		others = append(others, checks.Result{ID: "another-check-with-a-long-name"})
	}
	for about, r := range map[string]checks.Result{
		"everything long":       {What: long(600), Why: long(600), Fix: many},
		"a very long reason":    {What: long(100_000)},
		"a very long why":       {What: long(100), Why: long(100_000)},
		"both":                  {What: long(5000), Why: long(5000)},
		"many fixes":            {What: long(10), Fix: many},
		"control characters":    {What: "REASON " + strings.Repeat("\x00\n", 2000)},
		"many of docker's":      {What: "REASON " + strings.Repeat("permission denied", 500)},
		"docker's, interleaved": {What: "REASON permission permission denieddenied no such file no such file or directory or directory"},
		"docker's, over a seam": {What: "REASON is a", Why: "directory", Fix: []string{"permission\ndenied"}},
		"not UTF-8":             {What: "REASON " + strings.Repeat("\xff", 5000)},
	} {
		for _, more := range [][]checks.Result{nil, others} {
			r.ID = "the-check"
			got := Message(refusing(append([]checks.Result{r}, more...)...))
			if len(got) > maxMessage {
				t.Errorf("%s: %d bytes", about, len(got))
			}
			if i := strings.Index(got, "REASON"); i < 0 || i > 200 {
				t.Errorf("%s: the reason is at %d: %s", about, i, got)
			}
			if !strings.HasSuffix(got, " [the-check; gpu-preflight logs]") {
				t.Errorf("%s: ends in %q", about, got[max(0, len(got)-60):])
			}
			if i := strings.IndexFunc(got, func(c rune) bool { return c < ' ' || c > '~' }); i >= 0 {
				t.Errorf("%s: %q at %d", about, got[i], i)
			}
			for _, w := range dockerWords {
				if strings.Contains(strings.ToLower(got), w.says) {
					t.Errorf("%s: says %q", about, w.says)
				}
			}
		}
	}
}
