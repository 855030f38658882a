package host

import (
	"strconv"
	"strings"

	"gpu-preflight/checks/fact"
)

const (
	moduleVersion = "/sys/module/nvidia/version"
	procVersion   = "/proc/driver/nvidia/version"
)

// LoadedDriver is the version of the loaded kernel module below a root, "" where that is not known.
func LoadedDriver(root string) string { return newTree(root).driver().Version.Value }

// driver reads which kernel module is loaded. No module is a known empty version; it is said only where /sys
// lists modules and both of the module's files are absent. An error that is not absence leaves it unknown.
func (t tree) driver() Driver {
	var d Driver
	line, procErr := t.text(procVersion)
	version, flavor := parseProcVersion(line)
	if flavor != "" {
		d.Flavor = fact.Of(flavor, procVersion)
	} else if procErr != nil {
		d.Flavor = fact.Missing[string](procVersion, reason(procErr))
	} else {
		d.Flavor = fact.Missing[string](procVersion, "malformed")
	}
	text, sysErr := t.text(moduleVersion)
	switch {
	case sysErr == nil && isVersion(text):
		d.Version = fact.Of(text, moduleVersion)
	case version != "":
		d.Version = fact.Of(version, procVersion)
	case sysErr == nil:
		d.Version = fact.Missing[string](moduleVersion, "malformed")
	case !absent(sysErr):
		d.Version = fact.Missing[string](moduleVersion, reason(sysErr))
	case procErr == nil:
		d.Version = fact.Missing[string](procVersion, "malformed")
	case !absent(procErr):
		d.Version = fact.Missing[string](procVersion, reason(procErr))
	default:
		d.Version = t.notLoaded()
	}
	return d
}

// notLoaded tells why neither file is there.
func (t tree) notLoaded() fact.Fact[string] {
	for path, want := range map[string]bool{"/sys/module": true, "/sys/module/nvidia": false} {
		there, err := t.exists(path)
		if err != nil {
			return fact.Missing[string](path, reason(err))
		}
		if there != want {
			return fact.Missing[string](moduleVersion, "absent, but no proof: "+path+" is there: "+strconv.FormatBool(there))
		}
	}
	return fact.Of("", moduleVersion)
}

// parseProcVersion reads the first line of /proc/driver/nvidia/version (nv-procfs.c of the driver):
//
//	NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.216.03  Thu Apr  3 01:14:19 UTC 2025
//	NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.195.03  Release Build  (builder@host)  Sat …
//
// The version is the first word after "Kernel Module" that looks like one: dates are localised, may be left out
// and may hold numbers with dots. On Jetson it is a Linux for Tegra number, not a driver's; it is returned as is.
func parseProcVersion(text string) (version, flavor string) {
	line, _, _ := strings.Cut(text, "\n")
	before, after, ok := strings.Cut(line, "Kernel Module")
	if !ok || !strings.HasPrefix(line, "NVRM version:") {
		return "", ""
	}
	for word := range strings.FieldsSeq(after) {
		if !isVersion(word) {
			continue
		}
		if strings.HasSuffix(strings.TrimSpace(before), "Open") {
			return word, "open"
		}
		return word, "proprietary"
	}
	return "", ""
}

// isVersion tells whether s is a version of two or three numbers: 580.142, 535.183.06, 35.3.1.
func isVersion(s string) bool {
	if len(s) > 24 {
		return false
	}
	parts := strings.Split(s, ".")
	if len(parts) != 2 && len(parts) != 3 {
		return false
	}
	for _, part := range parts {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}

// majors reads the character devices of /proc/devices: their names and majors.
func (t tree) majors() fact.Fact[map[string]int] {
	const path = "/proc/devices"
	text, err := t.text(path)
	if err != nil {
		return fact.Missing[map[string]int](path, reason(err))
	}
	found, ok := parseDevices(text)
	if !ok {
		return fact.Missing[map[string]int](path, "malformed")
	}
	return fact.Of(found, path)
}

func parseDevices(text string) (map[string]int, bool) {
	_, list, ok := strings.Cut(text, "Character devices:\n")
	if !ok {
		return nil, false
	}
	list, _, _ = strings.Cut(list, "Block devices:")
	found := map[string]int{}
	for line := range strings.Lines(list) {
		number, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		major, err := strconv.Atoi(number)
		if err != nil || major < 0 {
			return nil, false
		}
		found[name] = major
	}
	return found, true
}
