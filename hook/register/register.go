// Package register puts the hook or the shim in front of an engine's GPU launches, and takes them out again. It
// changes configuration files by splicing bytes, never by writing a parsed file anew.
package register

import "io/fs"

// Site is the host that is registered on.
type Site struct {
	Root    string            // the host's files are below it; empty: this host
	Prefix  string            // PREFIX/bin holds the programs, as the engines see it
	Configs map[string]string // configuration files that lie elsewhere than usual, by engine
	Method  string            // how containerd is registered; empty: as it is, else by the shim

	Ask func(program string, args ...string) ([]byte, error) // what a program of this host prints; nil: none is run

	AboveNVIDIA bool // docker: the shim also in front of NVIDIA's own runtimes

	fail func(step string) error // tests: what a write ends with, asked before it is done
}

// Edit is one file that changes.
type Edit struct {
	Path   string // as the host names it
	Before []byte // nil: it was absent
	After  []byte // nil: it goes
	Mode   fs.FileMode
}

// Shim is the folder of a registration, PREFIX/libexec/gpu-preflight/NAME: the shim as a hard link, and a file that
// names the runtime behind it.
type Shim struct {
	Name string // docker-runc
	Next string // the absolute path of the next runtime
}

// Plan is what registering one engine, or taking it out, does.
type Plan struct {
	Engine  string
	Shims   []Shim
	Edits   []Edit
	Restart []string // commands that make the engine read its files; shown, and run only when asked
	Notes   []string // what somebody has to know or do
}

// Engine is one place in which launches can be put under judgement.
type Engine struct {
	Name    string
	Present func(Site) bool                                   // it is installed here
	Plan    func(Site) (Plan, error)                          // what registering does; no edits where it is registered
	Strip   func(path string, content []byte) ([]byte, error) // take our entries out of a file that changed since; nil: it goes

	// What only some engines need; nil in the others.

	Files func(Site) []string                               // where our entries are looked for when the state was lost
	Users func(Site) ([]string, error)                      // containers that cannot start without our entry
	Keep  func(path string, content []byte) ([]byte, error) // as Strip, but what those containers need stays
	Back  []string                                          // commands after unregistering, where they are not those of Plan
}
