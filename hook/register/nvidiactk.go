package register

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Where nvidia-container-runtime reads its configuration: the packages' path, and the one of the GPU operator's
// toolkit container (nvidia-container-toolkit api/config/v1, cmd/nvidia-ctk-installer).
const (
	nvidiaConfig   = "/etc/nvidia-container-runtime/config.toml"
	operatorConfig = "/usr/local/nvidia/toolkit/.config/nvidia-container-runtime/config.toml"
)

// nvidiaRuntimes is the list of low-level runtimes; its default is that of nvidia-container-toolkit 1.20.
var (
	nvidiaRuntimes        = []string{"nvidia-container-runtime", "runtimes"}
	nvidiaDefaultRuntimes = []string{"runc", "crun"}
)

// nvidiaCTK puts the shim between nvidia-container-runtime and the runtime that it calls. The list is read at every
// launch, and a shim that is gone is passed over by nvidia-container-runtime itself.
func nvidiaCTK() Engine {
	return Engine{
		Name:    "nvidia-ctk",
		Present: nvidiaPresent,
		Plan:    nvidiaPlan,
		Strip: func(_ string, content []byte) ([]byte, error) {
			f, err := nvidiaStrip(content)
			if err != nil {
				return nil, err
			}
			return f.unlessEmpty(), nil
		},
		Files: nvidiaFiles,
	}
}

func nvidiaPresent(s Site) bool {
	if s.program("nvidia-container-runtime") != "" {
		return true
	}
	return slices.ContainsFunc(nvidiaFiles(s), func(path string) bool {
		data, _, err := s.read(path)
		return data != nil || err != nil
	})
}

func nvidiaFiles(s Site) []string {
	if path := s.Configs["nvidia-ctk"]; path != "" {
		return []string{path}
	}
	return []string{nvidiaConfig, operatorConfig}
}

// isShim tells whether a path leads to the shim of a registration.
func isShim(path string) bool {
	above, name := filepath.Split(filepath.Dir(path))
	return filepath.Base(path) == "gpu-preflight-runtime" && name != "" && strings.HasSuffix(above, "/libexec/gpu-preflight/")
}

func nvidiaPlan(s Site) (Plan, error) {
	p := Plan{Engine: "nvidia-ctk"}
	for n, path := range nvidiaFiles(s) {
		before, mode, err := s.read(path)
		if err != nil {
			return Plan{}, fmt.Errorf("read the configuration of nvidia-container-runtime: %w", err)
		}
		if before == nil && n > 0 {
			continue
		}
		operator := path == operatorConfig
		if before == nil && s.program("nvidia-container-runtime") == "" && !operator {
			continue // only the operator's toolkit is here
		}
		shim, after, err := nvidiaRegister(s, before, operator)
		if err != nil {
			return Plan{}, fmt.Errorf("%s: %w", path, err)
		}
		p.Shims = append(p.Shims, shim)
		if after == nil {
			continue
		}
		p.Edits = append(p.Edits, Edit{Path: path, Before: before, After: after, Mode: mode})
		if operator {
			p.Notes = append(p.Notes, "nvidia-ctk: the GPU operator's toolkit writes "+path+" anew whenever it starts; to keep the entry "+
				"set toolkit.env in the ClusterPolicy: NVIDIA_CONTAINER_RUNTIME_RUNTIMES="+s.ShimPath(shim.Name)+",runc,crun")
		}
	}
	if len(p.Shims) == 0 {
		return Plan{}, errors.New("nvidia-container-runtime is not installed here")
	}
	return p, nil
}

// nvidiaRegister puts the shim first. Nil bytes: it is there already.
func nvidiaRegister(s Site, before []byte, operator bool) (Shim, []byte, error) {
	was, err := parseTOML(before)
	if err != nil {
		return Shim{}, nil, err
	}
	f, err := nvidiaStrip(before)
	if err != nil {
		return Shim{}, nil, err
	}
	shim := Shim{Name: "nvidia-ctk-"}
	if operator {
		shim.Name += "operator-"
	}
	if shim.Next, err = nvidiaNext(s, f); err != nil {
		return Shim{}, nil, err
	}
	shim.Name += filepath.Base(shim.Next)
	if before == nil {
		f.data = []byte(markMade + "\n")
	}
	f, err = f.addTo(nvidiaRuntimes, first, s.ShimPath(shim.Name), nvidiaDefaultRuntimes)
	if err != nil || sameTree(f.tree, was.tree) {
		return shim, nil, err
	}
	return shim, f.data, nil
}

// nvidiaNext is the runtime that nvidia-container-runtime would call: the first of the list that is there
// (nvidia-container-toolkit internal/oci/runtime_low_level.go).
func nvidiaNext(s Site, f *tomlFile) (string, error) {
	names := nvidiaDefaultRuntimes
	if item, there := f.find(nvidiaRuntimes); there {
		names = nil
		for _, e := range item.elems {
			names = append(names, e.text)
		}
	}
	for _, name := range names {
		if path := s.program(name); path != "" {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of the runtimes %q is on this host", names)
}

func nvidiaStrip(content []byte) (*tomlFile, error) {
	return stripTOML(content, tomlOurs{element: isShim, otherwise: nvidiaDefaultRuntimes})
}
