package register

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestContainerdReadsWhatACutLeaves asks the containerd of this machine what it makes of its configuration after a cut
// before any write, on the way there and back: it reads it, and what it would start containers with is there.
func TestContainerdReadsWhatACutLeaves(t *testing.T) {
	program, err := exec.LookPath("containerd")
	if err != nil {
		t.Skip("containerd is not installed")
	}
	cut := errors.New("cut off")
	for _, name := range []string{"debian", "dotted keys", "inline tables"} {
		c := containerdHosts[name]
		for _, method := range []string{BinaryName, BaseSpec} {
			for _, undo := range []bool{false, true} {
				states := 0
				for err := cut; err != nil; states++ {
					s := withBaseSpec(t, hostWith(t, c.files, append(containerdPrograms, "/usr/local/bin/"+hookName)...))
					s.Method = method
					faulty, left := s, states
					faulty.fail = func(string) error {
						if left--; left < 0 {
							return cut
						}
						return nil
					}
					if undo {
						_, err = forth(t, s, containerd())
						noError(t, err)
						err = back(t, faulty, containerd())
					} else {
						_, err = forth(t, faulty, containerd())
					}
					if err != nil && !errors.Is(err, cut) {
						t.Fatal(err)
					}
					out, failed := exec.CommandContext(t.Context(), program, "-c", filepath.Join(s.Root, containerdConfig), "config", "dump").Output()
					if failed != nil {
						t.Fatalf("%s, %s, undo %v, cut before write %d: containerd cannot read it: %v", name, method, undo, states, failed)
					}
					handler := runtimesOf(criPlugin[2], c.handler)
					tree := mustParse(t, string(out)).tree
					spec, _ := valueAt(tree, append(handler, "base_runtime_spec")...).(string)
					shim, _ := valueAt(tree, append(handler, "options", "BinaryName")...).(string)
					if spec != "" && content(t, s, spec) == "-" {
						t.Errorf("%s, undo %v, cut before write %d: %s is named and not there", name, undo, states, spec)
					}
					if shim != "" && s.program(shim) == "" && !leads(s, shim) {
						t.Errorf("%s, undo %v, cut before write %d: %s is named and not there", name, undo, states, shim)
					}
				}
				if states < 4 {
					t.Errorf("%s, %s, undo %v: cut off %d times only", name, method, undo, states)
				}
			}
		}
	}
}
