package checks

import "gpu-preflight/checks/cuda"

// A driver branch past its end of life gets no more security fixes. It drives its GPUs as before.
// https://docs.nvidia.com/datacenter/tesla/drivers/driver-lifecycle.html
var driverBranchSupported = Check{
	ID:     "driver-branch-supported",
	Title:  "NVIDIA still supports the driver's branch",
	Layer:  Kernel,
	Why:    "the branch gets no more fixes, security fixes among them",
	Links:  []string{"https://docs.nvidia.com/datacenter/tesla/drivers/driver-lifecycle.html"},
	After:  []string{"driver-loaded"},
	Doctor: true,
	Run: func(f Facts) Result {
		if why := f.foreign(); why != "" {
			return skip("%s", why)
		}
		version := f.Host.Driver.Version
		driver, err := cuda.ParseDriver(version.Value)
		switch {
		case !version.Known():
			return unknown("%s", version.Why())
		case version.Value == "":
			return skip("no driver is loaded")
		case err != nil:
			return unknown("the driver %s is none of NVIDIA's branches", version.Value)
		}
		row, ok := cuda.Lifecycle(driver.Branch())
		switch {
		case !ok || row.Support == cuda.SupportUnknown:
			return unknown("whether branch %d is supported is not known (%s)", driver.Branch(), cuda.LifecycleDate)
		case row.EOL():
			return warn("driver %s is of branch %d, whose support has ended%s", version.Value, row.Branch, inParentheses(row.EndOfLife)).
				fix("move to a supported branch that drives these GPUs; the long-term one lives longest (gpu-preflight plan --driver BRANCH)").from(version.Source)
		}
		return pass("branch %d is supported%s", row.Branch, until(row.EndOfLife)).from(version.Source)
	},
}

func until(date string) string {
	if date == "" {
		return ""
	}
	return " until " + date
}
