package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestSecureBoot(t *testing.T) {
	testCheck(t, secureBoot, []row{
		{"off", nil, "pass", "loaded"},
		{"on, and the module is loaded", stack(func(s *host.Stack) { s.SecureBoot = known(true) }), "pass", "Secure Boot is on"},
		{"the kernel rejected it", and(noModule, stack(func(s *host.Stack) {
			s.SecureBoot, s.KernelLog = known(true), known([]string{"modprobe: ERROR: could not insert 'nvidia': Key was rejected by service"})
		})), "fail", "Key was rejected|mokutil"},
		{"on, not loaded, no word in the log", and(noModule, stack(func(s *host.Stack) { s.SecureBoot = known(true) })), "warn", "signed modules only"},
		{"locked down, by the log alone", and(noModule, stack(func(s *host.Stack) {
			s.KernelLog = known([]string{"Kernel is locked down from EFI Secure Boot; see man kernel_lockdown.7"})
		})), "warn", "signed modules only"},
		{"nothing known", and(noModule, stack(func(s *host.Stack) { s.SecureBoot, s.SigEnforce = missing[bool](), missing[bool]() })), "unknown", "time-out"},
	})
}
