package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A child that does not die is noted in a file of RunDir: its process id, its start time (field 22 of
// /proc/PID/stat) and the boot. The three together name one process for ever.

func (c Child) noteFile() string {
	if c.RunDir == "" || c.Name == "" {
		return ""
	}
	return filepath.Join(c.RunDir, "hung-"+strings.ReplaceAll(c.Name, "/", "_"))
}

// note writes down an abandoned child. Where it cannot be written the next start simply takes place.
func note(c Child, pid int) {
	path := c.noteFile()
	start, boot := startOf(pid), bootID()
	if path == "" || start == "" || boot == "" {
		return
	}
	if err := os.MkdirAll(c.RunDir, 0o755); err != nil {
		return
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = fmt.Fprintf(file, "%d %s %s\n", pid, start, boot)
}

// hanging returns the process id of an abandoned child of this kind that still lives, else 0.
func hanging(c Child) int {
	path := c.noteFile()
	if path == "" {
		return 0
	}
	data, err := tree{}.read(path, 512)
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) == 3 && fields[2] == bootID() {
		pid, err := strconv.Atoi(fields[0])
		if err == nil && pid > 0 && startOf(pid) == fields[1] {
			return pid
		}
	}
	_ = os.Remove(path)
	return 0
}

// startOf returns a living process's start time in clock ticks since boot, "" when it is gone or a zombie.
func startOf(pid int) string {
	data, err := tree{}.read("/proc/"+strconv.Itoa(pid)+"/stat", 4096)
	if err != nil {
		return ""
	}
	stat, err := parseStat(data)
	if err != nil || !stat.alive() {
		return ""
	}
	return strconv.FormatUint(stat.start, 10)
}

func bootID() string {
	data, err := tree{}.read("/proc/sys/kernel/random/boot_id", 128)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(data))
}
