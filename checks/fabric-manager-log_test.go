package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestFabricManagerLog(t *testing.T) {
	testCheck(t, fabricManagerLog, []row{
		{"healthy", nil, "pass", ""},
		{"another version", managerSaid("fabric manager NVIDIA GPU driver interface version 550.127.05 don't match with driver version 550.120."), "warn", "another version than the driver"},
		{"ib_umad", managerSaid("nvlsm: ibwarn: [15] umad_init: can't read ABI version: is ib_umad module loaded?"), "warn", "load ib_umad"},
		{"a line of no meaning to us", managerSaid("error: something else"), "warn", "something else"},
		{"nothing to do", and(gpus(2, rtx4090), managerSaid("failed with error:WARNING Nothing to do [NV_WARN_NOTHING_TO_DO]")), "pass", "do not matter here"},
		{"unread", stack(func(s *host.Stack) { s.ManagerLog = missing[[]string]() }), "unknown", "time-out"},
	})
}
