package host

import (
	"context"
	"slices"
	"strconv"

	"gpu-preflight/checks/fact"
)

// Source is a file that the runtime is to mount into a container.
type Source struct {
	Path  string          `json:"path"`
	There fact.Fact[bool] `json:"there,omitzero"` // links followed; a link to nothing is not there
}

// readSources looks for files in a child of its own, since what a container mounts may lie on any file system: one
// that hangs hides nothing else. They are looked for as the runtime does, never below Root.
func readSources(ctx context.Context, o Options) []Source {
	ctx, cancel := context.WithTimeout(ctx, o.NVMLTimeout)
	defer cancel()
	sources, wanted := make([]Source, len(o.Sources)), slots{}
	for i, path := range o.Sources {
		sources[i].Path = path
		wanted["source:"+strconv.Itoa(i)] = &sources[i].There
	}
	child := Child{
		Path: o.Self, Argv0: ReaderName, Args: slices.Concat([]string{"/", sourcesWord}, o.Sources), Name: "sources", RunDir: o.RunDir,
	}
	err := RunChild(ctx, child, func(data []byte) {
		if line, ok := parseLine(data); ok {
			wanted.fold(line)
		}
	})
	wanted.rest(o.ended(err))
	return sources
}

// sourcesWord tells the reader child that paths follow.
const sourcesWord = "sources"

// findSources tells which paths lead to something.
func (t tree) findSources(e *Emitter, paths []string) {
	for i, path := range paths {
		e.Emit("", "source:"+strconv.Itoa(i), t.isThere(path))
	}
}

// lacksSource tells whether a file that is to be mounted is not there.
func (f *Facts) lacksSource() bool {
	return slices.ContainsFunc(f.Sources, func(s Source) bool { return s.There.Known() && !s.There.Value })
}
