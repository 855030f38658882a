package image

import (
	"fmt"
	"path"
	"slices"
)

// Bounds of the search: entries of a site-packages folder, and signs that are told of.
const (
	maxPackages = 4096
	maxEvidence = 64
)

// Found is what was found in an image, and what could not be read.
type Found struct {
	Evidence []Evidence `json:"evidence,omitempty"`
	Unread   []string   `json:"unread,omitempty"` // each with why
}

// FindEvidence looks for signs of the CUDA that an image's software was built for. What the interpreter that the container
// starts will load is certain; where nothing is, what lies at the usual places is told, which proves nothing about what
// runs. The search opens known names in known folders; it never walks and never executes.
func FindEvidence(files Files, p Program) Found {
	f := finder{files: files, mounts: p.Mounts}
	s := newStarter(files, p)
	if interpreter, sure := s.follow(p.Args); sure {
		f.interpreter(s, interpreter)
	}
	if !slices.ContainsFunc(f.found.Evidence, func(e Evidence) bool { return e.Certain }) {
		f.usualPlaces(s)
	}
	if f.found.Evidence == nil && f.found.Unread == nil {
		f.unread(notMounted(files))
	}
	return f.found
}

type finder struct {
	files  Files
	mounts []string
	found  Found
}

// interpreter reads the packages of the Python that is started.
func (f *finder) interpreter(s *starter, p python) {
	folders, err := packageFolders(f.files, p)
	if err != nil {
		f.unread(fmt.Errorf("%s: %w", p.path, err))
		return
	}
	var all packageSet
	for _, folder := range folders.own {
		f.readPackages(folder, &all)
	}
	sure := all.sure() && !slices.ContainsFunc(folders.own, f.hidden) && !f.hasFramework(p.script) &&
		!slices.ContainsFunc(p.before, f.mayHave) && !f.userMayHave(s, p, folders.user)
	f.tell(all.finds, folders.own[0], sure)
}

// mayHave tells whether a folder that is looked into first may have a framework: its own, or what is mounted over it.
func (f *finder) mayHave(folder string) bool { return f.hidden(folder) || f.hasFramework(folder) }

// userMayHave tells it of the packages of the container's user, which lie in a folder below his base; "" for none.
func (f *finder) userMayHave(s *starter, p python, folder string) bool {
	if folder == "" || p.noUser {
		return false
	}
	bases, err := s.userBases(p)
	if err != nil {
		f.unread(fmt.Errorf("%s: %w", p.path, err))
		return true
	}
	return slices.ContainsFunc(bases, func(base string) bool { return f.mayHave(path.Join(base, folder)) })
}

func (f *finder) hidden(file string) bool { return hiddenBy(f.mounts, file) != "" }

// tell adds signs of one stack. The lowest need of a stack counts, whatever of it is used.
func (f *finder) tell(finds []located, stack string, certain bool) {
	for _, l := range finds {
		if len(f.found.Evidence) < maxEvidence {
			f.found.Evidence = append(f.found.Evidence, Evidence{Kind: l.kind, Version: l.version, Path: l.path, Certain: certain && l.framework, Stack: stack, Code: f.code(l)})
		}
	}
}

// names are those in a folder, by the alphabet; none where it is not there. What cannot be read is told.
func (f *finder) names(folder string, limit int) []string {
	names, err := f.files.ReadDir(folder, limit)
	if !absent(err) {
		f.unread(err)
	}
	slices.Sort(names)
	return names
}

// unread tells of an error, once: usual places are looked into twice.
func (f *finder) unread(err error) {
	if err == nil || len(f.found.Unread) == maxEvidence || slices.Contains(f.found.Unread, err.Error()) {
		return
	}
	f.found.Unread = append(f.found.Unread, err.Error())
}
