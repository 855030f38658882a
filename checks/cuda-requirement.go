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
	After: []string{"driver-loaded"},
	Run: func(f Facts) Result {
		declared := f.Launch.Needs.Declared
		if len(declared.Requirements) == 0 {
			return skip("the image declares no NVIDIA_REQUIRE_*")
		}
		worst := pass("every requirement is met")
		for _, r := range declared.Requirements {
			if got := f.judgeRequirement(r); rank(got.Status) > rank(worst.Status) {
				worst = got
			}
		}
		worst.Need = true
		return worst.from(f.Host.NVML.CUDA.Source)
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
	for _, facts := range sets {
		out, unmet, why := satisfy(r, facts)
		switch {
		case out == invalid:
			return unknown("%s cannot be read: %s", r.Name, why)
		case out == unsatisfied && f.declaredMode():
			return f.unmetDeclared(r, facts, unmet)
		case out == unsatisfied:
			return f.unmetMinorVersion(r, facts, unmet)
		case facts.CUDA == "" && !meetsWithoutCUDA(r, facts):
			return unknown("%s asks for a CUDA version, and the host's is not known: %s", r.Name, f.Host.NVML.CUDA.Why())
		}
	}
	return pass("%s is met", r.Name)
}

// requireFacts are the facts of the language, one set a GPU asked for.
func (f Facts) requireFacts() []requireFacts {
	base := requireFacts{CUDA: f.Host.NVML.CUDA.Value, Driver: f.Host.NVML.Driver.Value}
	if base.Driver == "" && f.foreign() == "" {
		base.Driver = f.Host.Driver.Version.Value
	}
	var sets []requireFacts
	for _, g := range f.asked().GPUs {
		set := base
		set.Arch, set.Brand = g.Capability.Value, g.Brand.Value
		if !slices.Contains(sets, set) {
			sets = append(sets, set)
		}
	}
	if len(sets) == 0 {
		sets = append(sets, base)
	}
	return sets
}

// meetsWithoutCUDA tells whether an expression holds whatever the host's CUDA version is.
func meetsWithoutCUDA(r image.Requirement, facts requireFacts) bool {
	facts.CUDA = "0.0"
	out, _, _ := satisfy(r, facts)
	return out == satisfied
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
			because("the image's author did not mean it for this GPU")
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
			fix(newerDriver(need)...).from(v.source)
	case forward:
		return pass("%s, and it runs %s", what, v.why).from(v.source)
	case cannot:
		return fail("%s", f.shortOf(what, v)).because(insufficient+"; "+v.why, 35).
			fix(append(newerDriver(need), "use an image for CUDA "+major(v.have))...).from(v.source)
	case undecided:
	}
	if v.have.IsZero() {
		return unknown("%s: %s", what, v.why)
	}
	return warn("%s", f.shortOf(what, v)).because(insufficient+" unless forward compatibility helps: "+v.why, 35).
		fix(newerDriver(need)...).from(v.source)
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
		return newerDriver(need)
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
