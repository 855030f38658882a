package host

import (
	"strings"

	"gpu-preflight/checks/fact"
)

// Installer is what NVIDIA's .run file left on the host.
type Installer struct {
	Log         bool     `json:"log,omitempty"`         // /var/log/nvidia-installer.log is there
	Version     string   `json:"version,omitempty"`     // of the driver that it installed or tried to
	Uninstaller bool     `json:"uninstaller,omitempty"` // /usr/bin/nvidia-uninstall: it has not been taken out again
	Errors      []string `json:"errors,omitempty"`      // its lines "ERROR: …"
}

const (
	installerLog = "/var/log/nvidia-installer.log"
	maxErrors    = 4
)

// installer reads the log of the last run. The driver's version stands in the command line or the banner:
// "Accelerated Graphics Driver for Linux-x86_64 (535.54.03)".
func (t tree) installer() fact.Fact[Installer] {
	var found Installer
	var err error
	if found.Uninstaller, err = t.exists("/usr/bin/nvidia-uninstall"); err != nil {
		return fact.Missing[Installer]("/usr/bin/nvidia-uninstall", reason(err))
	}
	text, err := t.tail(installerLog)
	if absent(err) {
		return fact.Of(found, installerLog)
	}
	if err != nil {
		return fact.Missing[Installer](installerLog, reason(err))
	}
	found.Log = true
	for line := range strings.Lines(text) {
		for word := range strings.FieldsFuncSeq(line, func(c rune) bool { return !strings.ContainsRune("0123456789.", c) }) {
			if word = strings.Trim(word, "."); isDriverVersion(word) && found.Version == "" {
				found.Version = word
			}
		}
		if message, ok := strings.CutPrefix(strings.TrimSpace(line), "ERROR: "); ok && len(found.Errors) < maxErrors {
			found.Errors = append(found.Errors, message)
		}
	}
	return fact.Of(found, installerLog)
}
