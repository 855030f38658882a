package cuda

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// LifecycleDate is the day on which the support of the branches was looked through.
const LifecycleDate = "2026-11-23"

// Support says whether something is supported, as far as that is known.
type Support int

// Supported and Unsupported are known; the zero value is not.
const (
	SupportUnknown Support = iota
	Supported
	Unsupported
)

// The kinds of driver branches. https://docs.nvidia.com/datacenter/tesla/drivers/driver-lifecycle.html
const (
	LTSB = "LTSB" // long term support branch, 3 years
	PB   = "PB"   // production branch, up to 1 year
	NFB  = "NFB"  // new feature branch, for early adopters
)

// LifecycleRow is what is known of the life of a driver branch. Dates are 2026-11-23 or 2026-11, empty where
// none is known. It serves advice: an old branch is no reason to refuse.
type LifecycleRow struct {
	Branch    int
	Type      string  // LTSB, PB, NFB, another word, or empty for unknown
	Support   Support // on LifecycleDate; unknown where the sources disagree
	Released  string
	EndOfLife string // NVIDIA's where NVIDIA gives one
	Latest    string // the newest driver of the branch that was seen
	Provenance
}

// EOL tells whether the branch was known to have reached its end of life on LifecycleDate.
func (l LifecycleRow) EOL() bool { return l.Support == Unsupported }

var lifecycles = sync.OnceValue(func() []LifecycleRow {
	return parse(lifecycleTSV, func(r *row) LifecycleRow {
		return LifecycleRow{r.int(), r.text(), r.support(), r.text(), r.text(), r.text(), r.provenance()}
	})
})

// support is the next field in the words of lifecycle.tsv and brands.tsv.
func (r *row) support() Support {
	switch r.text() {
	case "supported", "yes":
		return Supported
	case "ended", "no":
		return Unsupported
	case "disputed":
		return SupportUnknown
	default:
		r.bad = true
		return SupportUnknown
	}
}

// Lifecycle is what is known of the life of a driver branch; ok is false for one that is not in the table.
func Lifecycle(branch int) (row LifecycleRow, ok bool) {
	return find(lifecycles(), func(r LifecycleRow) bool { return r.Branch == branch })
}

// RecommendedBranch is the branch to install for CUDA v: the first of Preferred that is supported and brings v by
// itself. ok is false where no supported branch of the table brings v. It knows nothing of the GPU: see
// ArchRow.LastBranch.
func RecommendedBranch(v Version) (branch int, ok bool) {
	row, ok := find(Preferred(), func(l LifecycleRow) bool {
		brings, known := MaxCUDA(l.Branch)
		return l.Support == Supported && known && !v.IsZero() && !brings.Version.Less(v)
	})
	return row.Branch, ok
}

// Preferred are the branches in the order in which to install them: supported ones first, long term support before
// production before the rest, and within a kind the one that lives longest; then those of which the sources disagree,
// and those whose life has ended, the newest first.
func Preferred() []LifecycleRow {
	rows := slices.Clone(lifecycles())
	slices.SortStableFunc(rows, func(a, b LifecycleRow) int { return cmp.Or(cmp.Compare(b.rank(), a.rank()), a.byLife(b)) })
	return rows
}

// rank orders by support and kind.
func (l LifecycleRow) rank() int {
	switch l.Support {
	case Unsupported:
		return 0
	case SupportUnknown:
		return 1
	case Supported:
	}
	return 2 + map[string]int{LTSB: 3, PB: 2, NFB: 1}[l.Type]
}

// byLife orders two supported branches of a kind; among others the order of the table holds.
func (l LifecycleRow) byLife(o LifecycleRow) int {
	if l.Support != Supported {
		return 0
	}
	return strings.Compare(o.EndOfLife, l.EndOfLife)
}
