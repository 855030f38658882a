package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestFabricManagerPackage(t *testing.T) {
	testCheck(t, fabricManagerPackage, []row{
		{"healthy", nil, "pass", "570.86.15, as the driver"},
		{"another version", stack(func(s *host.Stack) { s.Packages.Value[2].Version = "570.124.06-0ubuntu1" }), "warn", "570.124.06, and the driver 570.86.15"},
		{"another version, offered", and(stack(func(s *host.Stack) { s.Packages.Value[2].Version = "570.124.06-0ubuntu1" }), offer("nvidia-fabricmanager-570", "570.86.15-0ubuntu1")), "warn", "apt-get install nvidia-fabricmanager-570=570.86.15-0ubuntu1|systemctl enable --now"},
		{"NSCQ of another version", packages(nscq("570.124.06")), "warn", "libnvidia-nscq-570 is 570.124.06, and the driver 570.86.15|do not see the NVSwitches|install libnvidia-nscq-570 of version 570.86.15"},
		{"NSCQ of another version, offered", and(packages(nscq("570.124.06")), offer("libnvidia-nscq-570", "570.86.15-0ubuntu1")), "warn", "apt-get install libnvidia-nscq-570=570.86.15-0ubuntu1"},
		{"NSCQ of the driver's version", packages(nscq("570.86.15")), "pass", "570.86.15, as the driver"},
		{"nobody starts it at boot", stack(func(s *host.Stack) { s.ManagerAtBoot = known(false) }), "warn", "is not enabled, and nobody starts it at the next boot|after it CUDA fails with 802|systemctl enable nvidia-fabricmanager"},
		{"started at boot", stack(func(s *host.Stack) { s.ManagerAtBoot = known(true) }), "pass", ""},
		{"no unit to start", stack(func(s *host.Stack) { s.ManagerAtBoot = missing[bool]() }), "pass", ""},
		{"not started beside GeForce, which needs none", and(gpus(2, rtx4090), stack(func(s *host.Stack) { s.ManagerAtBoot = known(false) })), "pass", "hurts nothing"},
		{"by its file", and(lacks("nvidia-fabricmanager-570"), stack(func(s *host.Stack) { s.Programs.Value[1].Version = "525.85.12" })), "warn", "525.85.12"},
		{"not installed", and(lacks("nvidia-fabricmanager-570"), func(f *Facts) {
			f.Host.Stack.Programs.Value = f.Host.Stack.Programs.Value[2:]
			f.Host.Fabric.Manager = known([]host.Process{})
		}), "warn", "no package"},
		{"not installed, as far as is seen from a container", and(lacks("nvidia-fabricmanager-570"), noManager, otherPIDNamespace, func(f *Facts) {
			f.Host.Stack.Programs.Value = f.Host.Stack.Programs.Value[2:]
		}), "unknown", "no package"},
		{"a system that is one image has no packages", and(lacks("nvidia-fabricmanager-570"), noManager, func(f *Facts) {
			f.Host.Stack.Programs.Value, f.Host.OS = f.Host.Stack.Programs.Value[2:], known(host.OS{ID: "talos"})
		}), "unknown", "no package"},
		{"idle beside GeForce", gpus(2, rtx4090), "pass", "hurts nothing"},
		{"no switches, none installed", and(gpus(2, rtx4090), lacks("nvidia-fabricmanager-570"), func(f *Facts) { f.Host.Stack.Programs.Value = f.Host.Stack.Programs.Value[2:] }), "skip", "not needed"},
		{"switches unknown", func(f *Facts) { f.Host.Fabric.Switches = missing[int]() }, "unknown", ""},
	})
}

// nscq is the library by which programs ask the NVSwitches.
func nscq(version string) host.Package {
	return host.Package{Name: "libnvidia-nscq-570", Version: version + "-0ubuntu1", State: "ii"}
}
