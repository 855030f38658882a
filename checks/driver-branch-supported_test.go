package checks

import "testing"

func TestDriverBranchSupported(t *testing.T) {
	testCheck(t, driverBranchSupported, []row{
		{"branch 580", driver("580.95.05", "13.0"), "pass", "branch 580 is supported until 2028-06"},
		{"branch 570", nil, "warn", "570.86.15|has ended (2026-01-27)"},
		{"a branch on which the sources disagree", driver("590.48.01", "13.1"), "unknown", "590"},
		{"a branch that is in no table", driver("999.10", "13.1"), "unknown", "999"},
		{"no driver", func(f *Facts) { f.Host.Driver.Version = known("") }, "skip", "no driver"},
		{"not read", func(f *Facts) { f.Host.Driver.Version = missing[string]() }, "unknown", "time-out"},
		{"WSL's numbers are others", wsl, "skip", "WSL2"},
		{"L4T's numbers are others", and(tegra, driver("35.3.1", "11.4")), "skip", "Tegra"},
	})
}
