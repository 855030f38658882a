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

// driverServices bring the driver's state that a launch is judged by: an engine that starts its containers before them
// after a boot would have launches wait, or refused. An engine's unit that comes after a unit which is not there waits
// for nothing.
const driverServices = "nvidia-persistenced.service nvidia-fabricmanager.service " + cdiRefresh

// waitsForDriver orders an engine's unit behind them.
const waitsForDriver = "[Unit]\nAfter=" + driverServices + "\n"

// engineUnits start containers with GPUs by themselves after a boot; podman has no daemon.
var engineUnits = []string{dockerUnit, containerdUnit, crioUnit}

// unitFile is a unit or a drop-in of ours.
type unitFile struct {
	path, text string
	beside     string // the unit that has to be there; empty: none
}

// cdiUnits keep CDI files registered when others write them anew, and let the engines start only when the driver's own
// services are up: a CDI file is any engine's. deploy/systemd holds the same files for a prefix of /usr/local. Neither acts after unregistering,
// also where systemd has not read its files again: the service looks for its path unit, the drop-in for our state.
func cdiUnits(s Site) []unitFile {
	register := filepath.Join(s.Prefix, "bin/gpu-preflight") + " register --prefix " + s.Prefix + " cdi"
	units := []unitFile{
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
	}
	for _, unit := range engineUnits {
		units = append(units, unitFile{path: unitFolder + "/" + unit + ".d/gpu-preflight-cdi.conf", beside: unit, text: waitsForDriver})
	}
	return append(units, unitFile{path: unitFolder + "/gpu-preflight-cdi.path", text: `[Unit]
Description=Watch the CDI files that give GPUs to containers

[Path]
PathChanged=/etc/cdi
PathChanged=/run/cdi

[Install]
WantedBy=multi-user.target
`})
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
