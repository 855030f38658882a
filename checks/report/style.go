package report

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks"
)

// Style says how text is written.
type Style struct {
	Color   bool
	Verbose bool // every result by name, with the source of its facts
}

// Terminal tells whether w is a terminal that wants colour: NO_COLOR is not set (no-color.org) and TERM is not
// dumb.
func Terminal(w io.Writer, env func(string) string) bool {
	f, ok := w.(*os.File)
	if !ok || env("NO_COLOR") != "" || env("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// The SGR parameters of ECMA-48.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	faint  = "2"
)

// Paint colours text that is fit for a terminal already.
func (s Style) Paint(color, text string) string {
	if !s.Color || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

type mark struct{ glyph, color string }

func markOf(status checks.Status) mark {
	switch status {
	case checks.StatusPass:
		return mark{"✓", green}
	case checks.StatusSkip:
		return mark{"-", faint}
	case checks.StatusUnknown:
		return mark{"?", yellow}
	case checks.StatusWarn:
		return mark{"!", yellow}
	case checks.StatusFail:
		return mark{"✗", red}
	}
	return mark{"?", ""}
}

// VerdictColor is the colour of a verdict's word, empty for none.
func VerdictColor(verdict string) string {
	switch verdict {
	case "refuse":
		return red
	case "warn":
		return yellow
	case "allow":
		return green
	}
	return ""
}
