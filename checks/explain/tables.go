package explain

import (
	_ "embed" // the tables, as text
	"regexp"
	"strconv"
	"strings"
	"sync"
)

//go:embed data/entries.tsv
var entriesTSV string

//go:embed data/causes.tsv
var causesTSV string

//go:embed data/patterns.tsv
var patternsTSV string

//go:embed data/xid.tsv
var xidTSV string

//go:embed data/actions.tsv
var actionsTSV string

//go:embed data/nvml.tsv
var nvmlTSV string

//go:embed data/oldruntime.tsv
var oldRuntimeTSV string

//go:embed data/checks.tsv
var checksTSV string

type entryRow struct {
	key, layer      string
	checks          []string
	title, meaning  string // title empty: the names of CUDA's or NVML's table
	unproven        string
	confidence, src string
}

type causeRow struct{ key, cause, fix, confidence, src string }

type patternRow struct {
	key  string
	expr *regexp.Regexp
	seen string
}

type xidRow struct {
	number                int
	name, meaning, action string
	checks                []string
	confidence, src       string
}

type nvmlRow struct {
	code          int
	name, meaning string
	confidence    string
	src           string
}

// oldRow is a number that the runtime API alone had before CUDA 10.1.
type oldRow struct {
	old        int
	name       string
	today      int
	confidence string
	src        string
}

var (
	entryRows = sync.OnceValue(func() []entryRow {
		return rows(entriesTSV, 8, func(f []string) (entryRow, bool) {
			return entryRow{f[0], f[1], strings.Fields(f[2]), f[3], f[4], f[5], f[6], f[7]}, true
		})
	})
	causeRows = sync.OnceValue(func() []causeRow {
		return rows(causesTSV, 5, func(f []string) (causeRow, bool) {
			return causeRow{f[0], f[1], f[2], f[3], f[4]}, true
		})
	})
	patternRows = sync.OnceValue(func() []patternRow {
		return rows(patternsTSV, 3, func(f []string) (patternRow, bool) {
			expr, err := regexp.Compile(f[1])
			return patternRow{f[0], expr, f[2]}, err == nil
		})
	})
	xidRows = sync.OnceValue(func() []xidRow {
		return rows(xidTSV, 7, func(f []string) (xidRow, bool) {
			n, err := strconv.Atoi(f[0])
			return xidRow{n, f[1], f[2], f[3], strings.Fields(f[4]), f[5], f[6]}, err == nil
		})
	})
	// An action is a cause whose key is the action.
	actionRows = sync.OnceValue(func() []causeRow {
		return rows(actionsTSV, 5, func(f []string) (causeRow, bool) {
			return causeRow{f[0], f[1], f[2], f[3], f[4]}, true
		})
	})
	nvmlRows = sync.OnceValue(func() []nvmlRow {
		return rows(nvmlTSV, 5, func(f []string) (nvmlRow, bool) {
			n, err := strconv.Atoi(f[0])
			return nvmlRow{n, f[1], f[2], f[3], f[4]}, err == nil
		})
	})
	oldRows = sync.OnceValue(func() []oldRow {
		return rows(oldRuntimeTSV, 5, func(f []string) (oldRow, bool) {
			old, err := strconv.Atoi(f[0])
			today, err2 := strconv.Atoi(f[2])
			return oldRow{old, f[1], today, f[3], f[4]}, err == nil && err2 == nil
		})
	})
	// checkRows lead from a check to the entry that has its causes.
	checkRows = sync.OnceValue(func() map[string]string {
		lead := map[string]string{}
		for _, f := range rows(checksTSV, 2, func(f []string) ([]string, bool) { return f, true }) {
			lead[f[0]] = f[1]
		}
		return lead
	})
)

// rows reads the lines of a table, "-" as nothing. A line that cannot be read is left out; the tests want every line
// read.
func rows[T any](table string, columns int, read func(fields []string) (T, bool)) []T {
	var out []T
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "\t")
		for i := range fields {
			if fields[i] == "-" {
				fields[i] = ""
			}
		}
		if len(fields) != columns {
			continue
		}
		if row, ok := read(fields); ok {
			out = append(out, row)
		}
	}
	return out
}
