package register

import (
	"fmt"
	"path/filepath"
)

// cdiRefresh is the toolkit's service that writes CDI files anew (nvidia-container-toolkit since 1.18).
const cdiRefresh = "nvidia-cdi-refresh.service"

// unitFolder holds the units and drop-ins of an administrator, who we stand for.
const unitFolder = "/etc/systemd/system"

// unitFolders are where systemd finds units (systemd.unit(5)).
var unitFolders = []string{unitFolder, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// unitFile is a unit or a drop-in of ours.
type unitFile struct {
	path, text string
	beside     string // the unit that has to be there; empty: none
}

// cdiUnits keep CDI files registered when others write them anew, and let docker start only when the driver's own
// services are up. deploy/systemd holds the same files for a prefix of /usr/local. Neither acts after unregistering,
// also where systemd has not read its files again: the service looks for its path unit, the drop-in for our state.
func cdiUnits(s Site) []unitFile {
	register := filepath.Join(s.Prefix, "bin/gpu-preflight") + " register --prefix " + s.Prefix + " cdi"
	return []unitFile{
		{path: unitFolder + "/gpu-preflight-cdi.service", text: `[Unit]
Description=Put GPU launches through CDI files under gpu-preflight's judgement
ConditionPathExists=` + unitFolder + `/gpu-preflight-cdi.path
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=` + register + `
`},
		{path: unitFolder + "/multi-user.target.d/gpu-preflight-cdi.conf", text: `[Unit]
Wants=gpu-preflight-cdi.path
`},
		{path: unitFolder + "/" + cdiRefresh + ".d/gpu-preflight.conf", beside: cdiRefresh, text: `[Service]
ExecStartPost=-+/bin/sh -c '[ ! -e ` + statePath("cdi") + ` ] || exec ` + register + `'
`},
		{path: unitFolder + "/docker.service.d/gpu-preflight-cdi.conf", beside: "docker.service", text: `[Unit]
After=nvidia-persistenced.service nvidia-fabricmanager.service ` + cdiRefresh + `
`},
		{path: unitFolder + "/gpu-preflight-cdi.path", text: `[Unit]
Description=Watch the CDI files that give GPUs to containers

[Path]
PathChanged=/etc/cdi
PathChanged=/run/cdi

[Install]
WantedBy=multi-user.target
`},
	}
}

// unit is the file of a systemd unit; "" if it is not there.
func (s Site) unit(name string) string {
	for _, folder := range unitFolders {
		path := filepath.Join(folder, name)
		if data, _, err := s.read(path); err == nil && data != nil {
			return path
		}
	}
	return ""
}

// planUnits adds the units where systemd runs the host. They come last, so that they are the first to go.
func (s Site) planUnits(p *Plan) error {
	if s.Configs["cdi"] != "" {
		p.Notes = append(p.Notes, "no units for files elsewhere: register them again whenever they are written anew")
		return nil
	}
	if s.program("systemctl") == "" {
		p.Notes = append(p.Notes, "no systemd: run gpu-preflight register cdi again whenever CDI files are written anew")
		return nil
	}
	if shellWord(s.Prefix) != s.Prefix {
		p.Notes = append(p.Notes, "no units: "+jsonText(s.Prefix)+" cannot stand in them; register cdi again whenever CDI files are written anew")
		return nil
	}
	for _, u := range cdiUnits(s) {
		if u.beside != "" && s.unit(u.beside) == "" {
			continue
		}
		now, _, err := s.read(u.path)
		if err != nil {
			return fmt.Errorf("read %s: %w", u.path, err)
		}
		if now != nil && string(now) == u.text {
			continue
		}
		p.Edits = append(p.Edits, Edit{Path: u.path, Before: now, After: []byte(u.text), Mode: 0o644})
		if len(p.Restart) == 0 {
			p.Restart = []string{"systemctl daemon-reload", "systemctl start gpu-preflight-cdi.path"}
		}
	}
	return nil
}
