package checks

import "slices"

// Run asks the checks in their order and returns one result each. A check whose After failed is skipped, so
// that one cause gives one finding.
func Run(f Facts, list []Check) []Result {
	results := make([]Result, 0, len(list))
	failed := map[string]bool{}
	f.joined = f.gpus()
	for _, check := range list {
		r := judge(f, check, failed)
		r.ID, r.Title, r.Layer = check.ID, check.Title, check.Layer
		if r.Status == StatusFail || r.Status == StatusWarn {
			if r.Why == "" {
				r.Why, r.CUDA = check.Why, check.CUDA
			}
		} else {
			r.Why, r.CUDA = "", nil
		}
		if r.Status == StatusFail {
			failed[check.ID] = true
			r = soften(f, r)
		}
		r.What = plain(r.What)
		results = append(results, r)
	}
	return results
}

func judge(f Facts, check Check, failed map[string]bool) Result {
	if !f.Launch.GPUs.Injected && check.ID != gpuInjected.ID {
		return skip("not asked: no GPU was put into this container")
	}
	for _, id := range check.After {
		if failed[id] {
			return skip("needs %s", id)
		}
	}
	return check.Run(f)
}

// soften turns a failure into a warning for containers that only look at GPUs: they must start on a broken
// host, to show that it is broken.
func soften(f Facts, r Result) Result {
	if observer := f.Launch.GPUs.Observer; observer != "" {
		r = r.lowered()
		r.What += " (only warned: " + observer + ")"
	}
	return r
}

// AtLaunch returns the checks that a launch is judged by and whose IDs are not in off, in the order of All.
func AtLaunch(off []string) []Check {
	return slices.DeleteFunc(All(), func(c Check) bool { return c.Doctor || slices.Contains(off, c.ID) })
}
