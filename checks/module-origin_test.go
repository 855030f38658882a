package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestModuleOrigin(t *testing.T) {
	testCheck(t, moduleOrigin, []row{
		{"healthy", nil, "pass", "prebuilt"},
		{"two modules for one kernel", stack(func(s *host.Stack) {
			k := &s.Kernels.Value[1]
			k.Modules = append(k.Modules, host.ModuleFile{Path: "/lib/modules/6.8.0-52-generic/updates/dkms/nvidia.ko", Origin: host.OriginDKMS})
		}), "warn", "updates/dkms/nvidia.ko"},
		{"a .run file beside packages", stack(func(s *host.Stack) { s.Installer = known(host.Installer{Uninstaller: true, Version: "535.54.03"}) }), "warn", "535.54.03|nvidia-uninstall"},
		{"unread", stack(func(s *host.Stack) { s.Installer = missing[host.Installer]() }), "unknown", "time-out"},
	})
}
