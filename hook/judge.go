// Package hook turns facts into a verdict on one launch: it gathers, judges, decides by the policy, tells the
// runtime and keeps the record.
package hook

import (
	"slices"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
)

// The verdicts, after the mode was applied.
const (
	Allow    = "allow"
	Warn     = "warn"
	Refuse   = "refuse"
	NotGPU   = "not-gpu"
	Exempted = "exempt"
)

// Verdict is the decision on one launch. Each result keeps its own status whatever the mode made of it.
type Verdict struct {
	Verdict     string          `json:"verdict"`
	Mode        Mode            `json:"mode"`
	WouldRefuse bool            `json:"would_refuse,omitempty"` // mode warn hid a refusal
	Reason      string          `json:"reason,omitempty"`       // why it was not judged: exempt, not a GPU launch
	Results     []checks.Result `json:"results,omitempty"`

	Refusing []string `json:"-"` // IDs of the results that refuse, in the order of the checks
}

// Judge is the one judgement that hook, shim, check, demo and fleet share: facts of the host and of the launch
// in, verdict out. It does no I/O and does not wait.
func Judge(facts host.Facts, launch checks.Launch, p Policy) Verdict {
	if p.Evidence == EvidenceOff {
		launch.Needs.Evidence, launch.Needs.Unread = nil, nil
	}
	results := p.run(facts, launch, checks.AtLaunch(p.off()))
	if launch.GPUs.Observer != "" {
		p.Unknown = "allow" // what only looks at GPUs starts on a broken host too
	}
	return p.decide(results)
}

// JudgeHost judges the host alone, for doctor: by every check that needs no container, as if one had been given all
// GPUs. The policy's mode is about launches and changes nothing here.
func JudgeHost(facts host.Facts, p Policy) Verdict {
	p.Mode = ModeEnforce
	launch := checks.Launch{GPUs: oci.GPURequest{GPU: true, Injected: true, All: true, Route: oci.RouteCDI}}
	return p.decide(p.run(facts, launch, checks.OnHost(p.off())))
}

// off are the checks that the policy leaves out.
func (p Policy) off() []string {
	var off []string
	for id, setting := range p.Checks {
		if setting == SettingOff {
			off = append(off, id)
		}
	}
	return off
}

func (p Policy) run(facts host.Facts, launch checks.Launch, list []checks.Check) []checks.Result {
	results := checks.Run(checks.Facts{Host: facts, Launch: launch, Requirement: checks.Requirement(p.Requirement)}, list)
	for i := range results {
		results[i] = p.apply(results[i], launch)
	}
	return results
}

// apply is the policy's word on one result, in the order that the documentation of [checks] gives.
func (p Policy) apply(r checks.Result, launch checks.Launch) checks.Result {
	if r.Need && r.Status == checks.StatusFail {
		r = p.applyToNeed(r, launch)
	}
	switch p.Checks[r.ID] {
	case SettingWarn:
		if r.Status == checks.StatusFail {
			r.Status = checks.StatusWarn
		}
	case SettingRefuse:
		if r.Status == checks.StatusWarn && launch.GPUs.Observer == "" {
			r.Status = checks.StatusFail
		}
	case SettingOff:
	}
	return r
}

// applyToNeed is the word on a need of the image that this host cannot serve.
func (p Policy) applyToNeed(r checks.Result, launch checks.Launch) checks.Result {
	if r.Proven && p.Evidence != EvidenceCertain {
		r.Status = checks.StatusWarn
		return r
	}
	if by := disabledBy(launch); by != "" {
		r.Status = checks.StatusWarn
		r.What += " (only warned: " + by + " is set)"
	} else if typo := launch.Needs.MisspelledDisable; typo != "" {
		r.What += " (" + typo + " does nothing: the variable is NVIDIA_DISABLE_REQUIRE)"
	}
	return r
}

func disabledBy(launch checks.Launch) string {
	switch {
	case launch.Needs.Disabled:
		return "NVIDIA_DISABLE_REQUIRE"
	case launch.GPUs.DisableRequire:
		return "disable-require of the NVIDIA Container Toolkit"
	}
	return ""
}

// decide turns the results into the verdict. A transient failure never refuses: waiting may mend it.
func (p Policy) decide(results []checks.Result) Verdict {
	v := Verdict{Verdict: Allow, Mode: p.Mode, Results: results}
	for _, r := range results {
		if p.refuses(r) {
			v.Refusing = append(v.Refusing, r.ID)
		}
	}
	refused := len(v.Refusing) > 0
	switch {
	case p.Mode == ModeOff:
	case refused && p.Mode == ModeEnforce:
		v.Verdict = Refuse
	case refused:
		v.Verdict, v.WouldRefuse = Warn, true
	case slices.ContainsFunc(results, func(r checks.Result) bool {
		return r.Status == checks.StatusWarn || r.Status == checks.StatusFail
	}):
		v.Verdict = Warn
	}
	return v
}

func (p Policy) refuses(r checks.Result) bool {
	switch r.Status {
	case checks.StatusFail:
		return !r.Transient
	case checks.StatusUnknown:
		return p.Unknown == "refuse" && p.Checks[r.ID] == SettingRefuse
	case checks.StatusPass, checks.StatusSkip, checks.StatusWarn:
	}
	return false
}

// withoutSecondLook is the verdict where nobody looked again: what would have been looked at again refuses nothing.
func (p Policy) withoutSecondLook(v Verdict) Verdict {
	if v.Verdict != Refuse && !v.WouldRefuse {
		return v
	}
	results := slices.Clone(v.Results)
	for i := range results {
		results[i].Transient = results[i].Transient || results[i].LookAgain
	}
	return p.decide(results)
}

// mayMend tells whether waiting could change the verdict: something fails, and every failure is transient or
// worth a second look.
func mayMend(results []checks.Result) bool {
	failing := 0
	for _, r := range results {
		if r.Status != checks.StatusFail {
			continue
		}
		if !r.Transient && !r.LookAgain {
			return false
		}
		failing++
	}
	return failing > 0
}
