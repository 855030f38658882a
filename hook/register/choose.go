package register

import (
	"fmt"
	"path/filepath"
)

// Choose picks the engines that are installed. containerd's default handler, which every pod passes, is left out
// where the nvidia handler or the CDI files stand before GPU launches already, and where nothing but containerd
// itself tells of pods: docker brings one whose handlers nobody uses.
func Choose(s Site) []Engine {
	var chosen []Engine
	narrow := false
	for _, e := range All() {
		if !e.Present(s) {
			continue
		}
		if e.Name == "containerd" && (narrow || (len(chosen) > 0 && s.program("kubelet") == "")) {
			continue
		}
		narrow = narrow || e.Name == "cdi" || e.Name == "nvidia-ctk"
		chosen = append(chosen, e)
	}
	return chosen
}

// Named finds engines by their names.
func Named(names []string) ([]Engine, error) {
	var list []Engine
	for _, name := range names {
		n := len(list)
		for _, e := range All() {
			if e.Name == name {
				list = append(list, e)
			}
		}
		if len(list) == n {
			return nil, fmt.Errorf("unknown engine %q", name)
		}
	}
	return list, nil
}

// Installed says what is missing of the programs that a registration leads to.
func Installed(s Site) error {
	path := filepath.Join(s.Prefix, "bin/gpu-preflight-hook")
	if s.program(path) == "" {
		return fmt.Errorf("%s is not there or not executable: install it first, or name its --prefix", path)
	}
	return nil
}
