package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func noNVLSM(f *Facts) { f.Host.Fabric.SubnetManager = known([]host.Process{}) }

func TestNVLSMRunning(t *testing.T) {
	testCheck(t, nvlsmRunning, []row{
		{"switches on PCI need none", nil, "skip", "on PCI"},
		{"HGX B200", hgxB200, "pass", "2102"},
		{"without nvlsm", and(hgxB200, noNVLSM), "warn", "2101|without nvlsm|ib_umad"},
		{"neither daemon", and(hgxB200, noNVLSM, func(f *Facts) {
			f.Host.Fabric.Manager = known([]host.Process{})
			f.Host.Fabric.ManagerConfig = known(map[string]string{"FABRIC_MODE": "0"})
		}), "skip", "needs a running nv-fabricmanager"},
		{"a B200 guest has no fabric of its own", and(gpus(1, b200), func(f *Facts) { f.Host.Platform.Hypervisor = known(true) }), "skip", ""},
		{"PCIe boards", gpus(2, t4), "skip", ""},
		{"from inside a container", and(hgxB200, noNVLSM, func(f *Facts) { f.Host.Platform.InitialPIDNamespace = known(false) }), "unknown", "cannot be seen"},
		{"not searched for", and(hgxB200, func(f *Facts) { f.Host.Fabric.SubnetManager = missing[[]host.Process]() }), "unknown", "time-out"},
		{"switches not known", and(hgxB200, noNVLSM, func(f *Facts) { f.Host.Fabric.Switches = missing[int]() }), "unknown", ""},
	})
}
