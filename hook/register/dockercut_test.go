package register

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestDockerCutOff: register and unregister are cut off before each write. What is there then starts containers, and
// doing it again, or taking it back, ends well.
func TestDockerCutOff(t *testing.T) {
	cut := errors.New("cut off")
	for _, row := range oddDaemons {
		if !slices.Contains([]string{"absent", "empty", "CRLF", "crun", "an entry by hand"}, row.name) {
			continue
		}
		for _, undo := range []bool{false, true} {
			for _, again := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, undo %v, again %v", row.name, undo, again), func(t *testing.T) {
					for step := 0; ; step++ {
						s := dockerHost(t, row.text, nil)
						if undo {
							register(t, s)
						}
						faulty := s
						left := step
						faulty.fail = func(string) error {
							if left--; left < 0 {
								return cut
							}
							return nil
						}
						err := once(t, faulty, undo)
						checkStarts(t, s)
						if again {
							register(t, s)
							checkStarts(t, s)
						}
						unregister(t, s, false)
						if got := content(t, s, daemonFile); got != row.text {
							t.Errorf("step %d: %q, want %q", step, got, row.text)
						}
						if err == nil {
							if step < 3 {
								t.Errorf("only %d writes", step)
							}
							return
						}
						if !errors.Is(err, cut) {
							t.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// TestDockerCutOffWithContainers: where containers name our runtime, unregister may be cut off anywhere, too: the runtime
// that they name is one that starts, then and after doing it again.
func TestDockerCutOffWithContainers(t *testing.T) {
	cut := errors.New("cut off")
	for step, err := 0, cut; err != nil; step++ {
		s := dockerHost(t, "{\n  \"debug\": true\n}\n", map[string]string{"/var/lib/docker/containers/aaa/hostconfig.json": `{"Runtime": "gpu-preflight"}`})
		register(t, s)
		faulty, left := s, step
		faulty.fail = func(string) error {
			if left--; left < 0 {
				return cut
			}
			return nil
		}
		if err = once(t, faulty, true); err != nil && !errors.Is(err, cut) {
			t.Fatal(err)
		}
		if err == nil && step < 3 {
			t.Errorf("only %d writes", step)
		}
		for _, again := range []bool{false, true} {
			if again {
				unregister(t, s, false)
			}
			checkStarts(t, s)
			if !strings.Contains(content(t, s, daemonFile), `"gpu-preflight"`) {
				t.Errorf("step %d, again %v: no runtime for the container: %s", step, again, content(t, s, daemonFile))
			}
		}
	}
}

func once(t *testing.T, s Site, undo bool) error {
	t.Helper()
	if undo {
		r, err := Remove(s, docker(), false)
		if err != nil {
			t.Fatal(err)
		}
		return Undo(s, r)
	}
	p, err := docker().Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	return Apply(t.Context(), s, docker(), p)
}
