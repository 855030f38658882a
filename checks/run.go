package checks

import (
	"slices"

	"gpu-preflight/checks/host"
	"gpu-preflight/checks/remedy"
)

// Run asks the checks in their order and returns one result each. A check whose After failed is skipped, and so is
// what comes after it, so that one cause gives one finding.
func Run(f Facts, list []Check) []Result {
	results := make([]Result, 0, len(list))
	causes := map[string]string{} // of the checks that failed or were skipped for it
	f.joined, f.mend = f.gpus(), remedy.For(f.Host)
	for _, check := range list {
		r := judge(f, check, causes)
		r.ID, r.Title, r.Layer = check.ID, check.Title, check.Layer
		if r.Status == StatusFail || r.Status == StatusWarn {
			if r.Why == "" {
				r.Why, r.CUDA = check.Why, check.CUDA
			}
		} else {
			r.Why, r.CUDA = "", nil
		}
		if r.Status == StatusFail {
			causes[check.ID] = check.ID
			r = soften(f, r)
		}
		r.What = plain(r.What)
		results = append(results, r)
	}
	return results
}

func judge(f Facts, check Check, causes map[string]string) Result {
	if !f.Launch.GPUs.Injected && check.ID != gpuInjected.ID {
		return skip("not asked: no GPU was put into this container")
	}
	for _, id := range check.After {
		if cause := causes[id]; cause != "" {
			causes[check.ID] = cause
			return skip("needs %s", cause)
		}
	}
	if !check.Linux {
		return check.Run(f)
	}
	if why := f.foreign(); why != "" {
		return skip("%s", why)
	}
	r := check.Run(f)
	if r.Status == StatusFail && !f.linux() {
		return unknown("%s, if this host has Linux's own driver, which is not known", r.What).from(r.Source...)
	}
	return r
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

// OnHost returns the checks that the host alone is judged by and whose IDs are not in off, in the order of All.
func OnHost(off []string) []Check {
	return slices.DeleteFunc(All(), func(c Check) bool { return c.Launch || slices.Contains(off, c.ID) })
}

// NothingToJudge says why there is nothing of NVIDIA's to judge on a host; empty where there is something, or where
// that is not known.
func NothingToJudge(f host.Facts) string {
	p := f.Platform
	switch {
	case !f.PCI.Known() || len(f.PCI.Value) > 0 || !f.Driver.Version.Known() || f.Driver.Version.Value != "":
		return ""
	case !p.DXG.Known() || p.DXG.Value || !p.Tegra.Known() || p.Tegra.Value || len(f.NVML.GPUs) > 0:
		return ""
	}
	return "no GPU of NVIDIA's is on the PCI bus, and no driver is loaded"
}
