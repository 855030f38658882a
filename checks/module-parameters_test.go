package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestModuleParameters(t *testing.T) {
	testCheck(t, moduleParameters, []row{
		{"healthy", nil, "pass", "none"},
		{"the option on a working host", modprobe("options", "nvidia", "NVreg_OpenRmEnableUnsupportedGpus=1"), "pass", "hurts nothing"},
		{"the option, and no module", and(noModule, modprobe("options", "nvidia", "NVreg_OpenRmEnableUnsupportedGpus=1")), "warn", "proprietary module"},
		{"HMM off", modprobe("options", "nvidia_uvm", "uvm_disable_hmm=1"), "pass", "uvm_disable_hmm=1"},
		{"NVLink off", modprobe("options", "nvidia", "NVreg_NvLinkDisable=1"), "warn", "NVLink off"},
		{"install false", modprobe("install", "nvidia", "/bin/false"), "warn", "/bin/false"},
		{"blacklisted", and(noModule, modprobe("blacklist", "nvidia", "")), "warn", "blacklist nvidia"},
		{"command line", stack(func(s *host.Stack) { s.CommandLine = known([]string{"modprobe.blacklist=nouveau,nvidia"}) }), "warn", "modprobe.blacklist"},
		{"unread", stack(func(s *host.Stack) { s.ModProbe = missing[[]host.ModProbe]() }), "unknown", "time-out"},
	})
}
