package register

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnits: systemd itself finds nothing wrong with any unit or drop-in that a registration writes, together as a
// registration of every engine leaves them; each engine's unit comes after the driver's services.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	s := everyHost(t)
	for _, name := range []string{"multi-user", "basic", "sysinit", "paths", "shutdown", "network", "sockets", "slices", "timers", "local-fs", "swap", "rescue"} {
		put(t, filepath.Join(s.Root, "usr/lib/systemd/system", name+".target"), "[Unit]\nDescription="+name+"\n", 0o644)
	}
	put(t, filepath.Join(s.Root, "lib/systemd/system", cdiRefresh), "[Service]\nType=oneshot\nExecStart=/bin/sh -c true\n"+
		"CapabilityBoundingSet=CAP_SYS_MODULE CAP_SYS_ADMIN CAP_MKNOD\n[Install]\nWantedBy=multi-user.target\n", 0o644)
	put(t, filepath.Join(s.Root, "usr/local/bin/gpu-preflight"), "#!\n", 0o755)
	units := map[string]bool{}
	for _, e := range All() {
		p, err := forth(t, s, e)
		if err != nil {
			t.Fatal(err)
		}
		for _, edit := range p.Edits {
			if unit, ours := strings.CutPrefix(edit.Path, unitFolder+"/"); ours {
				folder, _, _ := strings.Cut(unit, "/")
				units[strings.TrimSuffix(folder, ".d")] = true
			}
		}
	}
	for _, unit := range []string{
		"docker.service", "containerd.service", "crio.service", cdiRefresh, "multi-user.target", "gpu-preflight-cdi.path", "gpu-preflight-cdi.service",
	} {
		if !units[unit] {
			t.Errorf("nothing is written for %s", unit)
		}
		delete(units, unit)
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--root="+s.Root, unit).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", unit, err, out)
		}
	}
	for unit := range units {
		t.Errorf("%s was not looked at", unit)
	}
	for _, unit := range engineUnits {
		var text strings.Builder
		files, err := filepath.Glob(filepath.Join(s.Root, unitFolder, unit+".d", "*.conf"))
		if err != nil || len(files) != 2 {
			t.Errorf("%s: %q, %v", unit, files, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(data)
		}
		if strings.Count(text.String(), "After="+driverServices+"\n") != 2 || strings.Contains(text.String(), "ExecStartPre=") != (unit != crioUnit) {
			t.Errorf("%s: %s", unit, text.String())
		}
	}
}

// TestUnitsOfAnotherHand: a line that somebody put into a drop-in of ours stays when we go.
func TestUnitsOfAnotherHand(t *testing.T) {
	for _, e := range []Engine{docker(), containerd(), crio()} {
		s := everyHost(t)
		if _, err := forth(t, s, e); err != nil {
			t.Fatal(err)
		}
		path := selfTestPath(e.Name + ".service")
		text := content(t, s, path)
		put(t, filepath.Join(s.Root, path), strings.Replace(text, "[Unit]\n", "[Unit]\nWants=mine.service\n", 1), 0o644)
		if err := back(t, s, e); err != nil {
			t.Fatal(err)
		}
		left := content(t, s, path)
		if !strings.Contains(left, "[Unit]\nWants=mine.service\n") || strings.Contains(left, "After=") || strings.Contains(left, "ExecStartPre") {
			t.Errorf("%s: %q", e.Name, left)
		}
	}
}
