package host

import (
	"slices"
	"strings"

	"gpu-preflight/checks/fact"
)

// DKMSTree is one version of one module below /var/lib/dkms.
type DKMSTree struct {
	Module  string   `json:"module"` // nvidia, nvidia-srv, nvidia-open …
	Version string   `json:"version"`
	Source  bool     `json:"source"`           // its dkms.conf can be read: without it every dkms run ends in an error
	Built   []string `json:"built,omitempty"`  // kernels that it is built for
	Failed  bool     `json:"failed,omitempty"` // a build is left half done
}

const dkmsDir = "/var/lib/dkms"

// dkms lists NVIDIA's trees; no folder is a known none. The layout is that of dkms(8):
// MODULE/VERSION/{source,build,KERNEL/ARCH/module}.
func (t tree) dkms() fact.Fact[[]DKMSTree] {
	modules, err := t.names(dkmsDir)
	if err != nil && !absent(err) {
		return fact.Missing[[]DKMSTree](dkmsDir, reason(err))
	}
	found := []DKMSTree{}
	for _, module := range modules {
		if !strings.HasPrefix(module, "nvidia") {
			continue
		}
		versions, err := t.names(dkmsDir + "/" + module)
		if err != nil {
			return fact.Missing[[]DKMSTree](dkmsDir+"/"+module, reason(err))
		}
		for _, version := range versions {
			if !isVersion(version) {
				continue // kernel-RELEASE-ARCH are links into the versions
			}
			d, err := t.dkmsTree(module, version)
			if err != nil {
				return fact.Missing[[]DKMSTree](dkmsDir+"/"+module+"/"+version, reason(err))
			}
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b DKMSTree) int {
		return strings.Compare(a.Module+" "+a.Version, b.Module+" "+b.Version)
	})
	return fact.Of(found, dkmsDir)
}

func (t tree) dkmsTree(module, version string) (DKMSTree, error) {
	d := DKMSTree{Module: module, Version: version}
	dir := dkmsDir + "/" + module + "/" + version
	var err error
	if d.Source, err = t.exists(dir + "/source/dkms.conf"); err != nil {
		return d, err
	}
	if d.Failed, err = t.exists(dir + "/build/make.log"); err != nil {
		return d, err
	}
	kernels, err := t.names(dir)
	if err != nil {
		return d, err
	}
	slices.SortFunc(kernels, CompareReleases)
	for _, kernel := range kernels {
		if kernel == "source" || kernel == "build" {
			continue
		}
		arches, err := t.names(dir + "/" + kernel)
		if err != nil && !absent(err) {
			return d, err
		}
		for _, arch := range arches {
			if names, err := t.names(dir + "/" + kernel + "/" + arch + "/module"); err == nil && len(names) > 0 {
				d.Built = append(d.Built, kernel)
			}
		}
	}
	return d, nil
}
