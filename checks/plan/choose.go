package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gpu-preflight/checks/cuda"
)

// choice is what a target comes to on a host: no (why not), enough (why it is there), or a branch to install.
type choice struct {
	no, enough string
	branch     int
	open       bool
	reasons    []string
	instead    []string
	left       []gpu // GPUs that the target's CUDA has no code for
}

func (v hostView) choose(t Target) choice {
	if t.Branch != 0 {
		return v.chooseBranch(t.Branch)
	}
	return v.chooseCUDA(t.CUDA)
}

func (v hostView) chooseBranch(branch int) choice {
	if walls := v.walls(branch); len(walls) > 0 {
		return choice{no: walls[0], reasons: walls}
	}
	if v.driver.Branch() == branch && v.wrongModules() == "" {
		return choice{branch: branch, enough: "driver " + v.driver.String() + " is of that branch" + v.newer()}
	}
	c := choice{branch: branch, open: v.openModules(branch)}
	c.reasons = append(v.why(branch), v.doubts()...)
	return c
}

// chooseCUDA looks for a branch that drives every GPU here and brings the CUDA: first a supported one that brings it by
// itself, long term support before production before new features; then one whose life has ended; then one that serves
// it with the limits of minor-version compatibility.
func (v hostView) chooseCUDA(need cuda.Version) choice {
	c := choice{left: v.leftBehind(need)}
	wrong := v.wrongModules() != ""
	newest := cuda.NewestCUDA()
	switch {
	case len(c.left) > 0 && len(c.left) == len(v.gpus):
		return v.noCode(need, c)
	case !v.cuda.IsZero() && !v.cuda.Less(need) && !wrong:
		c.branch = v.driver.Branch()
		c.enough = v.gives() + v.newer()
		return c
	case newest.Less(need):
		c.no = "no branch is known that brings CUDA " + need.String() + "; the newest known brings " + newest.String()
		return c
	}
	return v.pick(need, c, !wrong && v.limited(need))
}

// pick chooses among the branches; limited tells that the driver that runs serves the CUDA with limits.
func (v hostView) pick(need cuda.Version, c choice, limited bool) choice {
	branch, ok := v.native(need)
	switch {
	case ok && limited:
		c.reasons = []string{bringing(branch), "CUDA " + need.String() + " starts on driver " + v.driver.String() + " already, " + limits}
	case ok:
		c.reasons = []string{bringing(branch)}
	case limited:
		c.branch, c.enough = v.driver.Branch(), "it starts on driver "+v.driver.String()+" "+limits+", and no branch for these GPUs brings more"
		return c
	default:
		if branch, ok = v.compatible(need); !ok {
			return v.noBranch(need, c)
		}
		c.reasons = []string{bringing(branch) + " and starts " + need.String() + " " + limits}
	}
	return v.settle(c, branch)
}

// settle takes a branch, with the reasons that are left.
func (v hostView) settle(c choice, branch int) choice {
	if row, _ := cuda.Lifecycle(branch); row.EOL() {
		c.reasons = append(c.reasons, "no supported branch does it with these GPUs")
	}
	c.branch, c.open = branch, v.openModules(branch)
	c.reasons = slices.Concat(c.reasons, v.why(branch), v.doubts())
	return c
}

func bringing(branch int) string {
	return fmt.Sprintf("branch %d brings CUDA %s", branch, brings(branch))
}

const limits = "by minor-version compatibility: without features that need a newer driver, and not PTX of a newer toolkit (error 222)"

func brings(branch int) cuda.Version {
	row, _ := cuda.MaxCUDA(branch)
	return row.Version
}

// native is the branch to install for a CUDA that it brings by itself.
func (v hostView) native(need cuda.Version) (int, bool) {
	return v.first(func(l cuda.LifecycleRow) bool { return !brings(l.Branch).Less(need) })
}

