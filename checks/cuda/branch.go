package cuda

import "sync"

// BranchRow is a driver branch and the CUDA version that it brings by itself.
type BranchRow struct {
	Branch  int
	Version Version // what cuDriverGetVersion and NVML report
	Provenance
}

// branches are ascending, in branch and in version.
var branches = sync.OnceValue(func() []BranchRow {
	return parse(branchesTSV, func(r *row) BranchRow { return BranchRow{r.int(), r.version(), r.provenance()} })
})

// MaxCUDA says which CUDA a driver branch brings: 535 gives 12.2. ok is false for a branch that is not in the
// table, whether beyond it or between two rows: what it brings is unknown.
func MaxCUDA(branch int) (row BranchRow, ok bool) {
	return find(branches(), func(r BranchRow) bool { return r.Branch == branch })
}

// BranchFor is the lowest branch that is known to bring v or more by itself; see RecommendedBranch for one to
// install. ok is false where no branch of the table does, and for the zero Version.
func BranchFor(v Version) (branch int, ok bool) {
	row, ok := find(branches(), func(r BranchRow) bool { return !r.Version.Less(v) })
	return row.Branch, ok && !v.IsZero()
}

// NewestCUDA is the highest CUDA version that any branch of the table brings. What is higher may exist.
func NewestCUDA() Version {
	rows := branches()
	return rows[len(rows)-1].Version
}
