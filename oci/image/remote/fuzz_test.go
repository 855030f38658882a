package remote

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"gpu-preflight/oci/image"
)

// lookAt opens an image and looks into it, if it can.
func lookAt(t *testing.T, reference string) {
	t.Helper()
	found, err := Open(t.Context(), reference, "linux/amd64")
	if err != nil {
		return
	}
	defer found.Close()
	_, _ = found.Look(image.ProgramOf(found.Container()), func(int64, int64) {})
}

// FuzzArchive: whatever a file says that is given as an archive of docker save, the look ends.
func FuzzArchive(f *testing.F) {
	layer := string(tarOf(f, nil, tar.Header{Name: "bin/python3"}))
	member := func(manifest string) []byte {
		return tarOf(f, map[string]string{"manifest.json": manifest, "c.json": `{"os":"linux","architecture":"amd64","config":{"Cmd":["python3"]}}`, "l/layer.tar": layer},
			tar.Header{Name: "manifest.json"}, tar.Header{Name: "c.json"}, tar.Header{Name: "l/layer.tar"}, tar.Header{Name: "m/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../l/layer.tar"})
	}
	f.Add(member(`[{"Config":"c.json","RepoTags":["a:b"],"Layers":["l/layer.tar","m/layer.tar"]}]`))
	f.Add(member(`[{"Config":"../c.json","Layers":["/etc/passwd"]}]`))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "a.tar")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		lookAt(t, "docker-archive:"+file)
	})
}

// FuzzLayout: whatever the documents of an OCI layout say, the look ends.
func FuzzLayout(f *testing.F) {
	digest := func(n int) string { return fmt.Sprintf("sha256:%064x", n) }
	const kinds = `application/vnd.oci.image.`
	index := `{"schemaVersion":2,"manifests":[{"mediaType":"` + kinds + `manifest.v1+json","digest":"` + digest(1) + `","size":1}]}`
	manifest := `{"schemaVersion":2,"config":{"mediaType":"` + kinds + `config.v1+json","digest":"` + digest(2) + `","size":1},` +
		`"layers":[{"mediaType":"` + kinds + `layer.v1.tar","digest":"` + digest(3) + `","size":1}]}`
	layer := tarOf(f, nil, tar.Header{Name: "bin/python3"})
	f.Add([]byte(index), []byte(manifest), []byte(`{"os":"linux","architecture":"amd64"}`), layer)
	f.Add([]byte(`{"manifests":[{"digest":"sha256:../../../etc/passwd"}]}`), []byte(index), []byte(`{}`), []byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, index, manifest, config, layer []byte) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{
			"index.json": index, "blobs/sha256/" + digest(1)[7:]: manifest, "blobs/sha256/" + digest(2)[7:]: config, "blobs/sha256/" + digest(3)[7:]: layer,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		lookAt(t, "oci:"+dir)
	})
}
