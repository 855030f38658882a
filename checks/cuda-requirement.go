package checks

import (
	"slices"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/oci/image"
)

// The image's author says in NVIDIA_REQUIRE_* what driver the software needs. NVIDIA's own hook refuses an
// unmet expression (mode declared); CDI and just-in-time CDI judge nothing (NVIDIA/nvidia-container-toolkit
// #1470), and the expressions are stricter than NVIDIA's compatibility rules, so that outside NVIDIA's hook
// only what cannot run fails (mode minor-version).
var cudaRequirement = Check{
	ID:    "cuda-requirement",
	Title: "the driver meets what the image declares (NVIDIA_REQUIRE_*)",
	Layer: Image,
	Why:   insufficient,
	CUDA:  []int{35},
	Links: []string{
		"https://github.com/NVIDIA/nvidia-container-toolkit/issues/1470",
		"https://docs.nvidia.com/deploy/cuda-compatibility/",
	},
	After:  []string{"driver-loaded"},
	Launch: true,
	Run: func(f Facts) Result {
		declared := f.Launch.Needs.Declared
		if len(declared.Requirements) == 0 {
			return skip("the image declares no NVIDIA_REQUIRE_*")
		}
		worst := f.judgeRequirement(declared.Requirements[0])
		for _, r := range declared.Requirements[1:] {
			if got := f.judgeRequirement(r); rank(got.Status) > rank(worst.Status) {
				worst = got
			}
		}
		worst.Need = true
		return worst.from(f.hostCUDA().Source)
	},
}

// insufficient is CUDA's own word for a driver that is too old.
const insufficient = `CUDA would fail with error 35, "CUDA driver version is insufficient for CUDA runtime version"`

// rank orders what several requirements or GPUs found: the worst is reported.
func rank(s Status) int {
	return slices.Index([]Status{StatusPass, StatusSkip, StatusUnknown, StatusWarn, StatusFail}, s)
}

// declaredMode tells whether an unmet expression refuses, as NVIDIA's own hook does.
func (f Facts) declaredMode() bool {
	switch f.Requirement {
	case RequirementDeclared:
		return true
	case RequirementMinorVersion:
		return false
	case RequirementAuto:
	}
	return f.Launch.GPUs.NVIDIAHook
}

// judgeRequirement evaluates one expression for every GPU asked for; all must meet it, and with no GPU known it
// is evaluated once without one (libnvidia-container, src/cli/configure.c).
func (f Facts) judgeRequirement(r image.Requirement) Result {
	sets := f.requireFacts()
	worst := f.judgeOne(r, sets[0])
	for _, one := range sets[1:] {
		if got := f.judgeOne(r, one); rank(got.Status) > rank(worst.Status) {
			worst = got
		}
	}
	return worst
}

// judgeOne evaluates an expression for one GPU. libnvidia-container takes what asks for an unknown fact as met, and so
// does mode declared; else that is unknown, or skipped where the GPU was not asked on purpose.
func (f Facts) judgeOne(r image.Requirement, one gpuRequireFacts) Result {
	out, unmet, why := satisfy(r, one.requireFacts)
	missing := one.missing(r)
	switch {
	case out == invalid:
		return unknown("%s cannot be read: %s", r.Name, why)
	case out == unsatisfied && f.declaredMode():
		return f.unmetDeclared(r, one.requireFacts, unmet)
	case out == unsatisfied:
		return f.unmetMinorVersion(r, one.requireFacts, unmet)
	case len(missing) == 0:
		return pass("%s is met", r.Name)
	case f.declaredMode() && !slices.Contains(missing, "cuda"):
		// libnvidia-container takes what asks for an unknown fact as met, and declared is its word.
		return pass("%s is met, as NVIDIA's own hook judges: %s is not known and counts as met", r.Name, list(missing))
	case slices.Contains(missing, "cuda"):
		return unknown("%s asks for a CUDA version, and the host's is not known: %s", r.Name, f.hostCUDA().Why())
	case one.notAsked != "" && !slices.Contains(missing, "driver"):
		return skip("%s asks for %s; not asked: %s", r.Name, list(missing), one.notAsked)
	}
	return unknown("%s asks for %s, which is not known of this host", r.Name, list(missing))
}

// gpuRequireFacts are the facts of the language for one GPU, and why NVML was not asked for it.
type gpuRequireFacts struct {
	requireFacts
	notAsked string
}

// requireFacts are the facts of the language, one set a GPU asked for, and at least one.
func (f Facts) requireFacts() []gpuRequireFacts {
	base := gpuRequireFacts{requireFacts: requireFacts{Driver: f.Host.NVML.Driver.Value}}
	if have := f.hostCUDA(); have.Known() {
		base.CUDA = have.Value.String()
	}
	if base.Driver == "" && f.linux() {
		base.Driver = f.Host.Driver.Version.Value
	}
	var sets []gpuRequireFacts
	for _, g := range f.asked().GPUs {
		set := base
		set.Arch, set.Brand, set.notAsked = g.Capability.Value, g.Brand.Value, g.NotAsked
		if !slices.Contains(sets, set) {
			sets = append(sets, set)
		}
	}
	if len(sets) == 0 {
		sets = append(sets, base)
	}
	return sets
}

