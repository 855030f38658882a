package host

import (
	"strings"
	"testing"

	"gpu-preflight/checks/fact"
)

func TestAssume(t *testing.T) {
	rows := []struct{ spec, driver, cuda, arch, brand string }{
		{"driver=535.183.06,arch=8.9,brand=GeForce,gpus=1", "535.183.06", "12.2", "8.9", "GeForce"},
		{"driver=535.183.06", "535.183.06", "12.2", "?", "?"},
		{"driver=535.183.06,cuda=12.4", "535.183.06", "12.4", "?", "?"},
		{"driver=535.183.06,cuda=", "535.183.06", "?", "?", "?"},
		{"driver=9999.1", "9999.1", "?", "?", "?"},
		{"driver=,cuda=12.2", "?", "12.2", "?", "?"},
		{" arch=9.0 , brand=TESLA", "?", "?", "9.0", "TESLA"},
	}
	for _, row := range rows {
		f, err := Assume(row.spec)
		if err != nil {
			t.Errorf("%s: %v", row.spec, err)
			continue
		}
		g := f.NVML.GPUs[0]
		for _, got := range []struct{ name, value, want string }{
			{"driver", shown(f.Driver.Version), row.driver},
			{"NVML's driver", shown(f.NVML.Driver), row.driver},
			{"cuda", shown(f.NVML.CUDA), row.cuda},
			{"arch", shown(g.Capability), row.arch},
			{"brand", shown(g.Brand), row.brand},
		} {
			if got.value != got.want {
				t.Errorf("%s: %s is %q, want %q", row.spec, got.name, got.value, got.want)
			}
		}
	}
}

func shown(f fact.Fact[string]) string {
	if !f.Known() {
		return "?"
	}
	return f.Value
}

func TestAssumeGPUs(t *testing.T) {
	for spec, want := range map[string]int{"driver=535.1": 1, "gpus=8": 8, "gpus=0": 0} {
		f, err := Assume(spec)
		if err != nil {
			t.Fatal(err)
		}
		if !f.NVML.Count.Known() || f.NVML.Count.Value != want || len(f.NVML.GPUs) != want || len(f.PCI.Value) != want {
			t.Errorf("%s: %d counted, %d of NVML, %d of PCI, want %d", spec, f.NVML.Count.Value, len(f.NVML.GPUs), len(f.PCI.Value), want)
		}
	}
	f, err := Assume("gpus=")
	if err != nil || f.NVML.Count.Known() || f.PCI.Known() || f.Nodes.Known() {
		t.Errorf("gpus= leaves something known: %+v %v", f.NVML.Count, err)
	}
}

func TestAssumeErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"":                            `"" is not key=value`,
		"drvier=535.1":                `unknown key "drvier"`,
		"driver=535.1,driver=580.1":   "driver is given twice",
		"driver=535":                  "driver: ",
		"driver=535.1,arch=ada":       `arch: "ada"`,
		"driver=535.1,cuda=new":       "cuda: ",
		"gpus=-1":                     `gpus: "-1"`,
		"gpus=1000000":                `gpus: "1000000"`,
		"driver=535.1,,brand=GeForce": `"" is not key=value`,
	} {
		if _, err := Assume(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", spec, err, want)
		}
	}
}
