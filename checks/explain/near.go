package explain

import (
	"fmt"
	"slices"
	"strings"

	"gpu-preflight/checks"
	"gpu-preflight/checks/cuda"
)

// Words are the words that Text knows: checks, the names of CUDA's and NVML's errors, Xids, and the keys of messages.
func Words() []string {
	var list []string
	for _, c := range checks.All() {
		list = append(list, c.ID)
	}
	for _, r := range cuda.Errors() {
		if r.Driver != "" {
			list = append(list, r.Driver)
		}
		list = append(list, r.Runtime)
	}
	for _, r := range nvmlRows() {
		list = append(list, r.name)
	}
	for _, r := range entryRows() {
		if _, _, numbered := numberOf(r.key); !numbered {
			list = append(list, r.key)
		}
	}
	for _, r := range xidRows() {
		list = append(list, fmt.Sprintf("xid-%d", r.number))
	}
	return list
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
