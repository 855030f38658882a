package plan

import (
	"slices"
	"strings"

	"gpu-preflight/checks/host"
	"gpu-preflight/checks/remedy"
)

// software is how the driver got onto the host, as far as its packages and files tell. The zero software knows nothing.
type software struct {
	remedy   remedy.Host
	known    bool     // the package database was read
	packages []string // of the driver, as they are to be taken out
	held     []string // of these
	archives []string // where they come from
	desktop  bool     // packages without -server are in charge
	prebuilt bool     // Ubuntu's signed modules are in charge
	runfile  bool     // NVIDIA's .run file installed it, and no package
}

func softwareOf(f host.Facts) software {
	r := remedy.For(f)
	s := software{remedy: r, known: f.Stack.Packages.Known(), desktop: desktop(r.Parts())}
	for _, p := range r.Parts() {
		if p.Archive != "" && !slices.Contains(s.archives, p.Archive) {
			s.archives = append(s.archives, p.Archive)
		}
	}
	for _, p := range f.Stack.Packages.Value {
		if !ofDriver(p) {
			continue
		}
		s.packages = append(s.packages, p.Name)
		if p.Held {
			s.held = append(s.held, p.Name)
		}
	}
	origin := r.ModuleOrigin()
	s.prebuilt = origin == host.OriginPrebuilt
	s.runfile = origin == host.OriginRunfile || f.Stack.Installer.Value.Uninstaller && len(s.packages) == 0
	return s
}

// has tells whether a package is there whose name begins so.
func (s software) has(prefix string) bool {
	return slices.ContainsFunc(s.packages, func(name string) bool { return strings.HasPrefix(name, prefix) })
}

// desktop tells a driver whose libraries and metapackages are all without -server.
func desktop(parts []remedy.Part) bool {
	branched := slices.DeleteFunc(slices.Clone(parts), func(p remedy.Part) bool {
		return p.Role != remedy.RoleLibrary && p.Role != remedy.RoleMeta
	})
	return len(branched) > 0 && !slices.ContainsFunc(branched, func(p remedy.Part) bool { return p.Server })
}

// ofDriver tells a package that goes with the driver: by its role, or by the driver's version. What only its settings
// are left of is taken out too. The container toolkit stays.
func ofDriver(p host.Package) bool {
	if strings.Contains(p.Name, "container") || strings.Contains(p.Name, "docker") {
		return false
	}
	installed := p
	installed.State = "ii"
	return len(remedy.Parts([]host.Package{installed})) > 0 ||
		remedy.Upstream(p.Version) != "" && (strings.Contains(p.Name, "nvidia") || strings.HasPrefix(p.Name, "libnv"))
}

// fromNVIDIA tells whether NVIDIA's repository brings the packages that are there.
func (s software) fromNVIDIA() bool {
	return len(s.archives) == 1 && s.archives[0] == remedy.ArchiveNVIDIA
}

// withheld are packages that the local lists are known not to offer. The facts tell of the driver's packages only, by
// their whole names.
func (s software) withheld(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		told := !odd(name) && (strings.Contains(name, "nvidia") || strings.HasPrefix(name, "cuda-drivers"))
		offers, known := s.remedy.Offers(name)
		return offers || !known || !told
	})
}
