package host

import (
	"bytes"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks/fact"
)

const (
	maxTail     = 1 << 20 // of a log file
	maxLogLines = 60
	maxLogLine  = 400
)

// logFiles hold the kernel's messages where /dev/kmsg cannot be asked: below another root.
var logFiles = []string{"/var/log/dmesg", "/var/log/kern.log", "/var/log/messages"}

// kernelLog keeps the lines of the kernel's log that concern the driver: of this machine through /dev/kmsg, below
// another root from its files.
func (t tree) kernelLog() fact.Fact[[]string] {
	if t.top == "" {
		return t.kmsg()
	}
	for _, path := range logFiles {
		text, err := t.tail(path)
		if absent(err) {
			continue
		}
		if err != nil {
			return fact.Missing[[]string](path, reason(err))
		}
		return fact.Of(driverLines(text), path)
	}
	return fact.Missing[[]string](strings.Join(logFiles, ", "), "there is none")
}

// kmsg reads the ring buffer without waiting for more (Documentation/ABI/testing/dev-kmsg): a record a read,
// "6,339,5140900,-;text".
func (t tree) kmsg() fact.Fact[[]string] {
	const path = "/dev/kmsg"
	fd, err := t.open(path, unix.O_RDONLY)
	if err != nil {
		return fact.Missing[[]string](path, reason(err))
	}
	defer func() { _ = unix.Close(fd) }()
	var text strings.Builder
	buf := make([]byte, 8<<10)
	for range 1 << 17 {
		n, err := readRetry(fd, buf)
		if errors.Is(err, unix.EPIPE) {
			continue // overwritten meanwhile; the next read goes on behind it
		}
		if err != nil || n <= 0 {
			break
		}
		if _, message, ok := bytes.Cut(buf[:n], []byte(";")); ok {
			message, _, _ = bytes.Cut(message, []byte("\n"))
			text.Write(append(message, '\n'))
		}
	}
	return fact.Of(driverLines(text.String()), path)
}

// driverLines keeps the newest lines that concern the driver. A message of the driver's goes on over several lines
// that each begin with NVRM; they are kept as they stand.
func driverLines(text string) []string {
	found := []string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) > maxLogLine {
			line = line[:maxLogLine]
		}
		for _, part := range []string{"NVRM", "nvidia", "nouveau", "Xid", "Key was rejected", "module verification", "PKCS#7", "unavailable key", "Lockdown", "locked down"} {
			if strings.Contains(line, part) {
				found = append(found, line)
				break
			}
		}
	}
	return found[max(0, len(found)-maxLogLines):]
}

// managerLogs are where the daemons of the fabric write (Fabric Manager user guide).
var managerLogs = []string{"/var/log/fabricmanager.log", "/var/log/nvlsm.log", "/var/log/nvidia-imex.log"}

// managerLog keeps their lines of trouble; no log is a known none.
func (t tree) managerLog() fact.Fact[[]string] {
	found := []string{}
	for _, path := range managerLogs {
		text, err := t.tail(path)
		if err != nil && !absent(err) {
			return fact.Missing[[]string](path, reason(err))
		}
		var lines []string
		for line := range strings.Lines(text) {
			lower := strings.ToLower(line)
			for _, part := range []string{"error", "fail", "don't match", "mismatch", "nothing_to_do", "cannot open", "umad", "lpf"} {
				if strings.Contains(lower, part) {
					lines = append(lines, strings.TrimSpace(line[:min(len(line), maxLogLine)]))
					break
				}
			}
		}
		found = append(found, lines[max(0, len(lines)-8):]...)
	}
	return fact.Of(found, managerLogs[0])
}

// tail returns at most the last MiB of a log.
func (t tree) tail(path string) (string, error) {
	fd, size, err := t.openRegular(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	buf := make([]byte, min(size, maxTail))
	n, err := unix.Pread(fd, buf, size-int64(len(buf)))
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}
