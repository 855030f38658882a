package cuda

import (
	"slices"
	"strings"
	"sync"
)

// Compat says what a cuda-compat package does on a driver branch.
type Compat int

// The answers of NVIDIA's matrix, and unknown for what it does not list.
// https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html
const (
	CompatUnknown   Compat = iota
	CompatYes              // C: the package serves this branch
	CompatNative           // N: the branch brings that CUDA by itself
	CompatNoPackage        // X: no package for this pair; the branch may still run it natively
)

// String is "unknown", "yes", "native" or "no package".
func (c Compat) String() string {
	switch c {
	case CompatYes:
		return "yes"
	case CompatNative:
		return "native"
	case CompatNoPackage:
		return "no package"
	default:
		return "unknown"
	}
}

// forwardRow is what one source says of the compat package of one CUDA version.
type forwardRow struct {
	version           Version
	yes, native, none []int // host branches
	Provenance
}

var forwards = sync.OnceValue(func() []forwardRow {
	return parse(forwardTSV, func(r *row) forwardRow {
		return forwardRow{r.version(), r.ints(), r.ints(), r.ints(), r.provenance()}
	})
})

// ForwardCompat says what the compat package of a CUDA version does on a host branch. What no source lists is
// CompatUnknown. A package that is at hand says it better: its libcuda carries the branches in an ELF note.
func ForwardCompat(compat Version, hostBranch int) Compat {
	for _, r := range forwards() {
		switch {
		case r.version != compat:
		case slices.Contains(r.yes, hostBranch):
			return CompatYes
		case slices.Contains(r.native, hostBranch):
			return CompatNative
		case slices.Contains(r.none, hostBranch):
			return CompatNoPackage
		}
	}
	return CompatUnknown
}

// ForwardCompatReach is the highest CUDA that a compat package is known to bring to a host branch. ok is false
// where none is known; a newer package may reach further.
func ForwardCompatReach(hostBranch int) (reach Version, ok bool) {
	for _, r := range forwards() {
		if slices.Contains(r.yes, hostBranch) && reach.Less(r.version) {
			reach = r.version
		}
	}
	return reach, !reach.IsZero()
}

type brandRow struct {
	brand   string
	support Support
	Provenance
}

var brands = sync.OnceValue(func() []brandRow {
	return parse(brandsTSV, func(r *row) brandRow { return brandRow{r.text(), r.support(), r.provenance()} })
})

// ForwardCompatBrand says whether GPUs of a brand run compat libraries. It takes NVML's words (GEFORCE_RTX,
// NVML_BRAND_TESLA), libnvidia-container's (GeForce) and those of NVIDIA_REQUIRE_CUDA (geforcertx), in any
// case. Workstation brands, of which NVIDIA supports some models, virtual ones and other words are unknown.
func ForwardCompatBrand(brand string) Support {
	word := strings.NewReplacer("_", "", " ", "", "-", "").Replace(strings.ToLower(brand))
	word = strings.TrimPrefix(strings.TrimPrefix(word, "nvml"), "brand")
	row, _ := find(brands(), func(r brandRow) bool { return r.brand == word })
	return row.support
}
