package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"gpu-preflight/checks"
)

// maxPolicy bounds the policy file, in bytes. Ours has 2 KB; what names each unknown key takes time by the square.
const maxPolicy = 64 << 10

// ReadPolicy reads the policy strictly. A file that is absent gives the defaults; any other error names the
// file and the place.
func ReadPolicy(path string) (Policy, error) {
	data, err := readBounded(path, maxPolicy)
	if errors.Is(err, fs.ErrNotExist) {
		return DefaultPolicy(), nil
	}
	p := DefaultPolicy()
	if err == nil {
		p, err = parsePolicy(data)
	}
	if err != nil {
		return DefaultPolicy(), fmt.Errorf("policy %s: %w", path, err)
	}
	p.Path = path
	return p, nil
}

// LoadPolicy is ReadPolicy for a launch: a broken or unreadable file never blocks a host and never surprises
// with enforcement, it judges by the defaults in mode warn and says so.
func LoadPolicy(path string) Policy {
	p, err := ReadPolicy(path)
	if err != nil {
		p.Path, p.Mode, p.Problem = path, ModeWarn, err.Error()
	}
	return p
}

func parsePolicy(data []byte) (Policy, error) {
	p := DefaultPolicy()
	var keys map[string]any
	if err := toml.Unmarshal(data, &keys); err != nil {
		return p, placed(err)
	}
	if key, err := noText(keys); err != nil {
		return p, fmt.Errorf("%s%s: %w", lineOf(data, key), key, err)
	}
	if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&p); err != nil {
		return p, placed(err)
	}
	p.Set = flatten("", keys)
	if key, err := p.wrong(); err != nil {
		return p, fmt.Errorf("%s%s: %w", lineOf(data, key), key, err)
	}
	return p, nil
}

// noText finds a word or a time that is not written as text: the decoder would take the number 5 for 5 ns.
func noText(keys map[string]any) (key string, err error) {
	for _, key := range []string{"mode", "requirement", "evidence", "unknown", "timeout", "nvml_timeout", "settle"} {
		if _, text := keys[key].(string); keys[key] != nil && !text {
			return key, fmt.Errorf("%v is no text (words and times stand in quotes: \"warn\", \"5s\")", keys[key])
		}
	}
	settings, _ := keys["checks"].(map[string]any)
	for _, id := range slices.Sorted(maps.Keys(settings)) {
		if _, text := settings[id].(string); !text {
			return "checks." + id, fmt.Errorf("%v is none of off, warn and refuse", settings[id])
		}
	}
	return "", nil
}

// placed adds line and column to what the decoder found wrong.
func placed(err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		row, column := strict.Errors[0].Position()
		return fmt.Errorf("line %d, column %d: unknown key %s", row, column, strings.Join(strict.Errors[0].Key(), "."))
	}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := wrong.Position()
		return fmt.Errorf("line %d, column %d: %w", row, column, err)
	}
	return err
}

// wrong finds a value that its key does not take, and names the key: the decoder does not ask UnmarshalText of words.
func (p Policy) wrong() (key string, err error) {
	for _, w := range []struct {
		key string
		err error
	}{
		{"mode", p.Mode.UnmarshalText([]byte(p.Mode))},
		{"requirement", p.Requirement.UnmarshalText([]byte(p.Requirement))},
		{"evidence", p.Evidence.UnmarshalText([]byte(p.Evidence))},
		{"unknown", p.Unknown.UnmarshalText([]byte(p.Unknown))},
	} {
		if w.err != nil {
			return w.key, w.err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.Checks)) {
		setting := p.Checks[id]
		if !slices.ContainsFunc(checks.All(), func(c checks.Check) bool { return c.ID == id }) {
			return "checks." + id, fmt.Errorf("no check is called %.60q", id)
		}
		if err := setting.UnmarshalText([]byte(setting)); err != nil {
			return "checks." + id, err
		}
	}
	return "", nil
}

// lineOf finds the line of a key for a message, empty when it is written in a way that is not looked for.
func lineOf(data []byte, key string) string {
	section := ""
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			section = strings.TrimSpace(name) + "."
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if ok && section+strings.Trim(name, " \t\"'") == key {
			return fmt.Sprintf("line %d: ", i+1)
		}
	}
	return ""
}

func flatten(prefix string, table map[string]any) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if sub, ok := table[key].(map[string]any); ok {
			keys = append(keys, flatten(prefix+key+".", sub)...)
		} else {
			keys = append(keys, prefix+key)
		}
	}
	return keys
}
