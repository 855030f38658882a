package image

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gpu-preflight/oci"
)

// memory is a file system of texts, all of them programs.
type memory map[string]string

func (m memory) names(folder string) (names []string) {
	for file := range m {
		rest, below := strings.CutPrefix(file, strings.TrimSuffix(folder, "/")+"/")
		name, _, _ := strings.Cut(rest, "/")
		if below && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (m memory) Stat(file string) (fs.FileInfo, error) {
	text, isFile := m[path.Clean(file)]
	switch {
	case isFile:
		return status{path.Base(file), int64(len(text)), 0o755}, nil
	case m.names(path.Clean(file)) != nil:
		return status{path.Base(file), 0, fs.ModeDir | 0o755}, nil
	}
	return nil, fs.ErrNotExist
}

func (m memory) Real(file string) (string, error) {
	_, err := m.Stat(file)
	return path.Clean(file), err
}

func (m memory) ReadFile(file string, limit int64) ([]byte, error) {
	info, err := m.Stat(file)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("a folder")
	case info.Size() > limit:
		return nil, &oci.TooLargeError{Limit: limit}
	}
	return []byte(m[path.Clean(file)]), nil
}

func (m memory) ReadDir(folder string, limit int) ([]string, error) {
	info, err := m.Stat(folder)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, syscall.ENOTDIR
	}
	names := m.names(path.Clean(folder))
	return names[:min(len(names), limit)], nil
}

type status struct {
	name string
	size int64
	mode fs.FileMode
}

func (s status) Name() string       { return s.name }
func (s status) Size() int64        { return s.size }
func (s status) Mode() fs.FileMode  { return s.mode }
func (s status) ModTime() time.Time { return time.Time{} }
func (s status) IsDir() bool        { return s.mode.IsDir() }
func (s status) Sys() any           { return nil }

// FuzzLook: whatever stands in the files that a look reads, it ends, and every version that it tells is one.
func FuzzLook(f *testing.F) {
	f.Add("#!/usr/bin/env python3\n", "version = 3.11\n", "cuda = '12.8'\n", "root:x:0:0::/root:/bin/sh\n", "/opt/compat\n", "libcuda.so.580.65.06")
	f.Add("#!/opt/venv/bin/python3", "include-system-site-packages = true", `{"cuda": {"version": "12.6.20241114"}}`, ":::::", "/\n/usr\n", "jax_cuda13_plugin-0.8.dist-info")
	f.Add("x", "version_info=3.9.1\r\n", "'cuda_version': '12'", "u:x:1:1::h", "", "cuda-cudart-12.1.105-0.json")
	f.Fuzz(func(t *testing.T, script, config, version, passwd, loader, name string) {
		name = path.Base(path.Clean("/" + name))
		files := memory{
			"/run": script, "/opt/venv/bin/python3": "x", "/opt/venv/pyvenv.cfg": config, "/usr/bin/python3": script, "/etc/passwd": passwd,
			"/etc/ld.so.conf.d/x.conf": loader, "/usr/local/cuda/version.json": version, "/usr/local/cuda/version.txt": version,
			"/usr/local/cuda/lib64/" + name: version, "/usr/local/cuda/compat/" + name: version, "/opt/compat/" + name: version,
			"/opt/conda/conda-meta/" + name: version, "/usr/lib/ollama/cuda_v13/" + name: version, "/root/.local/lib/python3.11/site-packages/" + name: "x",
		}
		for _, site := range []string{"/opt/venv/lib/python3.11/site-packages/", "/usr/lib/python3.11/site-packages/"} {
			for _, framework := range told {
				files[site+framework.file] = version
			}
			files[site+name] = version
		}
		for _, args := range [][]string{{"/run"}, {"/usr/bin/python3", "-m", "x"}, {"/opt/venv/bin/python3"}, strings.Fields(script)} {
			look := LookInto(files, Program{Args: args, Env: []string{"PATH=/usr/bin:/opt/venv/bin"}, User: name})
			for _, e := range look.Evidence {
				if !isVersion(e.Version) || e.Path == "" || e.Stack == "" {
					t.Errorf("%q: %+v", args, e)
				}
			}
			if len(look.Evidence) > maxEvidence || len(look.Unread) > maxEvidence || len(look.Compat.Libraries) > maxCompatFound {
				t.Errorf("%q: %d signs, %d unread, %d libraries", args, len(look.Evidence), len(look.Unread), len(look.Compat.Libraries))
			}
		}
	})
}

