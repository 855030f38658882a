package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// doctorRounds is how often each of the two runs: they take a hundred times as long as a launch.
const doctorRounds = 10

// printDoctor prints what doctor costs on a host of 16 GPUs and 3,000 packages, beside dpkg's own list of them.
func (s scene) printDoctor(ctx context.Context, out io.Writer) error {
	const gpus, packages = 16, 3000
	files := hostFiles(gpus)
	var status strings.Builder
	for i := range packages {
		fmt.Fprintf(&status, "Package: package-%d\nStatus: install ok installed\nPriority: optional\nSection: libs\nMaintainer: nobody\n"+
			"Architecture: amd64\nVersion: 1.%d-1\nDescription: a package\n a longer text\n\n", i, i)
	}
	fmt.Fprintf(&status, "Package: nvidia-driver-580\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: amd64\nVersion: %s-1\nDescription: driver\n\n", driver)
	files["host/var/lib/dpkg/status"] = status.String()
	for name, text := range files {
		path := s.path(filepath.Join("doctor", name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, folder := range []string{"updates", "info", "triggers"} {
		if err := os.MkdirAll(s.path("doctor/host/var/lib/dpkg/"+folder), 0o755); err != nil {
			return err
		}
	}
	rows := []program{
		{name: "dpkg -l", args: []string{"dpkg", "--admindir=" + s.path("doctor/host/var/lib/dpkg"), "-l"}, stdin: "/dev/null"},
		{name: "gpu-preflight doctor", args: []string{filepath.Join(s.bin, "gpu-preflight"), "--root", s.path("doctor/host"), "doctor"}, stdin: "/dev/null"},
	}
	for range doctorRounds {
		for i := range rows {
			if err := rows[i].time(ctx); err != nil {
				return err
			}
		}
	}
	list, doctor := rows[0].median(), rows[1].median()
	_, err := fmt.Fprintf(out, "\n%d GPUs, %d packages, %d rounds: dpkg -l %.0f ms, doctor %.0f ms (%.1f x)\n",
		gpus, packages, doctorRounds, float64(list.Microseconds())/1000, float64(doctor.Microseconds())/1000, float64(doctor)/float64(list))
	return err
}
