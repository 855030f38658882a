package hook

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSwitch(t *testing.T) {
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	do := map[string]func(Switch) error{
		"off":    func(s Switch) error { return s.TurnOff(now, 0) },
		"off 1h": func(s Switch) error { return s.TurnOff(now, time.Hour) },
		"off 1m": func(s Switch) error { return s.TurnOff(now, time.Minute) },
		"on":     Switch.TurnOn,
	}
	rows := []struct {
		name  string
		steps []string
		after time.Duration
		off   bool
		until time.Duration // 0: no end
	}{
		{"never touched", nil, 0, false, 0},
		{"until on", []string{"off"}, 1000 * time.Hour, true, 0},
		{"for an hour, within", []string{"off 1h"}, 59 * time.Minute, true, time.Hour},
		{"for an hour, at its end", []string{"off 1h"}, time.Hour, false, 0},
		{"the last word counts", []string{"off 1h", "off 1m"}, 0, true, time.Minute},
		{"until on outlasts a time", []string{"off", "off 1m"}, 2 * time.Minute, true, 0},
		{"on removes both", []string{"off", "off 1h", "on"}, 0, false, 0},
		{"on twice", []string{"on", "on"}, 0, false, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := DefaultSwitch().Below(t.TempDir())
			for _, step := range row.steps {
				if err := do[step](s); err != nil {
					t.Fatal(err)
				}
			}
			off, until := s.State(now.Add(row.after))
			want := time.Time{}
			if row.until != 0 {
				want = now.Add(row.until)
			}
			if off != row.off || !until.Equal(want) {
				t.Errorf("off %v until %v, want %v until %v", off, until, row.off, want)
			}
			if s.Off(now.Add(row.after)) != row.off {
				t.Error("Off and State differ")
			}
		})
	}
}

// TestSwitchSaysWhatStopsIt: a folder that cannot be made is an error that names it, and switches nothing.
func TestSwitchSaysWhatStopsIt(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "etc"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := DefaultSwitch().Below(dir)
	if err := s.TurnOff(time.Now(), 0); err == nil {
		t.Error("no error")
	}
	if s.Off(time.Now()) {
		t.Error("switched off")
	}
	if got := DefaultSwitch(); got.Etc != "/etc/gpu-preflight/disabled" || got.Run != "/run/gpu-preflight/disabled" {
		t.Errorf("the host's own files: %+v", got)
	}
}
