package hook

import (
	"context"
	"slices"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
)

// defaultFixTimeout is how long a launch that fails looks at how the driver was installed.
const defaultFixTimeout = 50 * time.Millisecond

// Mend gives a launch that is refused, or would be, the fixes for the way in which the driver of the host that o reads
// was installed, which is read now: a launch that starts does not pay for it. ctx bounds it.
func Mend(ctx context.Context, o host.Options, facts host.Facts, v Verdict, launch checks.Launch, p Policy) Verdict {
	if v.Verdict != Refuse && !v.WouldRefuse {
		return v
	}
	facts.Installed = host.ReadInstalled(ctx, o, facts)
	return v.withFixes(Judge(facts, launch, p).Results)
}

// withFixes takes nothing but the fixes from a second judgement.
func (v Verdict) withFixes(from []checks.Result) Verdict {
	v.Results = slices.Clone(v.Results)
	for i := range min(len(v.Results), len(from)) {
		if r := &v.Results[i]; r.ID == from[i].ID && r.Status == from[i].Status {
			r.Fix = from[i].Fix
		}
	}
	return v
}
