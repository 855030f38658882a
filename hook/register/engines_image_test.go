package register_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"testing"
)

// criImage is the image of the pods and of their containers.
const criImage = "localhost/gpu-preflight-test:1"

// busyboxImage is an archive as docker saves it. As a pod's own container it sleeps. It has a program by the name of
// NVIDIA's that labels nodes.
func busyboxImage(t *testing.T) []byte { t.Helper(); return imageNamed(t, criImage) }

// imageNamed is such an image that has this name alone: of one with several names containerd tells any.
func imageNamed(t *testing.T, name string) []byte {
	t.Helper()
	busybox, err := os.ReadFile(lookPath(t, "busybox"))
	must(t, err)
	layer := tarOf(t, "bin/busybox", busybox, "bin/gpu-feature-discovery", []byte("#!/bin/busybox sh\necho "+ran+"\n"))
	sum := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Labels": map[string]string{"name": name}, "Entrypoint": []string{"/bin/busybox", "sleep", "600"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	must(t, err)
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	must(t, err)
	return tarOf(t, "config.json", config, "layer.tar", layer, "manifest.json", manifest)
}

// tarOf packs files, each a name and its content.
func tarOf(t *testing.T, files ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for pair := range slices.Chunk(files, 2) {
		name, data := pair[0].(string), pair[1].([]byte)
		must(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}))
		_, err := w.Write(data)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}
