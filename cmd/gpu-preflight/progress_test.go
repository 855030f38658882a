package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestBar: a terminal sees how far the reading is, and nothing of it when it ends; others see nothing.
func TestBar(t *testing.T) {
	var b bytes.Buffer
	shown := &bar{w: &b}
	shown.show(5e6, 20e6)
	shown.show(6e6, 20e6) // too soon
	shown.end()
	if want := "\r[######------------------] 5 of 20 MB of layers\r\x1b[K"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	app := newApp(nil, nil, &b)
	context := cli.NewContext(app, flag.NewFlagSet("", flag.ContinueOnError), nil)
	b.Reset()
	silent := newBar(context)
	silent.show(5e6, 20e6)
	silent.end()
	if b.Len() > 0 {
		t.Errorf("%q is written to what is no terminal", b.String())
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	app.ErrWriter = terminal
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if newBar(context).w == nil {
		t.Error("no bar on a terminal")
	}
	t.Setenv("NO_COLOR", "1")
	if newBar(context).w != nil {
		t.Error("a bar in spite of NO_COLOR")
	}
}
