package host

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"gpu-preflight/checks/fact"
)

// Package is one package of the driver or around it, as the package tool has it.
type Package struct {
	Name    string `json:"name"`
	Arch    string `json:"arch,omitempty"`
	Version string `json:"version"` // with epoch and release
	State   string `json:"state"`   // ii, rc, iF, iU, iH …: dpkg's letters; rpm and pacman know ii only
	Held    bool   `json:"held,omitempty"`
	Manual  bool   `json:"manual,omitempty"`  // installed by hand, not for another package
	Depends string `json:"depends,omitempty"` // of metapackages: what they pull
}

// Label is the name by which the package tool finds the package: one for 32-bit programs only with its architecture, since
// without it the machine's own is meant (dpkg, rpm).
func (p Package) Label() string {
	switch p.Arch {
	case "i386":
		return p.Name + ":i386"
	case "i686":
		return p.Name + ".i686"
	}
	return p.Name
}

// Candidate is a version of a package that the local package lists offer.
type Candidate struct {
	Name    string `json:"name"` // with the architecture as in Package.Label
	Version string `json:"version"`
	From    string `json:"from,omitempty"` // the repository
}

// toolTimeout bounds one call of a package tool.
const toolTimeout = 20 * time.Second

// packageReader reads the packages of a database, and what the local lists offer beside them.
type packageReader func(context.Context, Options, tree, *Facts) (fact.Fact[[]Package], fact.Fact[[]Candidate])

// readPackages asks the tools of the database that is there: dpkg, rpm or pacman. A host without any has none, which
// is a fact.
func readPackages(ctx context.Context, o Options, f *Facts) {
	t := newTree(o.Root)
	for _, db := range []struct {
		file string
		read packageReader
	}{
		{"/var/lib/dpkg/status", readDpkg},
		{"/var/lib/rpm", rpmIn("/var/lib/rpm")},
		{"/usr/lib/sysimage/rpm", rpmIn("/usr/lib/sysimage/rpm")},
		{"/var/lib/pacman/local", readPacman},
	} {
		there, err := t.exists(db.file)
		if err != nil {
			f.Stack.Packages = fact.Missing[[]Package](db.file, reason(err))
			return
		}
		if there {
			f.Stack.Packages, f.Stack.Available = db.read(ctx, o, t, f)
			return
		}
	}
	f.Stack.Packages = fact.Of([]Package{}, "no package database")
	f.Stack.Available = fact.Of([]Candidate{}, "no package database")
}

// tool is the path of a program of this machine; nothing below another root is ever run.
func tool(name string) (string, bool) {
	for _, dir := range []string{"/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"} {
		if there, err := (tree{}).exists(dir + name); err == nil && there {
			return dir + name, true
		}
	}
	return "", false
}

// runTool runs a program of this machine and returns its lines, or why there are none.
func runTool(ctx context.Context, o Options, name string, args ...string) (lines []string, why string) {
	path, ok := tool(name)
	if !ok {
		return nil, name + " is not on this machine"
	}
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	err := RunChild(ctx, Child{Path: path, Args: args, Name: name, RunDir: o.RunDir}, func(line []byte) {
		lines = append(lines, string(line))
	})
	if err != nil {
		return nil, err.Error()
	}
	return lines, ""
}

// ofStack tells the packages that matter: the driver's, the toolkits', kernels and their headers.
func ofStack(name string) bool {
	for _, part := range []string{"nvidia", "nvlsm", "nouveau", "libcuda1", "libnvcuvid", "fabricmanager"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	for _, prefix := range []string{"cuda", "linux-image-", "linux-headers-", "linux-modules-extra-", "linux-generic", "kernel-devel", "kernel-core", "kernel-default"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "dkms" || name == "docker-ce" || name == "kernel"
}

// rpmIn reads names, versions and architectures from the database in a folder. Below another root rpm is told where
// it lies: this machine's rpm may keep its own elsewhere.
func rpmIn(dbpath string) packageReader {
	return func(ctx context.Context, o Options, _ tree, _ *Facts) (fact.Fact[[]Package], fact.Fact[[]Candidate]) {
		args := []string{"-qa", "--qf", `%{NAME}\t%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n`}
		if o.Root != "" {
			args = append([]string{"--root", o.Root, "--dbpath", dbpath}, args...)
		}
		lines, why := runTool(ctx, o, "rpm", args...)
		if why != "" {
			return fact.Missing[[]Package]("rpm -qa", why), fact.Missing[[]Candidate]("rpm -qa", why)
		}
		found := []Package{}
		for _, line := range lines {
			fields := strings.Split(line, "\t")
			if len(fields) == 3 && ofStack(fields[0]) {
				found = append(found, Package{Name: fields[0], Arch: fields[1], Version: strings.TrimPrefix(fields[2], "0:"), State: "ii"})
			}
		}
		sortPackages(found)
		return fact.Of(found, "rpm -qa"), readDNF(ctx, o)
	}
}

// readDNF asks dnf for what its cached lists offer (-C: it fetches nothing). Below another root dnf would read this
// machine's repositories.
func readDNF(ctx context.Context, o Options) fact.Fact[[]Candidate] {
	const asked = "dnf -C repoquery"
	if o.Root != "" {
		return fact.Missing[[]Candidate](asked, "not asked below another root")
	}
	lines, why := runTool(ctx, o, "dnf", "-C", "-q", "repoquery", "--qf", "%{name}\t%{evr}\t%{reponame}\n", "*nvidia*", "cuda-drivers*", "kernel-devel*")
	if why != "" {
		return fact.Missing[[]Candidate](asked, why)
	}
	found := []Candidate{}
	for _, line := range lines {
		if fields := strings.Split(line, "\t"); len(fields) == 3 {
			found = append(found, Candidate{fields[0], fields[1], fields[2]})
		}
	}
	return fact.Of(found, asked)
}

// readPacman reads the names of the folders in its database: NAME-VERSION-RELEASE.
func readPacman(_ context.Context, _ Options, t tree, _ *Facts) (fact.Fact[[]Package], fact.Fact[[]Candidate]) {
	const dir = "/var/lib/pacman/local"
	offered := fact.Missing[[]Candidate](dir, "what the lists offer is not read")
	names, err := t.names(dir)
	if err != nil {
		return fact.Missing[[]Package](dir, reason(err)), offered
	}
	found := []Package{}
	for _, entry := range names {
		parts := strings.Split(entry, "-")
		if len(parts) < 3 {
			continue
		}
		name := strings.Join(parts[:len(parts)-2], "-")
		if ofStack(name) || name == "linux" || name == "linux-lts" || name == "linux-headers" || name == "linux-lts-headers" {
			found = append(found, Package{Name: name, Version: strings.Join(parts[len(parts)-2:], "-"), State: "ii"})
		}
	}
	sortPackages(found)
	return fact.Of(found, dir), offered
}

func sortPackages(list []Package) {
	slices.SortFunc(list, func(a, b Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch))
	})
}