// compatible is the branch that serves a CUDA by minor-version compatibility.
func (v hostView) compatible(need cuda.Version) (int, bool) {
	rule, ok := cuda.MinDriverForMajor(need.Major)
	if !ok {
		return 0, false
	}
	return v.first(func(l cuda.LifecycleRow) bool {
		return l.Branch >= rule.Branch && brings(l.Branch).Major == need.Major
	})
}

// first is the first branch in the order of preference that fits and drives every GPU here.
func (v hostView) first(fits func(cuda.LifecycleRow) bool) (int, bool) {
	for _, l := range cuda.Preferred() {
		if fits(l) && len(v.walls(l.Branch)) == 0 {
			return l.Branch, true
		}
	}
	return 0, false
}

// limited tells whether the driver that runs serves a CUDA by minor-version compatibility.
func (v hostView) limited(need cuda.Version) bool {
	rule, ok := cuda.MinDriverForMajor(need.Major)
	return ok && !v.driver.IsZero() && v.cuda.Major == need.Major && v.driver.Compare(rule.Driver) >= 0
}

// leftBehind are the GPUs that no toolkit of this CUDA compiles for.
func (v hostView) leftBehind(need cuda.Version) []gpu {
	var left []gpu
	for _, g := range v.gpus {
		if last := g.arch.LastCUDA; !g.arch.Ongoing && !last.IsZero() && last.Less(need) {
			left = append(left, g)
		}
	}
	return left
}

func (v hostView) noCode(need cuda.Version, c choice) choice {
	last := c.left[0].arch
	for _, g := range c.left {
		if last.LastCUDA.Less(g.arch.LastCUDA) {
			last = g.arch
		}
	}
	c.no = fmt.Sprintf("CUDA %s has no code for %s, whatever the driver; the last for it is CUDA %s", need, archs(c.left), last.LastCUDA)
	c.instead = []string{"an image for CUDA " + last.LastCUDA.String() + " or older"}
	return c
}

// noBranch says which GPUs pull apart.
func (v hostView) noBranch(need cuda.Version, c choice) choice {
	row, _ := cuda.BranchFor(cuda.Version{Major: need.Major})
	wanted, _ := cuda.BranchFor(need)
	walls := v.walls(wanted)
	c.no = "no branch drives these GPUs and serves it"
	if v.mixed() {
		c.no = "no branch can do both"
		c.instead = []string{"the GPUs of each kind in a host of their own"}
	}
	if len(walls) == 0 {
		walls = v.walls(row)
	}
	if len(walls) > 0 {
		c.no += ": " + strings.Join(walls, "; ")
	}
	return c
}

// mixed tells whether GPUs of different architectures are here.
func (v hostView) mixed() bool {
	return slices.ContainsFunc(v.gpus, func(g gpu) bool { return g.arch.Name != v.gpus[0].arch.Name })
}

// walls are the reasons for which a branch cannot drive every GPU here.
func (v hostView) walls(branch int) []string {
	var walls []string
	say := func(text string) {
		if !slices.Contains(walls, text) {
			walls = append(walls, text)
		}
	}
	for _, g := range v.gpus {
		if g.arch.LastBranch != 0 && branch > g.arch.LastBranch {
			say(lastFor(g.arch))
		}
		if branch < g.arch.MinBranch {
			say(fmt.Sprintf("branch %d is the first for %s", g.arch.MinBranch, g.arch.Name))
		}
	}
	if row, ok := cuda.FabricSystem(v.fabric().generation); ok && branch < row.MinBranch {
		say(fmt.Sprintf("branch %d is the first whose Fabric Manager knows %s", row.MinBranch, row.Systems))
	}
	open, closed := v.onlyOpen(), v.onlyProprietary()
	if len(open) > 0 && len(closed) > 0 {
		say(archs(closed) + " needs the proprietary kernel modules, " + archs(open) + " the open ones")
	}
	return walls
}

func lastFor(a cuda.ArchRow) string {
	return fmt.Sprintf("branch %d is the last for %s", a.LastBranch, a.Name)
}

