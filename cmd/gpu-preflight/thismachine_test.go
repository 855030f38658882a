package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDoctorOnThisMachine: on a machine without a GPU doctor says so in three lines and ends well; on one with a GPU it has
// something to judge.
func TestDoctorOnThisMachine(t *testing.T) {
	vendors, err := filepath.Glob("/sys/bus/pci/devices/*/vendor")
	if err != nil {
		t.Fatal(err)
	}
	gpu := false
	for _, file := range vendors {
		vendor, unread := os.ReadFile(file)
		if unread != nil {
			t.Fatal(unread)
		}
		gpu = gpu || strings.TrimSpace(string(vendor)) == "0x10de"
	}
	_, err = os.Stat("/sys/module/nvidia")
	gpu = gpu || err == nil

	config := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"gpu-preflight", "--config", config, "doctor"}, strings.NewReader(""), &stdout, &stderr)
	lines := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	last := lines[len(lines)-1]
	switch {
	case stderr.Len() > 0:
		t.Errorf("stderr: %s", &stderr)
	case gpu && (code > 1 || last == "nothing to judge"):
		t.Errorf("a machine with a GPU: exit code %d, %q", code, last)
	case !gpu && (code != 0 || len(lines) != 3 || last != "nothing to judge"):
		t.Errorf("a machine without a GPU: exit code %d, %d lines: %s", code, len(lines), &stdout)
	}
}
