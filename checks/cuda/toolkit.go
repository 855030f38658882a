package cuda

import "sync"

// toolkitRow is one toolkit release and the lowest Linux driver that its release notes name.
type toolkitRow struct {
	release string // 12.4.1
	driver  Driver // zero where NVIDIA names the branch only
	branch  int
	Provenance
}

// version is the release without its third digit.
func (t toolkitRow) version() Version {
	v, _ := ParseVersion(t.release) // a test reads every release
	return v
}

var toolkits = sync.OnceValue(func() []toolkitRow {
	return parse(toolkitsTSV, func(r *row) toolkitRow { return toolkitRow{r.text(), r.driver(), r.int(), r.provenance()} })
})

// ToolkitMinDriver is the lowest Linux driver that any release of toolkit v names: 550.54.14 for 12.4, the
// figure of 12.4.0. ok is false where none is published: 12.7 (no such toolkit), 13.4 and later (the branch
// only, see BranchFor), or a toolkit that is not in the table.
func ToolkitMinDriver(v Version) (driver string, ok bool) {
	var lowest Driver
	for _, t := range toolkits() {
		if t.version() != v || t.driver.IsZero() {
			continue
		}
		if lowest.IsZero() || t.driver.Compare(lowest) < 0 {
			lowest = t.driver
		}
	}
	return lowest.String(), !lowest.IsZero()
}

// MinorVersionRule is the lowest driver on which the programs of every toolkit of a CUDA major start, with
// limits: no features that need a newer driver, and no PTX of a newer toolkit (error 222).
// https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
type MinorVersionRule struct {
	Major  int
	Branch int
	Driver Driver
	Provenance
}

var minorRules = sync.OnceValue(func() []MinorVersionRule {
	return parse(minorTSV, func(r *row) MinorVersionRule {
		return MinorVersionRule{r.int(), r.int(), r.driver(), r.provenance()}
	})
})

// MinDriverForMajor is the rule of minor-version compatibility of a CUDA major: 450.80.02 for 11. ok is false
// for majors up to 10, which have none, and for a major that is not in the table, of which nothing is known.
func MinDriverForMajor(major int) (rule MinorVersionRule, ok bool) {
	return find(minorRules(), func(r MinorVersionRule) bool { return r.Major == major })
}
