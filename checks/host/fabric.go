package host

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks/fact"
)

// maxProgram bounds how much of a daemon's program file is searched for its version.
const maxProgram = 16 << 20

// managerConfigs are where fabricmanager.cfg lies: the driver packages' place, the same in a driver container, and an
// administrator's.
var managerConfigs = []string{
	"/usr/share/nvidia/nvswitch/fabricmanager.cfg",
	"/run/nvidia/driver/usr/share/nvidia/nvswitch/fabricmanager.cfg",
	"/etc/nvidia/nvswitch/fabricmanager.cfg",
}

// managerConfig reads Fabric Manager's settings; no file is a known empty set.
func (t tree) managerConfig() fact.Fact[map[string]string] {
	for _, path := range managerConfigs {
		text, err := t.text(path)
		if absent(err) {
			continue
		}
		if err != nil {
			return fact.Missing[map[string]string](path, reason(err))
		}
		return fact.Of(parseConfig(text), path)
	}
	return fact.Of(map[string]string{}, managerConfigs[0])
}

// parseConfig reads KEY=VALUE lines; # begins a comment line. The last of two equal keys counts.
func parseConfig(text string) map[string]string {
	found := map[string]string{}
	for key, value := range pairs(text, "=") {
		if key != "" && !strings.HasPrefix(key, "#") {
			found[key] = value
		}
	}
	return found
}

// programVersion reads a running program's driver version from its file, through /proc/PID/exe: a replaced
// program still opens there. The version is the one text in the file that is a driver version and nothing else;
// with several or none it is unknown.
func (t tree) programVersion(pid int) fact.Fact[string] {
	path := "/proc/" + strconv.Itoa(pid) + "/exe"
	fd, _, err := t.openRegular(path)
	if err != nil && t.top != "" && t.isProc() {
		fd, _, err = tree{}.openRegular(t.top + path) // a link of the kernel's own, which no resolver follows
	}
	if err != nil {
		return fact.Missing[string](path, reason(err))
	}
	defer func() { _ = unix.Close(fd) }()
	found, err := searchVersions(func(buf []byte) (int, error) { return readRetry(fd, buf) })
	if err != nil {
		return fact.Missing[string](path, reason(&fs.PathError{Err: err}))
	}
	if len(found) != 1 {
		return fact.Missing[string](path, "holds "+strconv.Itoa(len(found))+" texts that look like a driver version")
	}
	return fact.Of(found[0], path)
}

// isProc tells whether the kernel's own /proc lies below the top.
func (t tree) isProc() bool {
	var stat unix.Statfs_t
	return unix.Statfs(t.top+"/proc", &stat) == nil && stat.Type == unix.PROC_SUPER_MAGIC
}

var errTooLong = errors.New("longer than is searched")

// searchVersions collects the different zero-ended texts that are driver versions, in at most maxProgram bytes.
func searchVersions(read func([]byte) (int, error)) ([]string, error) {
	var found []string
	buf := make([]byte, 256<<10)
	kept := 0 // bytes of an unfinished text at the buffer's begin
	for total := 0; ; {
		n, err := read(buf[kept:])
		if err != nil || n == 0 {
			return found, err
		}
		if total += n; total > maxProgram {
			return nil, errTooLong
		}
		data := buf[:kept+n]
		for {
			end := bytes.IndexByte(data, 0)
			if end < 0 {
				break
			}
			if text := string(lastText(data[:end])); isDriverVersion(text) && !slices.Contains(found, text) && len(found) < 8 {
				found = append(found, text)
			}
			data = data[end+1:]
		}
		data = data[max(0, len(data)-32):]
		kept = copy(buf, data)
	}
}

// lastText cuts off what stands before the last byte that is not printable.
func lastText(data []byte) []byte {
	data = data[max(0, len(data)-32):]
	for i, c := range slices.Backward(data) {
		if c < ' ' || c > '~' {
			return data[i+1:]
		}
	}
	return data
}

// isDriverVersion tells a Linux driver's version (three digits first, 418 or later) from other versions.
func isDriverVersion(s string) bool {
	if len(s) < 6 || !isVersion(s) || s[3] != '.' {
		return false
	}
	branch, err := strconv.Atoi(s[:3])
	return err == nil && branch >= 418
}

// managerAtBoot tells whether systemd starts Fabric Manager at boot: systemctl enable links the unit into a target's
// folder, and an image may bring it there. Who has no unit starts the daemon otherwise, or not at all: unknown.
func (t tree) managerAtBoot() fact.Fact[bool] {
	const unit, etc, usr = "nvidia-fabricmanager.service", "/etc/systemd/system", "/usr/lib/systemd/system"
	found := ""
	for _, dir := range []string{etc, "/lib/systemd/system", usr} {
		there, err := t.exists(dir + "/" + unit)
		if err != nil {
			return fact.Missing[bool](dir+"/"+unit, reason(err))
		}
		if there {
			found = dir + "/" + unit
		}
	}
	if found == "" {
		return fact.Missing[bool](usr+"/"+unit, "there is no unit of Fabric Manager")
	}
	for _, dir := range []string{etc + "/multi-user.target.wants", etc + "/graphical.target.wants", usr + "/multi-user.target.wants"} {
		names, err := t.names(dir)
		if err != nil && !absent(err) {
			return fact.Missing[bool](dir, reason(err))
		}
		if slices.Contains(names, unit) {
			return fact.Of(true, dir)
		}
	}
	return fact.Of(false, found)
}
