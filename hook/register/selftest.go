package register

import (
	"fmt"
	"path/filepath"
	"strings"
)

// selfTestFile is our drop-in for an engine's systemd unit.
const selfTestFile = "gpu-preflight.conf"

// selfTestLine begins each line of ours in it. With the dash, the engine starts whatever becomes of the test.
const selfTestLine = "ExecStartPre=-/bin/sh -c '"

// SelfTest is what an engine's unit does before the engine starts, as a command for sh: a shim that does not run
// (gone, not executable, of another architecture) is replaced by a link to its next runtime, so that containers start.
// Where the next runtime does not run either, nothing would be won. It needs nothing of ours.
func (s Site) SelfTest(shim Shim) string {
	path, next := `"`+s.ShimPath(shim.Name)+`"`, `"`+shim.Next+`"`
	return path + " --version >/dev/null 2>&1 || ! " + next + " --version >/dev/null 2>&1 || { " +
		`mkdir -p "` + s.shimFolder(shim.Name) + `" && ln -sfn ` + next + " " + path + ` && ` +
		`echo "gpu-preflight: ` + s.ShimPath(shim.Name) + ` does not run. Launches pass unjudged until gpu-preflight register" >&2; }`
}

// withSelfTest puts the drop-in of an engine's unit before the edits of its configuration. A configuration elsewhere may
// be another daemon's, whose unit is not known.
func withSelfTest(s Site, engine, unit string, shims []Shim, edits []Edit) ([]Edit, error) {
	if s.Configs[engine] != "" {
		return edits, nil
	}
	dropIn, err := s.selfTest(unit, shims)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", selfTestPath(unit), err)
	}
	return append(dropIn, edits...), nil
}

// selfTest puts the test into the unit's drop-in, and the unit behind the driver's services. A host without the unit has
// none.
func (s Site) selfTest(unit string, shims []Shim) ([]Edit, error) {
	if s.unit(unit) == "" {
		return nil, nil
	}
	var text strings.Builder
	text.WriteString(markMade + "\n" + waitsForDriver + "\n[Service]\n")
	for _, shim := range shims {
		if odd := s.ShimPath(shim.Name) + shim.Next; strings.ContainsAny(odd, "'\"\\$`\n") {
			return nil, fmt.Errorf("%q cannot stand in a systemd unit", odd)
		}
		command := strings.ReplaceAll(s.SelfTest(shim), "%", "%%") // systemd.service(5), command lines
		text.WriteString(selfTestLine + command + "'\n")
	}
	after := text.String()
	path := selfTestPath(unit)
	before, mode, err := s.read(path)
	if err != nil || string(before) != after {
		return []Edit{{Path: path, Before: before, After: []byte(after), Mode: mode}}, err
	}
	return nil, nil
}

func selfTestPath(unit string) string { return filepath.Join(unitFolder, unit+".d", selfTestFile) }

// stripSelfTest takes our lines out; nil: nothing else is there.
func stripSelfTest(content []byte) []byte {
	var rest strings.Builder
	empty := true
	text := strings.Replace(string(content), waitsForDriver+"\n[Service]", "[Service]", 1) // nobody else's line is in the section
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, markMade) || strings.TrimSpace(line) == "After="+driverServices || (strings.HasPrefix(line, selfTestLine) && strings.Contains(line, "/libexec/gpu-preflight/")) {
			continue
		}
		word := strings.TrimSpace(line)
		empty = empty && (word == "" || word == "[Unit]" || word == "[Service]")
		rest.WriteString(line)
	}
	if empty {
		return nil
	}
	return []byte(rest.String())
}
