package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/testdata/fixture"
)

// TestCorpus judges every row of testdata/corpus.tsv: what real configurations, fragments of them and CDI edits
// have to be taken for.
func TestCorpus(t *testing.T) {
	bundles := filepath.Join(fixture.Corpus(t), "bundles")
	table, err := os.ReadFile(filepath.Join(fixture.Root(), "testdata", "corpus.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for i, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		columns := strings.Split(line, "\t")
		if len(columns) != 6 {
			t.Fatalf("corpus.tsv:%d: %d columns", i+2, len(columns))
		}
		if columns[1] == "none" {
			continue
		}
		judged++
		t.Run(columns[0], func(t *testing.T) {
			c := corpusContainer(t, bundles, columns[0], columns[1] == "cdi")
			checkRow(t, FindGPUs(c, Host{}), columns)
		})
	}
	if judged < 100 {
		t.Errorf("only %d rows were judged", judged)
	}
}

func checkRow(t *testing.T, r GPURequest, columns []string) {
	t.Helper()
	gpu, route := "no", "-"
	if r.GPU && r.NotJudged == "" {
		gpu = "yes"
		if r.Route != RouteNone {
			route = string(r.Route)
		}
	}
	switch want := columns[2]; {
	case want == "undecidable" && columns[3] != "-" && gpu == "yes" && route != columns[3]:
		t.Errorf("route %s, want %s (%s)", route, columns[3], columns[5])
	case want == "undecidable":
	case gpu != want || route != columns[3]:
		t.Errorf("gpu %s, route %s: want %s, %s (%s)\n%+v", gpu, route, want, columns[3], columns[5], r)
	case gpu == "yes" && gpuColumn(r) != columns[4]:
		t.Errorf("GPUs %s, want %s (%s)", gpuColumn(r), columns[4], columns[5])
	}
}

func gpuColumn(r GPURequest) string {
	var names []string
	if r.All {
		names = append(names, "all")
	}
	for _, d := range r.Devices {
		if !isNumber(d[:1]) && !isUUID(d) {
			d = "unknown:" + d
		}
		names = append(names, d)
	}
	for _, minor := range r.Minors {
		names = append(names, "minor:"+strconv.Itoa(minor))
	}
	for _, minor := range r.MIGCaps {
		names = append(names, "cap:"+strconv.Itoa(minor))
	}
	if names == nil {
		return "-"
	}
	return strings.Join(names, ",")
}

// corpusContainer builds what a row names: env:A=1;B=2 with or without NVIDIA's hook, a CDI file with a device,
// or a part of a JSON file.
func corpusContainer(t *testing.T, bundles, name string, isCDI bool) *Container {
	t.Helper()
	if words, ok := strings.CutPrefix(name, "hook+env:"); ok {
		c := &Container{Env: strings.Split(words, ";")}
		c.Hooks.Prestart = []specs.Hook{{Path: "/usr/bin/nvidia-container-runtime-hook"}}
		return c
	}
	if words, ok := strings.CutPrefix(name, "env:"); ok {
		return &Container{Env: strings.Split(words, ";")}
	}
	file, part, _ := strings.Cut(name, "#")
	data, err := os.ReadFile(filepath.Join(bundles, file))
	if err != nil {
		t.Fatal(err)
	}
	if isCDI {
		return cdiContainer(t, file, data, part)
	}
	var document any
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	return fragment(t, choose(t, document, part))
}

func choose(t *testing.T, document any, part string) any {
	t.Helper()
	if part == "" {
		return document
	}
	for key := range strings.SplitSeq(part, ".") {
		switch v := document.(type) {
		case map[string]any:
			document = v[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(v) {
				t.Fatalf("no element %s", key)
			}
			document = v[i]
		}
	}
	if document == nil {
		t.Fatalf("nothing at %s", part)
	}
	return document
}

// fragment reads the forms that the excerpts have beside config.json's own: a list is an environment, a hook
// object stands in prestart, "dev" holds lines of ls.
func fragment(t *testing.T, document any) *Container {
	t.Helper()
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := document.([]any); ok {
		data = []byte(`{"env": ` + string(data) + `}`)
	}
	c, err := parseConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	var other struct {
		specs.Hook
		Env          []string `json:"env"`
		LinuxDevices []string `json:"linux_devices"`
		Dev          []string `json:"dev"`
	}
	if err := json.Unmarshal(data, &other); err != nil {
		t.Fatal(err)
	}
	c.Env = append(c.Env, other.Env...)
	if other.Path != "" {
		c.Hooks.Prestart = append(c.Hooks.Prestart, other.Hook)
	}
	for _, node := range other.LinuxDevices {
		c.Devices = append(c.Devices, specs.LinuxDevice{Path: node})
	}
	for _, line := range other.Dev {
		var d specs.LinuxDevice
		if _, err := fmt.Sscanf(line, "%d:%d %s", &d.Major, &d.Minor, &d.Path); err != nil {
			t.Fatal(err)
		}
		c.Devices = append(c.Devices, d)
	}
	return c
}

type cdiEdits struct {
	Env         []string
	DeviceNodes []specs.LinuxDevice
	Mounts      []struct{ HostPath, ContainerPath string }
	Hooks       []struct {
		HookName, Path string
		Args           []string
	}
}

// cdiContainer applies a CDI file's edits and those of one device to an empty container, as an engine does.
func cdiContainer(t *testing.T, file string, data []byte, device string) *Container {
	t.Helper()
	if strings.HasSuffix(file, ".yaml") {
		document, err := json.Marshal(parseYAML(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		data = document
	}
	var spec struct {
		Kind    string
		Devices []struct {
			Name           string
			ContainerEdits cdiEdits
		}
		ContainerEdits cdiEdits
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	c := &Container{}
	if spec.Kind == managementKind {
		c.Annotations = map[string]string{"cdi.k8s.io/management": managementKind + "=" + device}
	}
	found := device == ""
	for _, d := range spec.Devices {
		if d.Name == device && !found {
			applyEdits(c, d.ContainerEdits)
			found = true
		}
	}
	if !found {
		t.Fatalf("no device %s", device)
	}
	applyEdits(c, spec.ContainerEdits)
	return c
}

func applyEdits(c *Container, edits cdiEdits) {
	c.Env = append(c.Env, edits.Env...)
	c.Devices = append(c.Devices, edits.DeviceNodes...)
	for _, m := range edits.Mounts {
		c.Mounts = append(c.Mounts, specs.Mount{Source: m.HostPath, Destination: m.ContainerPath})
	}
	for _, h := range edits.Hooks {
		if hook := (specs.Hook{Path: h.Path, Args: h.Args}); h.HookName == "createContainer" {
			c.Hooks.CreateContainer = append(c.Hooks.CreateContainer, hook)
		}
	}
}
