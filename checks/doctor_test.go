package checks

import (
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks/host"
)

// TestCause: the first failure, then what explains it; else the first warning.
func TestCause(t *testing.T) {
	rejected := stack(func(s *host.Stack) {
		s.SecureBoot, s.KernelLog = known(true), known([]string{"could not insert 'nvidia': Key was rejected by service"})
	})
	for name, tt := range map[string]struct {
		change change
		want   []string
	}{
		"healthy":        {and(), nil},
		"no module":      {and(noModule, noModuleFile), []string{"driver-loaded", "module-for-running-kernel"}},
		"rejected":       {and(noModule, rejected), []string{"driver-loaded", "secure-boot", "kernel-log"}},
		"a warning":      {stack(func(s *host.Stack) { s.Packages.Value[0].Held = true }), []string{"package-holds"}},
		"upgraded under": {and(initCode(host.NVMLLibRMMismatch), func(f *Facts) { f.Host.Driver.Version = known("570.80.01") }), []string{"driver-library-version", "package-branches", "module-on-disk"}},
	} {
		f := healthy()
		tt.change(&f)
		var ids []string
		for _, r := range Cause(Run(f, OnHost([]string{"driver-branch-supported"}))) { // branches grow old
			ids = append(ids, r.ID)
		}
		if !slices.Equal(ids, tt.want) {
			t.Errorf("%s: %q, want %q", name, ids, tt.want)
		}
	}
}

func TestOnHost(t *testing.T) {
	for _, c := range OnHost([]string{"gpu-present"}) {
		if c.Launch || c.Layer == Image || c.ID == "gpu-present" {
			t.Errorf("doctor asks %s", c.ID)
		}
	}
	for _, c := range AtLaunch(nil) {
		if c.Doctor {
			t.Errorf("a launch asks %s", c.ID)
		}
	}
}

// TestAnswers: the five questions, on a healthy host and where nothing is known.
func TestAnswers(t *testing.T) {
	f := healthy()
	f.Host.Stack.Packages.Value[3].Manual = true
	want := []string{"8 GPUs and 4 NVSwitches", "6.8.0-52-generic", "nvidia-headless-570-server-open", "yes, for 8 GPUs, with driver 570.86.15", "nvidia-container-runtime"}
	for i, a := range Answers(f.Host) {
		if !strings.Contains(a.Answer, want[i]) || a.Command == "" || a.Question == "" {
			t.Errorf("%+v, want %q", a, want[i])
		}
	}
	for _, a := range Answers(host.Facts{}) {
		if !strings.Contains(a.Answer, "not ") {
			t.Errorf("nothing known: %+v", a)
		}
	}
}

func TestNothingToJudge(t *testing.T) {
	empty := func(f *Facts) {
		f.Host.PCI, f.Host.ProcGPUs, f.Host.Driver.Version, f.Host.NVML = known([]host.PCIDevice{}), known([]host.ProcGPU{}), known(""), host.NVML{}
	}
	for name, tt := range map[string]struct {
		change change
		none   bool
	}{
		"healthy": {and(), false}, "no GPU": {empty, true}, "no GPU, a driver": {and(empty, func(f *Facts) { f.Host.Driver.Version = known("570.86.15") }), false},
		"PCI unread": {and(empty, func(f *Facts) { f.Host.PCI = missing[[]host.PCIDevice]() }), false}, "WSL": {and(empty, wsl), false}, "Jetson": {and(empty, tegra), false},
	} {
		f := healthy()
		tt.change(&f)
		if got := NothingToJudge(f.Host); (got != "") != tt.none {
			t.Errorf("%s: %q", name, got)
		}
	}
}
