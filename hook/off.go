package hook

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Switch is the operator's way to let every launch pass: two files of which only stat is asked, so that nothing
// in them can be wrong. Etc holds until it is removed; Run holds until the time in its mtime and, lying in /run,
// not beyond a reboot.
type Switch struct{ Etc, Run string }

// DefaultSwitch is where this host's switch lies.
func DefaultSwitch() Switch {
	return Switch{Etc: "/etc/gpu-preflight/disabled", Run: "/run/gpu-preflight/disabled"}
}

// Below is the switch of a host whose files lie below root.
func (s Switch) Below(root string) Switch {
	return Switch{Etc: filepath.Join(root, s.Etc), Run: filepath.Join(root, s.Run)}
}

// Off tells whether launches pass unjudged now.
func (s Switch) Off(now time.Time) bool {
	off, _ := s.State(now)
	return off
}

// State tells whether launches pass unjudged now, and until when; the zero time means until TurnOn. A file
// that cannot be seen and one that has expired count as absent.
func (s Switch) State(now time.Time) (off bool, until time.Time) {
	if _, err := os.Stat(s.Etc); err == nil {
		return true, time.Time{}
	}
	if info, err := os.Stat(s.Run); err == nil && info.ModTime().After(now) {
		return true, info.ModTime()
	}
	return false, time.Time{}
}

// TurnOff lets every launch pass until now + d, or with d = 0 until TurnOn.
func (s Switch) TurnOff(now time.Time, d time.Duration) error {
	if d == 0 {
		return touch(s.Etc)
	}
	if err := touch(s.Run); err != nil {
		return err
	}
	until := now.Add(d)
	return os.Chtimes(s.Run, until, until)
}

// TurnOn judges launches again. That nothing was switched off is no error.
func (s Switch) TurnOn() error {
	var errs []error
	for _, file := range []string{s.Etc, s.Run} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// touch makes an empty file, which every account may stat.
func touch(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make the folder of %s: %w", file, err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
