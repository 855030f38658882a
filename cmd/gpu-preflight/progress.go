package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gpu-preflight/checks/report"
)

const (
	barWidth = 24
	barEvery = 100 * time.Millisecond
)

// bar shows on a terminal how far a long reading is.
type bar struct {
	w     io.Writer // nil: nobody is looking
	shown time.Time
}

func newBar(c *cli.Context) *bar {
	if !report.Terminal(c.App.ErrWriter, os.Getenv) {
		return &bar{}
	}
	return &bar{w: c.App.ErrWriter}
}

func (b *bar) show(read, total int64) {
	if b.w == nil || time.Since(b.shown) < barEvery {
		return
	}
	b.shown = time.Now()
	const megabyte = 1e6
	done := int(barWidth * min(read, total) / max(total, 1))
	_, _ = fmt.Fprintf(b.w, "\r[%s%s] %.0f of %.0f MB of layers", strings.Repeat("#", done), strings.Repeat("-", barWidth-done),
		float64(read)/megabyte, float64(total)/megabyte)
}

// end takes the bar away.
func (b *bar) end() {
	if b.w != nil && !b.shown.IsZero() {
		_, _ = fmt.Fprint(b.w, "\r\x1b[K")
	}
}
