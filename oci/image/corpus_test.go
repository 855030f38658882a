package image

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	"gpu-preflight/oci"
)

// installedOf lays out what dpkg -L prints of a toolkit's packages, with the links by which an image reaches it.
func installedOf(t *testing.T, text string) string {
	t.Helper()
	names := []string{"usr/local/cuda -> cuda-12.2", "usr/local/cuda-12.2/lib64 -> targets/x86_64-linux/lib"}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.Contains(line, ".so") {
			names = append(names, strings.TrimPrefix(line, "/"))
		}
	}
	return lowestOf(findIn(t, tree(t, names...), Program{Args: []string{"/bin/serve"}}))
}

// siteOf puts a torch into a folder of packages of an image whose working folder is /app, and starts its interpreter.
func siteOf(t *testing.T, folder string) string {
	t.Helper()
	if !path.IsAbs(folder) {
		folder = "/app/" + folder
	}
	folder = strings.TrimPrefix(folder, "/")
	prefix, rest, _ := strings.Cut(folder, "/lib/")
	if prefix == "usr/local" && strings.HasSuffix(folder, "dist-packages") {
		prefix = "usr"
	}
	version, _, _ := strings.Cut(rest, "/")
	names := []string{prefix + "/bin/" + version + " = x", torchIs(folder+"/", "12.8")}
	if strings.Contains(prefix, "venv") {
		names = append(names, prefix+"/pyvenv.cfg = home = /usr/bin\n")
	}
	top := tree(t, names...)
	runnable(t, top)
	certain := ""
	for _, e := range findIn(t, top, Program{Args: []string{"/" + prefix + "/bin/" + version, "x.py"}, Cwd: "/app"}).Evidence {
		if e.Certain {
			certain += e.Version
		}
	}
	return certain
}

// compatOf lays out a compatibility library: its version is the driver's, and it is a sign of no need.
func compatOf(t *testing.T, file string) string {
	t.Helper()
	top := tree(t, strings.TrimPrefix(file, "/")+" = x")
	root, err := oci.OpenRootfs(top)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	look := LookInto(root, Program{})
	_, driver, _ := strings.Cut(file, "libcuda.so.")
	if len(look.Compat.Libraries) != 1 || look.Compat.Libraries[0] != (CompatLibrary{Path: file, Version: driver}) {
		t.Errorf("%+v", look.Compat)
	}
	return lowestOf(look.Found)
}

// environmentsOf reads the environment of every image and processor.
func environmentsOf(t *testing.T, text string) string {
	t.Helper()
	var images []struct {
		Version string                       `json:"version"`
		Common  map[string]string            `json:"common"`
		Arch    map[string]map[string]string `json:"arch"`
	}
	if err := json.Unmarshal([]byte(text), &images); err != nil {
		t.Fatal(err)
	}
	lowest, highest := "", ""
	for _, image := range images {
		for processor, more := range image.Arch {
			var env []string
			for _, set := range []map[string]string{image.Common, more} {
				for key, value := range set {
					env = append(env, key+"="+value)
				}
			}
			signs := FromContainer(&oci.Container{Env: env}).Evidence
			if len(signs) != 1 || !strings.HasPrefix(signs[0].Version+".", image.Version+".") || signs[0].Certain {
				t.Errorf("%s on %s: %+v", image.Version, processor, signs)
				continue
			}
			version := strings.Join(strings.SplitN(signs[0].Version+".", ".", 3)[:2], ".")
			if lowest == "" || fixtureLess(version, lowest) {
				lowest = version
			}
			if highest == "" || fixtureLess(highest, version) {
				highest = version
			}
		}
	}
	return lowest + " " + highest
}
