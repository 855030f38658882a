package hook

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/testdata/fixture"
)

// TestPolicyIsDocumented: docs/policy.md has a row for every key of the policy with its default, and no other row.
func TestPolicyIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(fixture.Root(), "docs", "policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) == 5 && strings.HasPrefix(line, "| `") {
			rows[strings.Trim(cells[1], " `")] = strings.Trim(cells[2], " `")
		}
	}
	for key, value := range policyKeys("", reflect.ValueOf(DefaultPolicy())) {
		shown, documented := rows[key]
		delete(rows, key)
		switch {
		case !documented:
			t.Errorf("no row for %s", key)
		case shown == "none" && value == "{}":
		case shown == "see below":
			if !strings.Contains(string(text), value) {
				t.Errorf("%s: the default %s is not shown", key, value)
			}
		case shown != value:
			t.Errorf("%s: the default is %s, not %s", key, value, shown)
		}
	}
	for key := range rows {
		t.Errorf("%s is documented, but is no key", key)
	}
}

// policyKeys are the dotted keys of the file and their values as the file writes them.
func policyKeys(prefix string, policy reflect.Value) map[string]string {
	keys := map[string]string{}
	for i := range policy.NumField() {
		name := policy.Type().Field(i).Tag.Get("toml")
		value := policy.Field(i)
		switch {
		case name == "-":
		case value.Kind() == reflect.Struct:
			maps.Copy(keys, policyKeys(prefix+name+".", value))
		default:
			text, _ := json.Marshal(value.Interface())
			keys[prefix+name] = strings.ReplaceAll(string(text), `","`, `", "`)
		}
	}
	return keys
}

// TestStrictPolicyOfTheDocument: the block for cautious sites is read as it stands, and names checks of a launch.
func TestStrictPolicyOfTheDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(fixture.Root(), "docs", "policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```toml\nunknown = ")
	block, _, _ = strings.Cut("unknown = "+block, "```")
	p, err := parsePolicy([]byte(block))
	if err != nil {
		t.Fatal(err)
	}
	if p.Unknown != "refuse" || p.Checks["gpu-row-remapping"] != SettingRefuse || len(p.Checks) < 8 {
		t.Errorf("%+v", p)
	}
	for id := range p.Checks {
		if !slices.ContainsFunc(checks.AtLaunch(nil), func(c checks.Check) bool { return c.ID == id }) {
			t.Errorf("no launch asks %s", id)
		}
	}
	if loose, err := parsePolicy([]byte(strings.ReplaceAll(block, "# gpu-ecc", "gpu-ecc"))); err != nil || loose.Checks["gpu-ecc"] != SettingRefuse {
		t.Errorf("with gpu-ecc: %v", err)
	}
}