// missing names the unknown facts that a satisfied expression rests on; none when a term holds by known facts.
func (f requireFacts) missing(r image.Requirement) []string {
	var names []string
	for _, term := range r.Terms {
		if met, _ := f.meet(term); !met {
			continue
		}
		rests := slices.DeleteFunc(slices.Clone(term.Factors), func(x image.Factor) bool { return f.named(x.Name) != "" })
		if len(rests) == 0 {
			return nil
		}
		for _, factor := range rests {
			if !slices.Contains(names, factor.Name) {
				names = append(names, factor.Name)
			}
		}
	}
	return names
}

func (f Facts) unmetDeclared(r image.Requirement, facts requireFacts, unmet []string) Result {
	res := fail("the image requires %s (%s), but this host has %s", quoted(nearest(r, facts)), r.Name, facts).
		because("the image's author declared it, and NVIDIA's own hook refuses it as well", 35)
	res.Unmet = unmet
	return res.fix(f.newerFor(r)...)
}

// unmetMinorVersion judges an unmet expression by what can run: the lowest lone cuda>=X by the three answers,
// and an expression without one by the author's word, in which brand and arch only warn.
func (f Facts) unmetMinorVersion(r image.Requirement, facts requireFacts, unmet []string) Result {
	var res Result
	if need, ok := loneCUDA(r); ok {
		res = f.byAnswer(need, "the image requires CUDA "+need.String()+" ("+r.Name+")")
	} else if anyBoard(r, facts) {
		res = warn("the image requires %s (%s), but this host has %s", quoted(nearest(r, facts)), r.Name, facts).
			because("the image's author did not mean it for this GPU").fix("use an image that is meant for this GPU")
	} else {
		res = f.unmetDeclared(r, facts, nil)
	}
	if res.Status == StatusFail && !f.wantsCompute() {
		res.Status = StatusWarn
	}
	res.Unmet = unmet
	return res
}

// byAnswer turns the answer for a need into a status.
func (f Facts) byAnswer(need cuda.Version, what string) Result {
	v := f.answerFor(need)
	switch v.answer {
	case native:
		return pass("%s, and driver %s gives %s", what, f.driverName(), v.have).from(v.source)
	case limited:
		return warn("%s", f.shortOf(what, v)).because(
			"it runs with limits (minor-version compatibility): kernels that come only as PTX of a newer CUDA end in error 222", 222).
			fix(f.newerDriver(need)...).from(v.source)
	case forward:
		return pass("%s, and it runs %s", what, v.why).from(v.source)
	case cannot:
		return fail("%s", f.shortOf(what, v)).because(insufficient+"; "+v.why, 35).
			fix(f.useThem(need)...).fix(append(f.newerDriver(need), "use an image for CUDA "+major(v.have))...).from(v.source)
	case undecided:
	}
	if v.have.IsZero() {
		return unknown("%s: %s", what, v.why)
	}
	return warn("%s", f.shortOf(what, v)).because(insufficient+" unless forward compatibility helps: "+v.why, 35).
		fix(f.useThem(need)...).fix(append(f.newerDriver(need), "use an image for CUDA "+major(v.have))...).from(v.source)
}

func major(v cuda.Version) string { return result(StatusPass, "%d", v.Major).What }

func loneCUDA(r image.Requirement) (cuda.Version, bool) {
	text, ok := lowestLoneCUDA(r)
	if !ok {
		return cuda.Version{}, false
	}
	v, err := cuda.ParseVersion(text)
	return v, err == nil
}

// anyBoard tells whether an expression would hold on another brand or architecture of GPU.
func anyBoard(r image.Requirement, facts requireFacts) bool {
	facts.Brand, facts.Arch = "", ""
	out, _, _ := satisfy(r, facts)
	return out == satisfied
}

func (f Facts) newerFor(r image.Requirement) []string {
	if need, ok := loneCUDA(r); ok {
		if lines := f.newerDriver(need); len(lines) > 0 {
			return lines
		}
	}
	return []string{"install a driver that meets it, or use an image for this host's driver"}
}

// String is the facts for a message: cuda 12.2, driver 535.183.06.
func (f requireFacts) String() string {
	text := ""
	for _, fact := range []struct{ name, value string }{
		{"cuda ", f.CUDA}, {"driver ", f.Driver}, {"arch ", f.Arch}, {"brand ", libnvidiaBrand(f.Brand)},
	} {
		switch {
		case fact.value == "":
		case text == "":
			text = fact.name + fact.value
		default:
			text += ", " + fact.name + fact.value
		}
	}
	return text
}

func quoted(term string) string { return result(StatusPass, "%+.100q", term).What }