// FuzzNames: every version that a name or a file tells is one.
func FuzzNames(f *testing.F) {
	for _, text := range []string{
		"torch-2.9.1+cu130.dist-info", "nvidia_cuda_runtime_cu12-12.8.90.dist-info", "cupy_cuda118-13.dist-info", "libcudart-0d9c1e0f.so.11.8.89",
		"pytorch-2.5.1-cuda126_py311_0", "cuda-cudart_linux-64-12.6.77-h_1", "CUDA Version 10.2.89\n", `{"cuda":{"version":"12.6.77"}}`, "cuda: str = '12.8'\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		finds := map[string]find{}
		for about, rules := range map[string][]rule{
			"package": packageRules(), "conda": condaRules(), "cudart": cudartRules(),
			"file": {torchRule(), tensorflowRule(), onnxRule(), versionTXTRule()},
		} {
			if one, ok := readBy(rules, []byte(text)); ok {
				finds[about] = one
			}
		}
		if one, ok := readVersionJSON([]byte(text)); ok {
			finds["version.json"] = one
		}
		for about, one := range finds {
			if !isVersion(one.version) || one.kind == "" {
				t.Errorf("%s: %+v", about, one)
			}
		}
	})
}

// FuzzCarried: of whatever scripts an unpacked image carries only settings of variables are taken.
func FuzzCarried(f *testing.F) {
	f.Add("export PATH=\"/bin\"\nA='b'\n", "export B=\"${B:-\"x\"}\"\n")
	f.Add("A=b\nC=d\n", "A=$(rm -rf /)\nexec \"$@\"\n")
	f.Add("A=b\r\n=c\n", "exec x\n")
	f.Fuzz(func(t *testing.T, one, two string) {
		for _, files := range []memory{
			{apptainerEnv + "/10-docker2singularity.sh": one, apptainerEnv + "/90-environment.sh": two, apptainerEnv + "/99-base.sh": one},
			{enrootEnvironment: one, enrootRC: two},
		} {
			for _, entry := range CarriedBy(files).Env {
				if key, value, ok := strings.Cut(entry, "="); !ok || !isName(key) || strings.Contains(value, "\n") {
					t.Errorf("%q", entry)
				}
			}
		}
	})
}

// FuzzFold: a reader that says anything, or is cut off anywhere, leaves nothing that passes for read.
func FuzzFold(f *testing.F) {
	f.Add("{\"folder\":\"/c\",\"libraries\":[{\"path\":\"/c/libcuda.so.1\"}]}\n{\"done\":true}\n{\"found\":{}}")
	f.Add(`{"carried":{"env":["A=b"]}}`)
	f.Add(`{"error":"open rootfs"}`)
	f.Fuzz(func(t *testing.T, said string) {
		var lines [][]byte
		told := map[string]bool{}
		for line := range strings.Lines(said) {
			lines = append(lines, []byte(line))
			var keys map[string]any
			_ = json.Unmarshal([]byte(line), &keys)
			for key := range keys {
				told[strings.ToLower(key)] = true
			}
		}
		look := FoldLook(lines, nil)
		if look.Compat.Read && !told["done"] || len(look.Compat.Libraries) > maxCompatFound {
			t.Errorf("%+v", look)
		}
		if !told["found"] && len(look.Unread) == 0 {
			t.Errorf("nothing was found, and nothing says why: %+v", look)
		}
		if carried, err := FoldCarried(lines, nil); err != nil && carried.Env != nil {
			t.Errorf("%+v beside %v", carried, err)
		}
	})
}
