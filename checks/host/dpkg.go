package host

import (
	"context"
	"slices"
	"strings"

	"gpu-preflight/checks/fact"
)

// extendedStates says which packages apt brought for others; what it does not name was installed by hand
// (apt-mark(8)).
const extendedStates = "/var/lib/apt/extended_states"

// readDpkg reads the database below the root with dpkg-query, and what the local lists offer with apt-cache.
func readDpkg(ctx context.Context, o Options, t tree, f *Facts) (fact.Fact[[]Package], fact.Fact[[]Candidate]) {
	const asked = "dpkg-query"
	query := []string{"--admindir=" + o.Root + "/var/lib/dpkg", "-W", "-f"}
	lines, why := runTool(ctx, o, asked, append(slices.Clip(query), "${Package}\t${Architecture}\t${Version}\t${db:Status-Abbrev}\n")...)
	if why != "" {
		return fact.Missing[[]Package](asked, why), fact.Missing[[]Candidate](asked, why)
	}
	auto := t.autoInstalled()
	found := []Package{}
	for _, line := range lines {
		if p, ok := dpkgPackage(strings.Split(line, "\t")); ok {
			p.Manual = auto.Known() && !slices.Contains(auto.Value, p.Name) && p.State == "ii"
			found = append(found, p)
		}
	}
	sortPackages(found)
	addDepends(ctx, o, found, query)
	if len(f.PCI.Value) == 0 && !slices.ContainsFunc(found, func(p Package) bool { return strings.Contains(p.Name, "nvidia") }) {
		return fact.Of(found, asked), fact.Missing[[]Candidate]("apt-cache madison", "not asked: nothing of NVIDIA's is here")
	}
	return fact.Of(found, asked), offered(ctx, o, t, found)
}

// addDepends asks what the metapackages pull. Of all packages it would be more than a child may say.
func addDepends(ctx context.Context, o Options, list []Package, query []string) {
	args := append(slices.Clip(query), "${Package}\t${Depends}\n")
	for _, p := range list {
		if IsMetapackage(p.Name) {
			args = append(args, p.Name)
		}
	}
	if len(args) == len(query)+1 {
		return
	}
	lines, _ := runTool(ctx, o, "dpkg-query", args...) // not known: nothing is said of what they pull
	for _, line := range lines {
		name, depends, _ := strings.Cut(line, "\t")
		for i := range list {
			if list[i].Name == name {
				list[i].Depends = cutText(depends, maxDepends)
			}
		}
	}
}

// maxDepends bounds what is kept of a metapackage's dependencies, in bytes.
const maxDepends = 600

// dpkgPackage reads one line of dpkg-query; ok is false for what is not installed in any way, or does not matter.
func dpkgPackage(fields []string) (p Package, ok bool) {
	if len(fields) < 4 || !ofStack(fields[0]) || len(fields[3]) < 2 {
		return p, false
	}
	wanted, state := fields[3][:1], fields[3][1:2]
	if state == "n" {
		return p, false
	}
	p = Package{Name: fields[0], Arch: fields[1], Version: fields[2], State: "i" + state, Held: wanted == "h"}
	if state == "c" {
		p.State = "rc"
	}
	return p, true
}

// IsMetapackage tells the packages that pin the layers of a driver to one version.
func IsMetapackage(name string) bool {
	for _, prefix := range []string{"nvidia-driver", "nvidia-headless", "cuda-drivers", "nvidia-open"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			for _, part := range []string{"-libs", "-bin", "-cuda", "-full", "-assistant", "-pinning", "-fabricmanager"} {
				if strings.HasPrefix(rest, part) {
					return false
				}
			}
			return !strings.HasPrefix(rest, "-no-dkms-") || prefix == "nvidia-headless"
		}
	}
	return false
}

func cutText(s string, limit int) string { return s[:min(len(s), limit)] }

// autoInstalled names what apt brought for other packages.
func (t tree) autoInstalled() fact.Fact[[]string] {
	data, err := t.read(extendedStates, maxCache)
	if err != nil {
		return fact.Missing[[]string](extendedStates, reason(err))
	}
	found, name := []string{}, ""
	for key, value := range pairs(string(data), ":") {
		switch {
		case key == "Package":
			name = value
		case key == "Auto-Installed" && value == "1":
			found = append(found, name)
		}
	}
	return fact.Of(found, extendedStates)
}

// aptOptions make apt-cache read the lists below a root, and build its cache in memory: nothing is written there.
func (t tree) aptOptions(root string) []string {
	options := []string{"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="}
	if root == "" {
		return options
	}
	for _, place := range []string{"Dir::State=/var/lib/apt", "Dir::State::status=/var/lib/dpkg/status", "Dir::Etc=/etc/apt"} {
		key, path, _ := strings.Cut(place, "=")
		options = append(options, "-o", key+"="+root+path)
	}
	known, _ := t.text("/var/lib/dpkg/arch") // absent where packages of one architecture alone are known
	for arch := range strings.FieldsSeq(known) {
		options = append(options, "-o", "APT::Architectures::="+arch)
	}
	return options
}

// offered asks apt-cache which versions the lists below the root offer of the packages that a fix may name.
func offered(ctx context.Context, o Options, t tree, installed []Package) fact.Fact[[]Candidate] {
	const asked = "apt-cache madison"
	options := t.aptOptions(o.Root)
	names, why := runTool(ctx, o, "apt-cache", append(options, "pkgnames")...)
	if why != "" {
		return fact.Missing[[]Candidate](asked, why)
	}
	kernels := t.kernels()
	running := t.kernel()
	ask := slices.DeleteFunc(names, func(name string) bool { return !mayBeNamed(name, kernels.Value, running.Value) })
	for _, p := range installed {
		named := strings.HasPrefix(p.Name, "libnvidia-") || mayBeNamed(p.Name, kernels.Value, running.Value)
		if p.State != "rc" && !slices.Contains(ask, p.Label()) && named {
			ask = append(ask, p.Label())
		}
	}
	if len(ask) == 0 {
		return fact.Of([]Candidate{}, asked)
	}
	slices.Sort(ask)
	lines, why := runTool(ctx, o, "apt-cache", slices.Concat(options, []string{"madison"}, ask)...)
	if why != "" {
		return fact.Missing[[]Candidate](asked, why)
	}
	found := []Candidate{}
	for _, line := range lines {
		fields := strings.Split(line, "|")
		if len(fields) == 3 {
			found = append(found, Candidate{strings.TrimSpace(fields[0]), strings.TrimSpace(fields[1]), cutText(strings.TrimSpace(fields[2]), 200)})
		}
	}
	return fact.Of(found, asked)
}

// mayBeNamed keeps the packages that a fix may name: the driver's and the fabric's, and of those tied to a kernel
// the ones for kernels that are here.
func mayBeNamed(name string, kernels []Kernel, running string) bool {
	tied := strings.HasPrefix(name, "linux-modules-nvidia-") || strings.HasPrefix(name, "linux-headers-") || strings.HasPrefix(name, "linux-modules-extra-")
	if !tied {
		for _, prefix := range []string{"nvidia-driver", "nvidia-headless", "nvidia-dkms", "nvidia-open", "nvidia-utils", "nvidia-fabricmanager", "nvidia-imex", "cuda-drivers", "libnvidia-compute", "libnvidia-nscq", "nvidia-container-toolkit", "nvidia-kernel", "nvlsm", "nvidia-smi"} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		return false
	}
	return running != "" && strings.HasSuffix(name, "-"+running) ||
		slices.ContainsFunc(kernels, func(k Kernel) bool { return strings.HasSuffix(name, "-"+k.Release) })
}
