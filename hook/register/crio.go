package register

import (
	"path/filepath"
	"strings"
)

// crioConf and the drop-ins beside it are CRI-O's configuration (crio.conf(5), crio.conf.d(5)).
const crioConf = "/etc/crio/crio.conf"

const crioUnit = "crio.service"

// crio registers the hook in CRI-O's folder of hooks, which CRI-O watches. Where that is podman's too, the file is
// the same, and serves both.
func crio() Engine {
	return Engine{
		Name:    "crio",
		Present: func(s Site) bool { return s.program("crio") != "" },
		Plan:    planCRIO,
		Strip: func(path string, content []byte) ([]byte, error) {
			if filepath.Base(path) == selfTestFile {
				return stripSelfTest(content), nil
			}
			return nil, nil
		},
		Files: func(s Site) []string {
			folders, _, err := crioFolders(s)
			if err != nil {
				return nil
			}
			paths := []string{selfTestPath(crioUnit)}
			for _, folder := range folders {
				paths = append(paths, filepath.Join(folder, hooksFile))
			}
			return paths
		},
	}
}

// crioFolders are CRI-O's folders of hooks, and its configuration.
func crioFolders(s Site) ([]string, []tomlLayer, error) {
	paths := append([]string{crioConf}, s.dropIns(crioConf+".d", ".conf")...)
	if named := s.Configs["crio"]; named != "" {
		paths = []string{named}
	}
	layers, err := s.tomlLayers(paths)
	if err != nil {
		return nil, nil, err
	}
	folders, _ := listInForce(layers, hooksDefault, "crio", "runtime", "hooks_dir")
	return folders, layers, nil
}

func planCRIO(s Site) (Plan, error) {
	p := Plan{Engine: "crio"}
	folders, layers, err := crioFolders(s)
	if err != nil {
		return p, err
	}
	path, edits, err := s.hooksEdit(folders)
	if err != nil {
		return p, err
	}
	wait, err := s.crioWaits()
	if err != nil {
		return p, err
	}
	p.Edits = append(wait, edits...)
	if path == "" {
		p.Edits = nil
		p.Notes = append(p.Notes, "CRI-O passes by: none of its folders of hooks can be written ("+strings.Join(folders, ", ")+
			"); name one that can in hooks_dir of [crio.runtime] in "+crioConf)
		return p, nil
	}
	value, _ := keyInForce(layers, "crio", "runtime", "default_runtime")
	if runtime, _ := value.(string); runtime == "crun" || (runtime == "" && s.program("crun") != "") {
		p.Notes = append(p.Notes, "CRI-O with crun names only the hook's exit code; gpu-preflight logs --refused has the reason, "+
			"and the shim as runtime_path of the crun handler in "+crioConf+".d shows it in the pod's events")
	}
	p.Notes = append(p.Notes, "CRI-O was never tried with this program")
	return p, nil
}

// crioWaits puts CRI-O's unit behind the driver's services. It needs no self-test: a hook that is missing is passed over.
func (s Site) crioWaits() ([]Edit, error) {
	if s.Configs["crio"] != "" || s.unit(crioUnit) == "" {
		return nil, nil
	}
	path, text := selfTestPath(crioUnit), markMade+"\n"+waitsForDriver
	now, mode, err := s.read(path)
	if err != nil || string(now) == text {
		return nil, err
	}
	return []Edit{{Path: path, Before: now, After: []byte(text), Mode: mode}}, nil
}
