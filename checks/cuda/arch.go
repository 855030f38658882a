package cuda

import (
	"strings"
	"sync"
)

// ArchRow is the range of toolkits and driver branches of a GPU architecture. Zero means not known, except for
// LastBranch. MinBranch is mostly that of the first toolkit: a GPU that NVML lists is driven, whatever it says.
type ArchRow struct {
	CC         string  // compute capability, "8.9"
	Name       string  // "Ada"
	FirstCUDA  Version // the first toolkit that compiles for it
	LastCUDA   Version // the last one; zero when Ongoing
	Ongoing    bool    // the newest toolkit still compiles for it
	MinBranch  int     // the first driver branch
	LastBranch int     // the last driver branch; 0: the newest still drives it
	Provenance
}

var archs = sync.OnceValue(func() []ArchRow {
	return parse(archTSV, func(r *row) ArchRow {
		a := ArchRow{CC: r.text(), Name: r.text(), FirstCUDA: r.version()}
		a.LastCUDA, a.Ongoing = r.last()
		a.MinBranch, a.LastBranch, a.Provenance = r.int(), r.int(), r.provenance()
		return a
	})
})

// last is the next field as the last CUDA version, or "ongoing".
func (r *row) last() (v Version, ongoing bool) {
	if strings.HasPrefix(r.rest, "ongoing\t") {
		return Version{}, r.text() != ""
	}
	return r.version(), false
}

// Arch is the row of a compute capability such as "8.9". ok is false for one that is not in the table, whether
// beyond it or between two rows.
func Arch(cc string) (row ArchRow, ok bool) {
	return find(archs(), func(r ArchRow) bool { return r.CC == cc })
}
