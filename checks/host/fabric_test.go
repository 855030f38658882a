package host

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestGatherFabricManager(t *testing.T) {
	o := healthy(t, 1, "gpu.0.fabric_state=2")
	files := map[string]string{
		"/proc/77/comm":          "nv-fabricmanage\n",
		"/proc/77/stat":          "77 (nv-fabricmanage) S" + strings.Repeat(" 0", 18) + " 8040000 0 0\n",
		"/proc/77/exe":           "\x00535.183.06\x00" + strings.Repeat("x", 70000) + "\x001.2.11\x00",
		"/proc/78/comm":          "nv-fabricmanage\n",
		"/proc/78/stat":          "78 (nv-fabricmanage) Z" + strings.Repeat(" 0", 18) + " 8040000 0 0\n",
		"/proc/79/comm":          "nvidia-persiste\n",
		"/proc/79/stat":          "79 (nvidia-persiste) S" + strings.Repeat(" 0", 18) + " 100 0 0\n",
		pidFiles[commManager]:    "78\n",
		"/proc/cmdline":          "quiet\n",
		managerConfigs[0]:        "# comment\nFABRIC_MODE=1\nLOG_LEVEL=4\n",
		"/proc/80/unrelated":     "",
		"/proc/81/comm":          "nv-fabricmanage\n",
		"/proc/sys/kernel/other": "",
	}
	for path, content := range files {
		full := filepath.Join(o.Root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	f := Gather(t.Context(), o)
	want := []Process{{PID: 77, Name: "nv-fabricmanage", Age: 6000, Version: "535.183.06"}}
	if !slices.Equal(f.Fabric.Manager.Value, want) {
		t.Errorf("Fabric Manager %+v, want %+v", f.Fabric.Manager, want)
	}
	if len(f.Persistenced.Value) != 1 || !f.Fabric.SubnetManager.Known() || len(f.Fabric.SubnetManager.Value) != 0 {
		t.Errorf("persistenced %+v, nvlsm %+v", f.Persistenced, f.Fabric.SubnetManager)
	}
	if !maps.Equal(f.Fabric.ManagerConfig.Value, map[string]string{"FABRIC_MODE": "1", "LOG_LEVEL": "4"}) {
		t.Errorf("configuration %+v", f.Fabric.ManagerConfig)
	}
}

// TestGatherSearchesForNVLSM: where the switches are not on PCI, its absence must be certain too, though the pid file
// leads to Fabric Manager.
func TestGatherSearchesForNVLSM(t *testing.T) {
	o := healthy(t, 1, "gpu.0.fabric_state=2")
	for path, content := range map[string]string{
		"/proc/77/comm":       "nv-fabricmanage\n",
		"/proc/77/stat":       "77 (nv-fabricmanage) S" + strings.Repeat(" 0", 18) + " 8040000 0 0\n",
		"/proc/79/comm":       "nvidia-imex\n",
		"/proc/79/stat":       "79 (nvidia-imex) S" + strings.Repeat(" 0", 18) + " 100 0 0\n",
		pidFiles[commManager]: "77\n",
	} {
		full := filepath.Join(o.Root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	fabric := Gather(t.Context(), o).Fabric
	if len(fabric.Manager.Value) != 1 || !fabric.SubnetManager.Known() || len(fabric.SubnetManager.Value) != 0 || len(fabric.IMEX.Value) != 1 {
		t.Errorf("%+v", fabric)
	}
}

func TestGatherInsideAnotherPIDNamespace(t *testing.T) {
	o := healthy(t, 1, "")
	path := filepath.Join(o.Root, "proc/self/ns/pid")
	if err := errors.Join(os.Remove(path), os.Symlink("pid:[4026532000]", path)); err != nil {
		t.Fatal(err)
	}
	f := Gather(t.Context(), o)
	if f.Platform.InitialPIDNamespace.Value || f.Fabric.Manager.Known() {
		t.Errorf("namespace %+v, Fabric Manager %+v", f.Platform.InitialPIDNamespace, f.Fabric.Manager)
	}
}

// BenchmarkGather is a launch that asks for GPUs, children included.
func BenchmarkGather(b *testing.B) {
	for name, gpus := range map[string]string{"1": "gpus=1", "8": "gpus=8\n"} {
		b.Run(name+"GPUs", func(b *testing.B) {
			n := 1
			if name == "8" {
				n = 8
			}
			o := healthy(b, n, gpus)
			for b.Loop() {
				if f := Gather(b.Context(), o); len(f.NVML.GPUs) != n {
					b.Fatal(f.NVML)
				}
			}
		})
	}
}
