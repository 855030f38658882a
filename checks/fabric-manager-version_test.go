package checks

import (
	"testing"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

func managerVersion(version string) change {
	return func(f *Facts) { f.Host.Fabric.Manager.Value[0].Version = version }
}

func TestFabricManagerVersion(t *testing.T) {
	testCheck(t, fabricManagerVersion, []row{
		{"H200", nil, "pass", "570.86.15"},
		{"A100", hgxA100, "pass", "535.183.01"},
		{"B200", hgxB200, "pass", ""},
		{"the last digits differ", managerVersion("570.86.10"), "warn", "570.86.10|570.86.15"},
		{"another branch never fails", and(hgxA100, managerVersion("530.41.03")), "warn", "530.41.03|535.183.01"},
		{"not running is the other check's matter", noManager, "skip", ""},
		{"version unread", managerVersion(""), "unknown", ""},
		{"processes unread", func(f *Facts) { f.Host.Fabric.Manager = missing[[]host.Process]() }, "unknown", ""},
		{"driver unread", func(f *Facts) { f.Host.Driver.Version = missing[string]() }, "unknown", "driver"},
		{"shared NVSwitches", and(fabricMode("1"), managerVersion("570.86.10")), "warn", ""},
		{"FABRIC_MODE 2", and(fabricMode("2"), managerVersion("570.86.10")), "skip", ""},
		{"PCIe", gpus(1, t4), "skip", ""},
		{"switches unread", func(f *Facts) {
			f.Host.Fabric.Switches, f.Host.Fabric.Manager = missing[int](), fact.Fact[[]host.Process]{}
		}, "unknown", ""},
	})
}
