package cuda

import (
	"strings"
	"sync"
)

// ChipRow is a range of PCI device ids (vendor 10de) whose GPUs have one compute capability.
type ChipRow struct {
	CC string // "8.9"
	Provenance
	ids idRange
}

var chips = sync.OnceValue(func() []ChipRow {
	return parse(chipsTSV, func(r *row) ChipRow {
		c := ChipRow{}
		if ids := r.ids(); len(ids) == 1 {
			c.ids = ids[0]
		} else {
			r.bad = true
		}
		c.CC, c.Provenance = r.text(), r.provenance()
		return c
	})
})

// Chip is the row of a GPU's PCI device id, as four hexadecimal digits. It serves hosts on which no driver runs: NVML
// knows better. ok is false for an id that is in no range, of which nothing is known.
func Chip(device string) (found ChipRow, ok bool) {
	var r row
	id := r.id(strings.ToLower(device))
	if r.bad {
		return ChipRow{}, false
	}
	return find(chips(), func(c ChipRow) bool { return c.ids.first <= id && id <= c.ids.last })
}
