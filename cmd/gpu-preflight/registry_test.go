package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// need ends a test without a program that it cannot do without, and skips it on a machine where that may be.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (.ci/packages)", program)
		}
	}
}

// startRegistry starts Debian's docker-registry on loopback, with its images below a folder of the test, and returns
// its address. auth is the section of its configuration, "" for everybody.
func startRegistry(t *testing.T, auth string) string {
	t.Helper()
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	putFile(t, config, fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/images}}\nhttp: {addr: %q}\n%s", dir, address, auth))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "docker-registry", "serve", config)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	for range 200 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := http.DefaultClient.Do(request); err == nil {
			answer.Body.Close()
			return address
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("docker-registry does not answer:\n%s", output.String())
	return ""
}

// tool runs a real tool, and gives it a home of its own.
func tool(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "REGISTRY_AUTH_FILE=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// layerFiles are the files of a layer by name: a text, "*" and the text of a program, "-> TARGET" for a link, "=> NAME"
// for a hard link. Names of whiteouts are as they stand in a layer.
type layerFiles map[string]string

func (l layerFiles) tar(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	names := slices.Sorted(maps.Keys(l))
	slices.SortStableFunc(names, func(a, b string) int { // what a hard link leads to comes first
		return strings.Count(l[a][:min(2, len(l[a]))], "=>") - strings.Count(l[b][:min(2, len(l[b]))], "=>")
	})
	folders := map[string]bool{"": true}
	for _, name := range names {
		for at := range name {
			if folder := name[:at]; name[at] == '/' && !folders[folder] {
				folders[folder] = true
				if err := w.WriteHeader(&tar.Header{Name: folder + "/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
					t.Fatal(err)
				}
			}
		}
		h := tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}
		text := l[name]
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			h.Typeflag, h.Linkname, text = tar.TypeSymlink, target, ""
		} else if target, ok := strings.CutPrefix(text, "=> "); ok {
			h.Typeflag, h.Linkname, text = tar.TypeLink, target, ""
		} else if program, ok := strings.CutPrefix(text, "*"); ok {
			h.Mode, text = 0o755, program
		}
		h.Size = int64(len(text))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// builtImage is an image as a test describes it.
type builtImage struct {
	env, entrypoint, cmd []string
	cwd, user            string
	layers               []layerFiles
}

func (b builtImage) image(t *testing.T, architecture string) v1.Image {
	t.Helper()
	var layers []v1.Layer
	for _, files := range b.layers {
		data := files.tar(t)
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, layer)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Config = v1.Config{Env: b.env, Entrypoint: b.entrypoint, Cmd: b.cmd, WorkingDir: b.cwd, User: b.user}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// write makes an OCI layout of the image, from which the tools copy.
func (b builtImage) write(t *testing.T, dir string) {
	t.Helper()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(b.image(t, "amd64"), layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "built"})); err != nil {
		t.Fatal(err)
	}
}

// writePlatforms makes an OCI layout of an index with the image for two processors.
func (b builtImage) writePlatforms(t *testing.T, dir string) {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range []string{"amd64", "arm64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        b.image(t, architecture),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "built"})); err != nil {
		t.Fatal(err)
	}
}

// bundle writes a bundle as an engine does, with the root file system at a path.
func (b builtImage) bundle(t *testing.T, dir, rootfs, driver string, binds ...string) {
	t.Helper()
	libcuda := "/usr/lib/x86_64-linux-gnu/libcuda.so." + driver
	mounts := []any{map[string]any{"destination": libcuda, "source": libcuda, "type": "bind", "options": []string{"bind", "ro"}}}
	for _, target := range binds {
		mounts = append(mounts, map[string]any{"destination": target, "source": t.TempDir(), "type": "bind", "options": []string{"bind"}})
	}
	config, err := json.Marshal(map[string]any{
		"process": map[string]any{"args": slices.Concat(b.entrypoint, b.cmd), "env": b.env, "cwd": b.cwd},
		"root":    map[string]any{"path": rootfs},
		"hooks":   map[string]any{"createContainer": []any{map[string]any{"path": "/usr/bin/nvidia-cdi-hook"}}},
		"mounts":  mounts,
		"linux": map[string]any{"devices": []any{
			map[string]any{"path": "/dev/nvidia0", "type": "c", "major": 195, "minor": 0},
			map[string]any{"path": "/dev/nvidiactl", "type": "c", "major": 195, "minor": 255},
			map[string]any{"path": "/dev/nvidia-uvm", "type": "c", "major": 511, "minor": 0},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	putFile(t, filepath.Join(dir, "config.json"), string(config))
}
