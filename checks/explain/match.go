package explain

import (
	"slices"
	"strings"
)

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

// near are words that may have been meant, the nearest first; none for a text of many words.
func near(text string) []string {
	word := strings.Trim(lower(strings.TrimSpace(text)), "[]\"'`")
	if word == "" || len(word) > 64 || strings.Count(word, " ") > 2 {
		return nil
	}
	type candidate struct {
		word     string
		distance int
	}
	var list []candidate
	for _, w := range Words() {
		small := lower(w)
		d := distance(word, small)
		if len(word) >= 4 && strings.Contains(small, word) {
			d = min(d, 2)
		}
		if d <= max(2, len(word)/4) {
			list = append(list, candidate{w, d})
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return a.distance - b.distance })
	var out []string
	for _, c := range list[:min(len(list), 5)] {
		out = append(out, c.word)
	}
	return out
}

// distance is how many letters have to change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := last
			if a[i] != b[j] {
				change++
			}
			last = row[j+1]
			row[j+1] = min(change, last+1, row[j]+1)
		}
	}
	return row[len(b)]
}
