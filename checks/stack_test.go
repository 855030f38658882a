package checks

import (
	"slices"
	"testing"

	"gpu-preflight/checks/host"
)

// stack changes how the driver was installed.
func stack(c func(*host.Stack)) change { return func(f *Facts) { c(&f.Host.Stack) } }

// noModuleFile takes the newest kernel's module away, and its headers.
func noModuleFile(f *Facts) {
	newest := &f.Host.Stack.Kernels.Value[1]
	newest.Modules, newest.Headers = nil, false
}

// offer puts a package into the local lists.
func offer(name, version string) change {
	return stack(func(s *host.Stack) {
		s.Available.Value = append(s.Available.Value, host.Candidate{Name: name, Version: version})
	})
}

// packages adds packages.
func packages(list ...host.Package) change {
	return stack(func(s *host.Stack) { s.Packages.Value = append(s.Packages.Value, list...) })
}

// lacks removes a package.
func lacks(name string) change {
	return stack(func(s *host.Stack) {
		s.Packages.Value = slices.DeleteFunc(s.Packages.Value, func(p host.Package) bool { return p.Name == name })
	})
}

// dkmsHost has its module from DKMS.
func dkmsHost(f *Facts) {
	lacks("linux-modules-nvidia-570-server-open-6.8.0-52-generic")(f)
	packages(host.Package{Name: "nvidia-dkms-570", Version: "570.86.15-0ubuntu0.24.04.1", State: "ii"})(f)
	f.Host.Stack.DKMS = known([]host.DKMSTree{{Module: "nvidia", Version: "570.86.15", Source: true, Built: []string{"6.8.0-52-generic"}}})
}

// runfileHost has no package of a driver.
func runfileHost(f *Facts) {
	f.Host.Stack.Packages = known([]host.Package{})
	f.Host.Stack.Installer = known(host.Installer{Log: true, Version: "570.86.15"})
	for i := range f.Host.Stack.Kernels.Value {
		for j := range f.Host.Stack.Kernels.Value[i].Modules {
			f.Host.Stack.Kernels.Value[i].Modules[j].Origin = host.OriginRunfile
		}
	}
}

func modprobe(command, module, rest string) change {
	return stack(func(s *host.Stack) {
		s.ModProbe = known([]host.ModProbe{{Path: "/etc/modprobe.d/x.conf", Command: command, Module: module, Rest: rest}})
	})
}

func kernelSaid(lines ...string) change {
	return stack(func(s *host.Stack) { s.KernelLog = known(lines) })
}

func managerSaid(lines ...string) change {
	return stack(func(s *host.Stack) { s.ManagerLog = known(lines) })
}

func copied(c host.LibraryCopy) change {
	return stack(func(s *host.Stack) { s.Copies = known([]host.LibraryCopy{c}) })
}

func toolkit(version string) change {
	return stack(func(s *host.Stack) {
		s.Toolkits = known([]host.Toolkit{{Path: "/usr/local/cuda-x", Version: version, Default: true}})
	})
}

// TestUse: the four ways a host is used.
func TestUse(t *testing.T) {
	display := stack(func(s *host.Stack) { s.Programs.Value = append(s.Programs.Value, host.Program{Path: "/usr/sbin/gdm3"}) })
	none := stack(func(s *host.Stack) { s.Programs.Value = nil })
	for name, tt := range map[string]struct {
		change change
		want   Use
	}{
		"HGX": {and(), UseFabric}, "HGX with a display": {display, UseFabric},
		"desktop": {and(gpus(1, rtx4090), display), UseDesktop}, "container host": {gpus(2, t4), UseContainer},
		"node": {and(gpus(2, t4), none), UseTraining},
	} {
		f := healthy()
		tt.change(&f)
		if got := f.Use(); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
