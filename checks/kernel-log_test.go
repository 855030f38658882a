package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestKernelLog(t *testing.T) {
	testCheck(t, kernelLog, []row{
		{"healthy", nil, "pass", "answer"},
		{"an old line while all answers", kernelSaid("NVRM: Xid (PCI:0000:02:00): 79, GPU has fallen off the bus."), "pass", "past"},
		{"off the bus", and(noNVML, kernelSaid("NVRM: Xid (PCI:0000:02:00): 79, GPU has fallen off the bus.")), "warn", "fell off the PCI bus|power"},
		{"open module, old GPU", and(noModule, kernelSaid("NVRM: installed in this system is not supported by open", "NVRM: nvidia.ko because it does not include the required GPU")), "warn", "older than Turing|proprietary"},
		{"dropped", and(noModule, kernelSaid("NVRM:  supported through the NVIDIA 580.xx Legacy drivers. Please")), "warn", "no longer serves|legacy branch"},
		{"RmInitAdapter proves nothing", and(noNVML, kernelSaid("NVRM: GPU 0000:09:00.0: RmInitAdapter failed! (0x22:0x56:894)")), "warn", "prove no cause"},
		{"silent", noModule, "pass", "nothing that says why"},
		{"unread", and(noNVML, stack(func(s *host.Stack) { s.KernelLog = missing[[]string]() })), "unknown", "time-out"},
	})
}
