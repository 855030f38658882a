package register

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// nvidiaDaemons are files with NVIDIA's runtime as nvidia-ctk and people write it.
var nvidiaDaemons = map[string]string{
	"named":           "{\"runtimes\": {\"nvidia\": {\"args\": [], \"path\": \"nvidia-container-runtime\"}}}\n",
	"the default":     "{\n    \"default-runtime\": \"nvidia\",\n    \"runtimes\": {\n        \"nvidia\": {\n            \"args\": [],\n            \"path\": \"nvidia-container-runtime\"\n        }\n    }\n}",
	"absolute, CRLF":  "{\r\n\t\"runtimes\": {\"nvidia\":{\"path\":\"/usr/bin/nvidia-container-runtime\",\"runtimeArgs\":[]}},\r\n\t\"debug\": true\r\n}\r\n",
	"by another name": "{\"runtimes\": {\"gpu\": {\"path\": \"/usr/bin/nvidia-container-runtime\"}, \"crun\": {\"path\": \"crun\"}}, \"default-runtime\": \"crun\"}\n",
}

// TestDockerAboveThereAndBack: asked for, the shim stands in front of NVIDIA's runtime; registering again without asking
// leaves it there; unregister gives the bytes back, and without its state, or after a change, what NVIDIA's entry was.
func TestDockerAboveThereAndBack(t *testing.T) {
	for name, text := range nvidiaDaemons {
		t.Run(name, func(t *testing.T) {
			s := dockerHost(t, text, nil)
			s.AboveNVIDIA = true
			p := register(t, s)
			once := content(t, s, daemonFile)
			entry := "nvidia"
			if name == "by another name" {
				entry = "gpu"
			}
			c, err := readDaemonJSON([]byte(once))
			if err != nil || c.Runtimes[entry].Path != s.ShimPath("docker-"+entry) {
				t.Errorf("registered: %v: %s", err, once)
			}
			if !slices.Contains(p.Shims, Shim{Name: "docker-" + entry, Next: "/usr/bin/nvidia-container-runtime"}) {
				t.Errorf("shims: %+v", p.Shims)
			}
			if old, _ := readDaemonJSON([]byte(text)); old.DefaultRuntime == "nvidia" && c.DefaultRuntime != "nvidia" {
				t.Errorf("the default runtime is %s", c.DefaultRuntime)
			}
			checkStarts(t, s)
			s.AboveNVIDIA = false
			if again := register(t, s); len(again.Edits) != 0 || !slices.Equal(again.Shims, p.Shims) {
				t.Errorf("the second time: %+v", again)
			}
			unregister(t, s, false)
			if got := content(t, s, daemonFile); got != text {
				t.Errorf("taken out: %q, want %q", got, text)
			}

			s.AboveNVIDIA = true
			register(t, s)
			if err := writeState(s, "docker", nil); err != nil {
				t.Fatal(err)
			}
			unregister(t, s, false)
			was, _ := decodeJSON([]byte(text))
			if got, err := decodeJSON([]byte(content(t, s, daemonFile))); err != nil || !reflect.DeepEqual(got, was) {
				t.Errorf("taken out without the state: %v: %s", err, content(t, s, daemonFile))
			}
		})
	}
}

// TestDockerAboveRewritten: nvidia-ctk writes its entry whole, without ours: status says so, and with which command it
// comes back.
func TestDockerAboveRewritten(t *testing.T) {
	s := dockerHost(t, nvidiaDaemons["the default"], nil)
	put(t, filepath.Join(s.Root, "usr/local/bin/gpu-preflight-hook"), "#!/bin/sh\n", 0o755)
	s.AboveNVIDIA = true
	register(t, s)
	s.AboveNVIDIA = false
	if row := engineStatus(s, docker()); row.State != Registered {
		t.Fatalf("%+v", row)
	}
	put(t, filepath.Join(s.Root, daemonFile), nvidiaDaemons["the default"], 0o644)
	row := engineStatus(s, docker())
	if row.State != Drifted || row.Mend != "gpu-preflight register --above-nvidia docker" || !strings.Contains(row.What[0], "was rewritten without our entry") {
		t.Errorf("%+v", row)
	}
}

// TestDockerAboveNothing: without a runtime of NVIDIA's, or without its program, there is nothing to stand above.
func TestDockerAboveNothing(t *testing.T) {
	for text, want := range map[string]string{
		"{}": "none of its runtimes is NVIDIA's",
		"{\"runtimes\": {\"nvidia\": {\"path\": \"/opt/nvidia-container-runtime\"}}}": "no program /opt/nvidia-container-runtime",
	} {
		s := dockerHost(t, text, nil)
		s.AboveNVIDIA = true
		if p, err := docker().Plan(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: planned %+v, %v", text, p, err)
		}
	}
}
