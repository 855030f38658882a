package host

import (
	"path"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks/fact"
)

// Program is a program of the driver, of the container toolkit, or a container engine.
type Program struct {
	Path    string `json:"path"`
	Version string `json:"version,omitempty"` // of the driver that it belongs to, where the file tells just one
}

// programNames are looked for in programDirs; the first folder that has one counts.
var (
	programNames = []string{
		"nvidia-smi", "nv-fabricmanager", "nvlsm", "nvidia-imex",
		"nvidia-container-runtime", "nvidia-ctk", "nvidia-cdi-hook", "nvidia-container-cli",
		"dockerd", "containerd", "podman", "crio", "k3s", "kubelet", "Xorg", "gdm3", "gdm", "sddm", "lightdm",
	}
	programDirs = []string{"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/nvidia/toolkit", "/usr/lib/xorg", "/usr/libexec"}
)

func (t tree) programs() fact.Fact[[]Program] {
	found := []Program{}
	for _, name := range programNames {
		for _, dir := range programDirs {
			there, err := t.exists(dir + "/" + name)
			if err != nil {
				return fact.Missing[[]Program](dir+"/"+name, reason(err))
			}
			if !there {
				continue
			}
			p := Program{Path: path.Join(dir, name)}
			if name == "nvidia-smi" || name == "nv-fabricmanager" {
				p.Version = t.fileVersion(p.Path)
			}
			found = append(found, p)
			break
		}
	}
	return fact.Of(found, "/usr/bin")
}

// fileVersion is the one driver version that stands in a program's file, empty for none or several.
func (t tree) fileVersion(file string) string {
	fd, _, err := t.openRegular(file)
	if err != nil {
		return ""
	}
	defer func() { _ = unix.Close(fd) }()
	found, err := searchVersions(func(buf []byte) (int, error) { return readRetry(fd, buf) })
	if err != nil || len(found) != 1 {
		return ""
	}
	return found[0]
}
