package image

import (
	"errors"
	"path"
	"strings"
)

// Passwd is the file that tells a user's home.
const Passwd = "/etc/passwd"

var errHome = errors.New("where the user's packages lie is not sure")

// userBases are the folders below which Python may find the user's own packages (site.py, getuserbase): PYTHONUSERBASE, else
// .local in the home. That is HOME; without one, or with an empty one, runtimes take it from the image's passwd, and / where
// that does not tell (runc libcontainer/user, crun set_home_env). A container's user is root unless something else is said.
func (s *starter) userBases(p python) ([]string, error) {
	if base := s.env["PYTHONUSERBASE"]; base != "" && !p.ignoresEnv {
		return []string{s.absolute(base)}, nil
	}
	homes := []string{s.env["HOME"]}
	if homes[0] == "" {
		var err error
		if homes, err = s.homes(); err != nil {
			return nil, err
		}
	}
	var bases []string
	for _, home := range homes {
		if !path.IsAbs(home) {
			return nil, errHome
		}
		bases = append(bases, path.Join(home, ".local"))
	}
	return bases, nil
}

// homes are where the user may live by the image's passwd.
func (s *starter) homes() ([]string, error) {
	user, _, _ := strings.Cut(s.user, ":")
	if user == "" {
		user = "0"
	}
	if hiddenBy(s.mounts, Passwd) != "" {
		return nil, errHome
	}
	data, err := s.files.ReadFile(Passwd, MaxFile)
	if err != nil && !absent(err) {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) > 5 && (fields[0] == user || fields[2] == user) {
			return []string{fields[5]}, nil
		}
	}
	if user == "0" || user == "root" {
		return []string{"/", "/root"}, nil
	}
	return []string{"/"}, nil
}