func (v hostView) onlyOpen() []gpu {
	return slices.DeleteFunc(slices.Clone(v.gpus), func(g gpu) bool { return !g.open })
}

func (v hostView) onlyProprietary() []gpu {
	return slices.DeleteFunc(slices.Clone(v.gpus), func(g gpu) bool { return !g.proprietary })
}

// archs names the architectures of GPUs, each once.
func archs(list []gpu) string {
	var names []string
	for _, g := range list {
		if !slices.Contains(names, g.arch.Name) {
			names = append(names, g.arch.Name)
		}
	}
	return strings.Join(names, " and ")
}

// The open modules are NVIDIA's default from branch 560.
// https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/kernel-modules.html
const openDefault = 560

func (v hostView) openModules(branch int) bool {
	return len(v.onlyOpen()) > 0 || len(v.onlyProprietary()) == 0 && branch >= openDefault
}

// why are the reasons for a branch and its modules.
func (v hostView) why(branch int) []string {
	var why []string
	switch row, _ := cuda.Lifecycle(branch); {
	case row.EOL():
		why = append(why, fmt.Sprintf("branch %d reached the end of its life (%s)", branch, row.EndOfLife))
	case row.Support == cuda.Supported && row.Type == cuda.LTSB:
		why = append(why, fmt.Sprintf("branch %d has long term support, until %s", branch, row.EndOfLife))
	case row.Support == cuda.Supported && row.Type == cuda.PB:
		why = append(why, fmt.Sprintf("branch %d is a production branch, supported until %s", branch, row.EndOfLife))
	}
	for _, g := range v.gpus {
		if last := lastFor(g.arch); g.arch.LastBranch == branch && !slices.Contains(why, last) {
			why = append(why, last)
		}
	}
	return append(why, v.whyModules()...)
}

func (v hostView) whyModules() []string {
	var why []string
	if open := v.onlyOpen(); len(open) > 0 {
		why = append(why, archs(open)+" needs the open kernel modules")
	}
	if closed := v.onlyProprietary(); len(closed) > 0 {
		why = append(why, archs(closed)+" needs the proprietary kernel modules")
	}
	if wrong := v.wrongModules(); wrong != "" {
		why = append(why, wrong)
	}
	if v.driver.IsZero() && v.facts.Driver.Version.Known() && v.by != wsl {
		why = append(why, "no driver is loaded")
	}
	return why
}

// wrongModules tells of GPUs that the loaded kernel modules do not drive.
func (v hostView) wrongModules() string {
	loaded := v.facts.Driver.Flavor.Value
	wrong := map[string][]gpu{openModules: v.onlyProprietary(), proprietaryModules: v.onlyOpen()}[loaded]
	wrong = slices.DeleteFunc(wrong, func(g gpu) bool { return g.driven })
	if len(wrong) == 0 {
		return ""
	}
	return "the " + loaded + " kernel modules that are loaded do not drive " + archs(wrong)
}

// doubts are what the choice could not look at.
func (v hostView) doubts() []string {
	var doubts []string
	if len(v.gpus) == 0 && v.by != wsl {
		doubts = append(doubts, "which GPUs are here is not known: see that the branch drives them")
	}
	for _, g := range v.gpus {
		if g.arch.CC == "" {
			doubts = append(doubts, "the architecture of "+g.String()+" is not known: see that the branch drives it")
		}
	}
	return doubts
}

// newer tells of a later driver of the branch, and of a branch that has ended.
func (v hostView) newer() string {
	row, ok := cuda.Lifecycle(v.driver.Branch())
	if !ok || v.by == wsl {
		return ""
	}
	if row.EOL() {
		return "; branch " + strconv.Itoa(row.Branch) + " reached the end of its life (" + row.EndOfLife + ")"
	}
	if latest, err := cuda.ParseDriver(row.Latest); err == nil && v.driver.Compare(latest) < 0 {
		return "; the newest of its branch that is known is " + row.Latest
	}
	return ""
}
