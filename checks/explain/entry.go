package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks"
	"gpu-preflight/checks/cuda"
)

// entryOf builds the entry of a key: a check's ID, cuda-N, nvml-N, xid-N, or a message of the table.
func entryOf(key string) (Entry, bool) {
	if c, ok := checkOf(key); ok {
		return checkEntry(c), true
	}
	kind, number, numbered := numberOf(key)
	if numbered && kind == "xid" {
		return xidEntry(key, number), true
	}
	row, told := rowOf(key)
	if !told && !numbered {
		return Entry{}, false
	}
	e := Entry{
		Key: key, Title: row.title, Layer: row.layer, Meaning: row.meaning, Unproven: row.unproven,
		Checks: checksOf(row.checks), Causes: causesOf(key),
	}
	switch {
	case numbered && kind == "cuda":
		if !cudaEntry(&e, number) {
			return Entry{}, false
		}
	case numbered:
		if !nvmlEntry(&e, number) {
			return Entry{}, false
		}
	}
	e.Sources = sourcesOf(key, row.src, e.Sources)
	return e, true
}

// numberOf splits cuda-803.
func numberOf(key string) (kind string, number int, ok bool) {
	kind, digits, _ := strings.Cut(key, "-")
	if kind != "cuda" && kind != "nvml" && kind != "xid" {
		return "", 0, false
	}
	number, err := strconv.Atoi(digits)
	return kind, number, err == nil
}

func rowOf(key string) (entryRow, bool) {
	i := slices.IndexFunc(entryRows(), func(r entryRow) bool { return r.key == key })
	if i < 0 {
		return entryRow{}, false
	}
	return entryRows()[i], true
}

func checkOf(id string) (checks.Check, bool) {
	all := checks.All()
	i := slices.IndexFunc(all, func(c checks.Check) bool { return c.ID == id })
	if i < 0 {
		return checks.Check{}, false
	}
	return all[i], true
}

func checksOf(ids []string) []Check {
	var list []Check
	for _, id := range ids {
		if c, ok := checkOf(id); ok {
			list = append(list, Check{c.ID, c.Title})
		}
	}
	return list
}

func causesOf(key string) []Cause {
	var list []Cause
	for _, r := range causeRows() {
		if r.key == key {
			list = append(list, Cause{r.cause, r.fix, r.confidence})
		}
	}
	return list
}

// sourcesOf are the sources of an entry and of its causes, each once.
func sourcesOf(key, own string, more []string) []string {
	list := append([]string{own}, more...)
	for _, r := range causeRows() {
		if r.key == key {
			list = append(list, r.src)
		}
	}
	var out []string
	for _, entry := range list {
		for source := range strings.SplitSeq(entry, "; ") {
			if source != "" && source != "follows from the meaning" && !slices.Contains(out, source) {
				out = append(out, source)
			}
		}
	}
	return out
}

// checkEntry says of a check what docs/checks.md says, and the causes of the entry that the check mostly means.
func checkEntry(c checks.Check) Entry {
	mostly, _ := entryOf(checkRows()[c.ID])
	return Entry{
		Key: c.ID, Title: "the check " + c.ID + ": " + c.Title, Layer: string(c.Layer),
		Meaning: strings.ToUpper(c.Why[:1]) + c.Why[1:], CUDA: c.CUDA, After: c.After, Links: c.Links,
		Checks: []Check{{c.ID, c.Title}}, Causes: mostly.Causes,
		Unproven: foundIn(c, len(mostly.Causes) > 0),
	}
}

// foundIn says where the finding of a check stands, and its fix: a check of doctor's is in no refusal.
func foundIn(c checks.Check, caused bool) string {
	where := "the refusal and in gpu-preflight logs"
	if c.Doctor {
		where = "gpu-preflight doctor"
	}
	if !caused {
		return "what was found here, with its fix, stands in " + where
	}
	return "the causes are the usual ones; what was found here stands in " + where
}

func xidEntry(key string, number int) Entry {
	row, _ := rowOf("xid")
	e := Entry{
		Key: key, Title: fmt.Sprintf("Xid %d", number), Layer: row.layer, Meaning: row.meaning,
		Checks: checksOf(row.checks), Causes: causesOf("xid"), Unproven: row.unproven, Sources: sourcesOf("xid", row.src, nil),
	}
	i := slices.IndexFunc(xidRows(), func(x xidRow) bool { return x.number == number })
	if i < 0 {
		e.Key = "xid"
		return e
	}
	x := xidRows()[i]
	e.Title, e.Meaning = fmt.Sprintf("Xid %d, %s", number, x.name), "the driver reports: "+x.meaning
	e.Unproven = "whether hardware, driver or program is to blame: NVIDIA's catalog names what to do, not the culprit"
	e.Checks, e.Causes = checksOf(x.checks), nil
	e.Sources = []string{x.src}
	for _, a := range actionRows() {
		if a.key == x.action {
			e.Causes = append(e.Causes, Cause{a.cause, a.fix, a.confidence})
		}
	}
	return e
}

// cudaEntry puts in what the table of CUDA errors has, and the checks that name the error.
func cudaEntry(e *Entry, code int) bool {
	all := cuda.Errors()
	i := slices.IndexFunc(all, func(r cuda.ErrorRow) bool { return r.Code == code })
	if i < 0 {
		return false
	}
	row := all[i]
	names := row.Driver + ", in the runtime API " + row.Runtime
	if row.Driver == "" {
		names = row.Runtime
	}
	e.Title = fmt.Sprintf("CUDA error %d, %s: %q", code, names, row.Text)
	e.Numbers = cudaNumbers(row)
	if e.Meaning == "" {
		e.Meaning = "CUDA reports: " + row.Text
	}
	for _, c := range checks.All() {
		if slices.Contains(c.CUDA, code) && !slices.Contains(e.Checks, Check{c.ID, c.Title}) {
			e.Checks = append(e.Checks, Check{c.ID, c.Title})
		}
	}
	e.Sources = row.Titles()
	return true
}

// cudaNumbers says whose number it is.
func cudaNumbers(row cuda.ErrorRow) string {
	if row.Driver == "" {
		return "the runtime API alone has this number"
	}
	text := fmt.Sprintf("driver and runtime API both call it %d since CUDA 10.1", row.Code)
	if i := slices.IndexFunc(oldRows(), func(o oldRow) bool { return o.today == row.Code }); i >= 0 {
		text += fmt.Sprintf("; before that the runtime's number was %d", oldRows()[i].old)
	}
	return text
}

// nvmlEntry puts in the name of the code.
func nvmlEntry(e *Entry, code int) bool {
	i := slices.IndexFunc(nvmlRows(), func(r nvmlRow) bool { return r.code == code })
	if i < 0 {
		return false
	}
	row := nvmlRows()[i]
	e.Title = fmt.Sprintf("NVML code %d, %s", code, row.name)
	if e.Meaning == "" {
		e.Meaning = row.meaning
		e.Unproven = "an answer to one question of one program; alone it tells nothing about the host"
	}
	e.Sources = []string{row.src}
	return true
}
