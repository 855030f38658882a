package oci_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// configFor builds the configuration that a row speaks of.
func configFor(t *testing.T, bundles string, e expectation) map[string]any {
	t.Helper()
	file, key, _ := strings.Cut(e.file, "#")
	if env, ok := strings.CutPrefix(file, "hook+env:"); ok {
		c := minimal()
		addEnv(c, strings.Split(env, ";")...)
		addHook(c, "prestart", map[string]any{"path": "/usr/bin/nvidia-container-runtime-hook", "args": []any{"nvidia-container-runtime-hook", "prestart"}})
		return c
	}
	if env, ok := strings.CutPrefix(file, "env:"); ok {
		c := minimal()
		addEnv(c, strings.Split(env, ";")...)
		return c
	}
	raw, err := os.ReadFile(filepath.Join(bundles, file))
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.ReplaceAll(raw, []byte("<uuid>"), []byte(redacted))
	var whole any
	if err = yaml.Unmarshal(raw, &whole); err != nil { // JSON is YAML.
		t.Fatal(err)
	}
	if e.judgedAs == "cdi" {
		return applied(t, whole.(map[string]any), strings.ReplaceAll(key, "<uuid>", redacted))
	}
	part := at(t, whole, key)
	if e.judgedAs == "config" {
		return part.(map[string]any)
	}
	return wrapped(part)
}

// at follows a dotted path of keys and array indexes.
func at(t *testing.T, v any, path string) any {
	t.Helper()
	if path == "" {
		return v
	}
	for step := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(x) {
				t.Fatalf("%s: no element %q", path, step)
			}
			v = x[i]
		}
	}
	if v == nil {
		t.Fatalf("%s: nothing there", path)
	}
	return v
}

func minimal() map[string]any {
	return map[string]any{
		"ociVersion": "1.2.0",
		"process":    map[string]any{"args": []any{"sh"}, "cwd": "/", "env": []any{"PATH=/usr/bin"}},
		"root":       map[string]any{"path": "rootfs"},
		"linux":      map[string]any{},
	}
}

// wrapped lays a part over a minimal configuration: the keys of a config.json as they are, and the forms in which
// reports quote an environment, a list of nodes, or one hook.
func wrapped(part any) map[string]any {
	c := minimal()
	if env, ok := part.([]any); ok {
		addEnv(c, texts(env)...)
		return c
	}
	for key, v := range part.(map[string]any) {
		switch strings.ToLower(key) {
		case "hooks", "linux", "annotations", "mounts":
			c[strings.ToLower(key)] = v
		case "process":
			addEnv(c, texts(v.(map[string]any)["env"])...)
		case "env":
			addEnv(c, texts(v)...)
		case "linux_devices", "dev":
			for _, node := range texts(v) {
				numbers, path, ok := strings.Cut(node, " ")
				if !ok {
					numbers, path = "", node
				}
				addNode(c, numbered(path, numbers))
			}
		case "path": // One entry of hooks.d: its environment is the hook's, not the container's.
			c = minimal()
			addHook(c, "prestart", part)
			return c
		}
	}
	return c
}

// applied returns a minimal configuration with the common edits of a CDI specification and those of one device.
// A management device is known by the annotation that asks for it alone: its edits do not say what it is.
func applied(t *testing.T, spec map[string]any, device string) map[string]any {
	t.Helper()
	c := minimal()
	edits := []any{spec["containerEdits"]}
	for _, d := range list(spec["devices"]) {
		if d["name"] == device {
			edits = append(edits, d["containerEdits"])
		}
	}
	if device != "" && len(edits) != 2 {
		t.Fatalf("no device %q", device)
	}
	if kind, _ := spec["kind"].(string); strings.HasPrefix(kind, "management.") {
		c["annotations"] = map[string]any{"cdi.k8s.io/test": kind + "=" + device}
	}
	for _, e := range list(edits) {
		edit(c, e)
	}
	return c
}

// edit applies one block of CDI's containerEdits.
func edit(c, edits map[string]any) {
	addEnv(c, texts(edits["env"])...)
	for _, n := range list(edits["deviceNodes"]) {
		path, _ := n["path"].(string)
		node := numbered(path, "")
		for _, k := range []string{"major", "minor"} {
			if v, ok := n[k]; ok {
				node[k] = v
			}
		}
		addNode(c, node)
	}
	for _, h := range list(edits["hooks"]) {
		stage, _ := h["hookName"].(string)
		addHook(c, stage, map[string]any{"path": h["path"], "args": h["args"], "env": h["env"]})
	}
	mounts, _ := c["mounts"].([]any)
	for _, m := range list(edits["mounts"]) {
		mounts = append(mounts, map[string]any{
			"destination": m["containerPath"], "source": m["hostPath"], "type": "bind", "options": m["options"],
		})
	}
	c["mounts"] = mounts
}

// numbered gives a node the numbers that a host would: specifications leave them to the engine.
func numbered(path, numbers string) map[string]any {
	major, minor := 10, 200
	var n int
	switch name := filepath.Base(path); {
	case numbers != "":
		a, b, _ := strings.Cut(numbers, ":")
		major, _ = strconv.Atoi(a)
		minor, _ = strconv.Atoi(b)
	case name == "nvidiactl":
		major, minor = 195, 255
	case name == "nvidia-modeset":
		major, minor = 195, 254
	case name == "nvidia-uvm":
		major, minor = 511, 0
	case name == "nvidia-uvm-tools":
		major, minor = 511, 1
	case scan(name, "nvidia-cap%d", &n):
		major, minor = 239, n
	case scan(name, "nvidia%d", &n):
		major, minor = 195, n
	}
	return map[string]any{"path": path, "type": "c", "major": major, "minor": minor}
}

func scan(s, format string, n *int) bool {
	_, err := fmt.Sscanf(s, format, n)
	return err == nil
}

func addNode(c, node map[string]any) {
	linux := c["linux"].(map[string]any)
	nodes, _ := linux["devices"].([]any)
	linux["devices"] = append(nodes, node)
}

func addEnv(c map[string]any, env ...string) {
	process, _ := c["process"].(map[string]any)
	old, _ := process["env"].([]any)
	for _, e := range slices.DeleteFunc(env, func(e string) bool { return e == "" }) {
		old = append(old, e)
	}
	process["env"] = old
}

func addHook(c map[string]any, stage string, hook any) {
	hooks, _ := c["hooks"].(map[string]any)
	if hooks == nil {
		hooks = map[string]any{}
		c["hooks"] = hooks
	}
	entries, _ := hooks[stage].([]any)
	hooks[stage] = append(entries, hook)
}

func texts(v any) []string {
	values, _ := v.([]any)
	out := make([]string, 0, len(values))
	for _, x := range values {
		out = append(out, fmt.Sprint(x))
	}
	return out
}

// list returns the objects among the values: a specification may leave containerEdits out.
func list(v any) []map[string]any {
	values, _ := v.([]any)
	out := make([]map[string]any, 0, len(values))
	for _, x := range values {
		if object, ok := x.(map[string]any); ok {
			out = append(out, object)
		}
	}
	return out
}
