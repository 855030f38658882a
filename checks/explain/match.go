package explain

import "slices"

// inText finds all that a text tells, root causes first: our own refusal's checks, then in the order of the tables.
func inText(text string) []finding {
	shown := normal(text)
	small := lower(shown)
	found := fromWords(small, shown)
	for _, p := range patternRows() {
		if at := p.expr.FindStringIndex(small); at != nil {
			found = add(found, p.key, shown[at[0]:at[1]])
		}
	}
	found = slices.DeleteFunc(found, func(f finding) bool { _, known := entryOf(f.key); return !known })
	var out []finding
	for _, f := range found {
		out = add(out, f.key, f.seen)
	}
	slices.SortStableFunc(out, func(a, b finding) int {
		ra, rb := rankOf(a.key), rankOf(b.key)
		if ra.row != rb.row {
			return ra.row - rb.row
		}
		return ra.xid - rb.xid
	})
	return out
}

// rank is a place in entries.tsv; Xids stand at the row "xid", in the order of their own table.
type rank struct{ row, xid int }

func rankOf(key string) rank {
	if _, ours := checkOf(key); ours {
		return rank{row: -1}
	}
	kind, number, numbered := numberOf(key)
	var r rank
	if numbered && kind == "xid" {
		r.xid = 1 + slices.IndexFunc(xidRows(), func(x xidRow) bool { return x.number == number })
		key = "xid"
	}
	r.row = slices.IndexFunc(entryRows(), func(e entryRow) bool { return e.key == key })
	if r.row < 0 { // a code of NVML or CUDA that has no row tells least
		r.row = len(entryRows())
	}
	return r
}
