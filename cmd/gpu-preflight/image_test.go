package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/checks/report"
	"gpu-preflight/testdata/fixture"
)

const (
	python312   = "usr/local/bin/python3.12"
	site312     = "usr/local/lib/python3.12/site-packages/"
	defaultPath = "PATH=/usr/local/bin:/usr/bin:/bin"
)

// torchFiles are what pip puts into a folder of packages (bundles/evidence/torch-version).
func torchFiles(folder, version, cuda string) layerFiles {
	return layerFiles{
		folder + "torch/version.py":                             "from typing import Optional\n__version__ = '" + version + "'\ncuda: Optional[str] = " + cuda + "\nhip: Optional[str] = None\n",
		folder + "torch-" + version + ".dist-info/METADATA":     "Name: torch\n",
		folder + "torch/include/ATen/cuda/CUDAConfig.h":         "#pragma once\n#define NVCC_FLAGS_EXTRA \"" + nvccFlags(cuda) + "\"\n",
		folder + "torch/lib/libtorch_cuda.so":                   strings.Repeat("\x00", 1<<20),
		folder + "nvidia_nccl_cu12-2.27.3.dist-info/METADATA":   "Name: nvidia-nccl-cu12\n",
		folder + "nvidia_ml_py-13.580.65.dist-info/METADATA":    "Name: nvidia-ml-py\n",
		folder + "typing_extensions-4.14.1.dist-info/INSTALLER": "pip\n",
	}
}

// nvccFlags are what torch's wheels for CUDA 12.6 and older, and from 12.8 on, were compiled for
// (torch.__config__.show() of 2.4.1+cu121 and 2.7.0+cu128).
func nvccFlags(cuda string) string {
	archs := []string{"50", "60", "70", "75", "80", "86", "90"}
	switch {
	case cuda == "None":
		return ""
	case cuda >= "'12.8'":
		archs = []string{"75", "80", "86", "90", "100", "120"}
	}
	var flags []string
	for _, arch := range archs {
		flags = append(flags, "-gencode;arch=compute_"+arch+",code=sm_"+arch)
	}
	return strings.Join(flags, ";")
}

// pythonBase is the base layer of a python image.
var pythonBase = layerFiles{
	python312: "*\x7fELF", "usr/local/bin/python3": "-> python3.12", "usr/local/bin/python": "-> python3", "bin": "-> usr/bin",
	"usr/bin/env": "*\x7fELF", "etc/os-release": "ID=debian\n", "etc/passwd": "root:x:0:0:root:/root:/bin/bash\napp:x:1000:1000::/home/app:/bin/sh\n",
	"etc/ld.so.conf.d/libc.conf": "/usr/local/lib\n", site312 + "pip-25.0.dist-info/METADATA": "Name: pip\n",
}

func with(parts ...layerFiles) layerFiles {
	all := layerFiles{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

// realImage is an image with the layout of real ones, and what has to be found in them: kind, version and "!" where it is
// certain (launch-facts 18 to 25).
type realImage struct {
	name string
	builtImage
	want    string
	refused bool // on GeForce boards with the drivers 535 and 570, which give CUDA 12.2 and 12.8
	lacks   bool // it has no code for a GeForce RTX 5090
}

var images = []realImage{
	{name: "torch-cu118", builtImage: builtImage{
		env: []string{defaultPath}, cmd: []string{"python3", "train.py"}, cwd: "/app",
		layers: []layerFiles{pythonBase, torchFiles(site312, "2.4.1+cu118", "'11.8'"), {"app/train.py": "import torch\n"}},
	}, want: "torch 11.8!", lacks: true},
	{name: "torch-cu121", builtImage: builtImage{
		env: []string{defaultPath}, cmd: []string{"/usr/bin/env", "python3", "train.py"}, cwd: "/app",
		layers: []layerFiles{pythonBase, torchFiles(site312, "2.4.1+cu121", "'12.1'"), {site312 + "nvidia_cuda_runtime_cu12-12.1.105.dist-info/METADATA": "x"}},
	}, want: "cuda-runtime 12.1, torch 12.1!", lacks: true},
	{name: "torch-cu126-venv", builtImage: builtImage{
		env: []string{"PATH=/opt/venv/bin:/usr/local/bin:/usr/bin", "VIRTUAL_ENV=/opt/venv"}, entrypoint: []string{"/usr/bin/env", "python"}, cmd: []string{"-m", "app"},
		layers: []layerFiles{pythonBase, with(layerFiles{"opt/venv/bin/python": "-> /usr/local/bin/python3.12", "opt/venv/pyvenv.cfg": "home = /usr/local/bin\ninclude-system-site-packages = false\nversion = 3.12.9\n"},
			torchFiles("opt/venv/lib/python3.12/site-packages/", "2.7.1", "'12.6'"))},
	}, want: "torch 12.6!", lacks: true},
	{name: "torch-cu128-conda", builtImage: builtImage{
		env: []string{"PATH=/opt/conda/bin:/usr/bin"}, cmd: []string{"python", "serve.py"},
		layers: []layerFiles{
			{"opt/conda/bin/python3.11": "*\x7fELF", "opt/conda/bin/python": "-> python3.11", "opt/conda/conda-meta/cuda-version-12.9-h4f385c5_3.json": "{}"},
			torchFiles("opt/conda/lib/python3.11/site-packages/", "2.8.0+cu128", "'12.8'"),
		},
	}, want: "torch 12.8!"},
	{name: "torch-cu130", builtImage: builtImage{
		env: []string{defaultPath}, entrypoint: []string{"/usr/bin/tini", "--"}, cmd: []string{"python", "train.py"}, cwd: "/app",
		layers: []layerFiles{pythonBase, {"usr/bin/tini": "*\x7fELF"}, with(torchFiles(site312, "2.9.1+cu130", "'13.0'"), layerFiles{site312 + "nvidia_cuda_runtime-13.0.96.dist-info/METADATA": "x"})},
	}, want: "cuda-runtime 13.0, torch 13.0!", refused: true},
	{name: "torch-cu130-console-script", builtImage: builtImage{
		env: []string{defaultPath}, cmd: []string{"torchrun", "x.py"},
		layers: []layerFiles{pythonBase, with(torchFiles(site312, "2.12.0", "'13.0'"), layerFiles{"usr/local/bin/torchrun": "*#!/usr/local/bin/python3.12\nimport sys\n"})},
	}, want: "torch 13.0!", refused: true},
	{name: "torch-cpu", builtImage: builtImage{
		env: []string{defaultPath}, cmd: []string{"python3"},
		layers: []layerFiles{pythonBase, with(torchFiles(site312, "2.10.0+cpu", "None"), layerFiles{site312 + "nvidia_cuda_runtime_cu12-12.8.90.dist-info/METADATA": "x"})},
	}, want: "cuda-runtime 12.8"},
	{name: "jax", builtImage: builtImage{
		env: []string{defaultPath}, cmd: []string{"python3", "x.py"},
		layers: []layerFiles{pythonBase, {site312 + "jax_cuda12_plugin-0.7.0.dist-info/METADATA": "x", site312 + "jax/version.py": "_version = '0.7.0'\n"}},
	}, want: "jax 12.0!"},
	{name: "cupy", builtImage: builtImage{
		env: []string{defaultPath}, cmd: []string{"python3", "x.py"},
		layers: []layerFiles{pythonBase, {site312 + "cupy_cuda13x-13.6.0.dist-info/METADATA": "x", site312 + "cupy/_version.py": "__version__ = '13.6.0'\n"}},
	}, want: "cupy 13.0!", refused: true},
	{name: "tensorflow", builtImage: builtImage{
		env: []string{defaultPath}, cmd: []string{"python3", "x.py"},
		layers: []layerFiles{pythonBase, {site312 + "tensorflow/python/platform/build_info.py": "build_info = collections.OrderedDict([('cuda_version', '12.5.1'), ('cudnn_version', '9')])\n"}},
	}, want: "tensorflow 12.5!", lacks: true},
	{name: "conda-without-an-interpreter", builtImage: builtImage{
		env: []string{"PATH=/opt/conda/bin:/usr/bin"}, cmd: []string{"/entrypoint.sh"},
		layers: []layerFiles{{
			"entrypoint.sh": "*#!/bin/bash\nexec solver\n", "opt/conda/conda-meta/cuda-cudart-12.9.79-h5888daf_0.json": "{}", "opt/conda/conda-meta/cuda-version-13.0-hbda6634_3.json": "{}",
			"opt/conda/conda-meta/cuda-nvrtc-12.9.86-h5888daf_0.json": "{}", "opt/conda/conda-meta/pytorch-gpu-2.7.1-cuda129_mkl_h43a4b0b_304.json": "{}",
		}},
	}, want: "conda 12.9, conda 12.9"},
	{name: "ngc", builtImage: builtImage{
		env: []string{
			defaultPath, "CUDA_VERSION=12.8.1.012", "CUDA_DRIVER_VERSION=570.124.06", "NVIDIA_REQUIRE_CUDA=cuda>=9.0", "_CUDA_COMPAT_PATH=/usr/local/cuda/compat",
			"TORCH_CUDA_ARCH_LIST=7.5 8.0 8.6 9.0 10.0 12.0+PTX",
			"LD_LIBRARY_PATH=/usr/local/cuda/compat/lib:/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
		},
		entrypoint: []string{"/opt/nvidia/nvidia_entrypoint.sh"}, cmd: []string{"python3", "train.py"}, cwd: "/workspace",
		layers: []layerFiles{
			{"usr/bin/python3.12": "*\x7fELF", "usr/bin/python3": "-> python3.12", "opt/nvidia/nvidia_entrypoint.sh": "*#!/bin/bash\nexec \"$@\"\n", "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n"},
			{
				"usr/local/cuda": "-> cuda-12.8", "usr/local/cuda-12.8/version.json": `{"cuda": {"name": "CUDA SDK", "version": "12.8.20250223"}}`,
				"usr/local/cuda-12.8/compat/lib.real/libcuda.so.570.124.06": "library", "usr/local/cuda-12.8/compat/lib.real/libcuda.so.1": "-> libcuda.so.570.124.06", "usr/local/cuda-12.8/compat/lib": "-> lib.real",
			},
			torchFiles("usr/local/lib/python3.12/dist-packages/", "2.7.0a0+7c8ec84dab.nv25.3", "'12.8'"),
		},
	}, want: "env 12.8.1.012, torch 12.8!"},
	{name: "ollama", builtImage: builtImage{
		env: []string{"PATH=/usr/bin:/bin", "OLLAMA_HOST=0.0.0.0:11434", "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"}, entrypoint: []string{"/bin/ollama"}, cmd: []string{"serve"},
		layers: []layerFiles{{"usr/bin/ollama": "*\x7fELF", "bin": "-> usr/bin"}, {
			"usr/lib/ollama/libggml-base.so.0": "x", "usr/lib/ollama/cuda_v12/libggml-cuda.so": "x", "usr/lib/ollama/cuda_v12/libcublas.so.12.8.4.1": "x",
			"usr/lib/ollama/cuda_v13/libggml-cuda.so": "x", "usr/lib/ollama/cuda_v13/libcublas.so.13.1.0.3": "x",
			"usr/lib/ollama/cuda_v12/libcudart.so.12.8.90": "x", "usr/lib/ollama/cuda_v12/libcudart.so.12": "-> libcudart.so.12.8.90",
			"usr/lib/ollama/cuda_v13/libcudart.so.13.0.96": "x", "usr/lib/ollama/cuda_v13/libcudart.so.13": "-> libcudart.so.13.0.96",
		}},
	}, want: "cudart 12.8, cudart 13.0"},
	{name: "upper-layers-hide-lower-ones", builtImage: builtImage{
		env: []string{defaultPath}, cmd: []string{"python3", "x.py"},
		layers: []layerFiles{
			pythonBase,
			with(torchFiles(site312, "2.4.1+cu118", "'11.8'"), layerFiles{site312 + "cupy_cuda11x-13.0.0.dist-info/METADATA": "x", "opt/conda/conda-meta/cuda-cudart-11.8.89-0.json": "{}"}),
			{site312 + ".wh.torch": "", site312 + ".wh.torch-2.4.1+cu118.dist-info": "", site312 + ".wh.cupy_cuda11x-13.0.0.dist-info": "", "opt/.wh..wh..opq": ""},
			torchFiles(site312, "2.9.1+cu130", "'13.0'"),
		},
	}, want: "torch 13.0!", refused: true},
	{name: "a-whiteout-beside-what-replaces-it", builtImage: builtImage{
		env: []string{defaultPath}, cmd: []string{"python3", "x.py"},
		layers: []layerFiles{
			pythonBase, with(torchFiles(site312, "2.4.1+cu118", "'11.8'"), layerFiles{site312 + "torch/old.py": "x"}),
			with(layerFiles{site312 + "torch/.wh..wh..opq": "", site312 + ".wh.torch-2.4.1+cu118.dist-info": ""}, torchFiles(site312, "2.9.1+cu130", "'13.0'")),
		},
	}, want: "torch 13.0!", refused: true},
	{name: "uv-links", builtImage: builtImage{
		env: []string{"PATH=/app/.venv/bin:/usr/local/bin"}, cmd: []string{"python", "x.py"}, cwd: "/app",
		layers: []layerFiles{pythonBase, {"root/.cache/uv/archive-v0/abc/torch/version.py": "cuda: Optional[str] = '12.8'\n", "root/.cache/uv/archive-v0/abc/cu/METADATA": "x"}, {
			"app/.venv/bin/python": "-> ../../../usr/local/bin/python3.12", "app/.venv/pyvenv.cfg": "version_info = 3.12.9\n",
			"app/.venv/lib/python3.12/site-packages/torch/version.py": "=> root/.cache/uv/archive-v0/abc/torch/version.py",
			"root/.cache/uv/archive-v0/abc/torch/version.py":          "cuda: Optional[str] = '13.0'\n",
		}},
	}, want: "torch 13.0!", refused: true},
	{name: "links-that-lead-out", builtImage: builtImage{
		env: []string{"PATH=/bin"}, cmd: []string{"python3", "x.py"},
		layers: []layerFiles{pythonBase, {"usr/bin/python3": "-> ../../../../../../usr/local/bin/python3.12", site312 + "torch": "-> ../../../../../../../../../opt/torch"}, {"opt/torch/version.py": "cuda: Optional[str] = '12.4'\n"}},
	}, want: "torch 12.4!", lacks: true},
	{name: "a-users-own-torch", builtImage: builtImage{
		env: []string{defaultPath}, cmd: []string{"python3", "x.py"},
		layers: []layerFiles{pythonBase, torchFiles(site312, "2.9.1+cu130", "'13.0'"), {"root/.local/lib/python3.12/site-packages/torch/version.py": "cuda = '12.1'\n"}},
	}, want: "torch 13.0"},
}

// asked is what check says of one image.
type asked struct {
	code   int
	report report.Report
	stderr string
}

func askCheck(t *testing.T, args ...string) asked {
	t.Helper()
	var stdout, stderr bytes.Buffer
	policy := filepath.Join(t.TempDir(), "config.toml")
	putFile(t, policy, "")
	args = append([]string{"gpu-preflight", "--config", policy, "--format", "json", "check"}, args...)
	a := asked{code: run(context.Background(), args, nil, &stdout, &stderr)}
	a.stderr = stderr.String()
	if a.code != exitUsage {
		if err := json.Unmarshal(stdout.Bytes(), &a.report); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, stdout.String())
		}
	}
	return a
}

const oldGeForce = "driver=535.183.06,arch=8.9,brand=GEFORCE_RTX"

// signs are what was found, in short.
func (a asked) signs() string {
	var words []string
	for _, e := range a.report.Container.Evidence {
		word := e.Kind + " " + e.Version
		if e.Certain {
			word += "!"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// ofImage are the results on the image, which are those that a look into it decides.
func (a asked) ofImage() (results []checks.Result) {
	for _, r := range a.report.Results {
		if r.Layer == checks.Image {
			results = append(results, r)
		}
	}
	return results
}

// layouts are the kinds of image that have to be among images, each by the beginning of a name.
var layouts = []string{
	"torch-cu118", "torch-cu121", "torch-cu126", "torch-cu128", "torch-cu130", "torch-cpu", "jax", "cupy", "tensorflow", "conda", "ngc",
	"ollama", "cudart-elf", "upper-layers", "uv-links", "links-that-lead-out",
}

// TestImageAgreesWithHook: the hook, on an image that podman unpacked, and check --image --deep, on the same image in a
// registry, in an OCI layout and in an archive that skopeo made, come to the same verdict for the same reasons, and find
// the same: what the image's contents call for.
func TestImageAgreesWithHook(t *testing.T) {
	all := append(slices.Clone(images), cudartImage(t))
	for _, layout := range layouts {
		if !slices.ContainsFunc(all, func(i realImage) bool { return strings.HasPrefix(i.name, layout) }) {
			t.Errorf("no image has the layout of %s", layout)
		}
	}
	agreeOnEach(t, all)
}

// TestCollectedEnvironmentsAgreeWithHook: the same of the virtual environments of the corpus.
func TestCollectedEnvironmentsAgreeWithHook(t *testing.T) { agreeOnEach(t, corpusImages(t)) }

func agreeOnEach(t *testing.T, all []realImage) {
	t.Helper()
	need(t, "skopeo", "docker-registry", "podman")
	geforce := newRealHost(t, "535.183.06", "NVIDIA GeForce RTX 4090", "cuda=12020\ngpu.0.brand=5\ngpu.0.cc=8.9\n")
	blackwell := newRealHost(t, "570.86.10", "NVIDIA GeForce RTX 5090", "cuda=12080\ngpu.0.brand=5\ngpu.0.cc=12.0\n")
	registry := startRegistry(t, "")
	store, err := os.MkdirTemp("", "podman") //nolint:usetesting // podman takes a path of 50 characters, and the test's name is in the other
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(store) })
	podman := []string{"--root", filepath.Join(store, "root"), "--runroot", filepath.Join(store, "run"), "--storage-driver", "vfs"}
	for _, test := range all {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			built := filepath.Join(dir, "built")
			test.write(t, built)
			from := "oci:" + built + ":built"
			places := map[string]string{
				"registry": registry + "/test/" + test.name + ":v1", "layout": "oci:" + dir + "/layout:v1",
				"archive": "docker-archive:" + dir + "/saved.tar:test/" + test.name + ":v1",
			}
			tool(t, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", from, "docker://"+places["registry"])
			tool(t, "skopeo", "copy", "--insecure-policy", "--dest-compress-format", "zstd", from, places["layout"])
			tool(t, "skopeo", "copy", "--insecure-policy", from, places["archive"])
			tool(t, "podman", append(podman, "load", "--quiet", "-i", filepath.Join(dir, "saved.tar"))...)
			rootfs := tool(t, "podman", append(podman, "image", "mount", "test/"+test.name+":v1")...)

			bundle := filepath.Join(dir, "geforce")
			test.bundle(t, bundle, rootfs, "535.183.06")
			agree(t, geforce, bundle, places, test.want, test.refused)
			bundle = filepath.Join(dir, "blackwell")
			test.bundle(t, bundle, rootfs, "570.86.10")
			agree(t, blackwell, bundle, map[string]string{"registry": places["registry"]}, test.want, test.refused)
			_, _, kept := blackwell.launch(t, bundle)
			lacks := slices.ContainsFunc(kept.Results, func(r checks.Result) bool { return r.ID == "gpu-code-available" })
			if lacks != test.lacks {
				t.Errorf("no code for sm_120: %t, want %t: %v", lacks, test.lacks, kept.Results)
			}
		})
	}
}

// agree asks the hook and check for one launch.
func agree(t *testing.T, host realHost, bundle string, places map[string]string, found string, refused bool) {
	t.Helper()
	code, message, kept := host.launch(t, bundle)
	if refused != (code == exitRefused) || code > exitRefused || refused != (message != "") {
		t.Errorf("the hook: exit code %d, want refused %t: %q %v", code, refused, message, kept.Results)
	}
	unpacked := host.check(t, "--bundle", bundle)
	if got := unpacked.signs(); found != "" && got != found {
		t.Errorf("found %q, want %q", got, found)
	}
	for place, reference := range places {
		got := host.check(t, "--image", reference, "--deep", "--platform", "linux/amd64")
		if got.code != code || got.stderr != "" || got.report.Verdict != kept.Verdict {
			t.Errorf("%s: exit code %d, %s, the hook's %d, %s: %s", place, got.code, got.report.Verdict, code, kept.Verdict, got.stderr)
		}
		if !reflect.DeepEqual(ofImageAlone(got.report.Results), ofImageAlone(kept.Results)) {
			t.Errorf("%s: results\n%v\nof the hook\n%v", place, ofImageAlone(got.report.Results), kept.Results)
		}
		if !reflect.DeepEqual(got.ofImage(), unpacked.ofImage()) {
			t.Errorf("%s: results\n%v\nof the bundle\n%v", place, got.ofImage(), unpacked.ofImage())
		}
		if !reflect.DeepEqual(got.report.Container.Evidence, unpacked.report.Container.Evidence) {
			t.Errorf("%s: evidence\n%v\nof the bundle\n%v", place, got.report.Container.Evidence, unpacked.report.Container.Evidence)
		}
	}
}

// corpusImages are images with the virtual environments that were collected, down to every package's name.
func corpusImages(t *testing.T) (list []realImage) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(fixture.Corpus(t), "bundles/evidence/wheels/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var wheels struct {
			SitePackages string   `json:"site_packages"`
			Entries      []string `json:"entries"`
			Torch        any      `json:"torch_version_py"`
		}
		if err := json.Unmarshal(text, &wheels); err != nil {
			t.Fatal(err)
		}
		folder := "app/" + wheels.SitePackages + "/"
		prefix, rest, _ := strings.Cut(folder, "/lib/")
		version, _, _ := strings.Cut(rest, "/")
		layer := layerFiles{prefix + "/bin/" + version: "*\x7fELF", prefix + "/bin/python": "-> " + version, prefix + "/pyvenv.cfg": "home = /usr/bin\n"}
		for _, entry := range wheels.Entries {
			layer[folder+entry+"/METADATA"] = "x"
		}
		content, told := wheels.Torch.(string)
		if told {
			layer[folder+"torch/version.py"] = content
		}
		list = append(list, realImage{
			name: "venv-of-the-corpus-" + strconv.Itoa(i), lacks: strings.Contains(content, "'11.7'"),
			builtImage: builtImage{
				env: []string{"PATH=/" + prefix + "/bin:/usr/bin"}, cmd: []string{"python", "main.py"}, cwd: "/app",
				layers: []layerFiles{{"usr/bin/env": "*\x7fELF"}, layer},
			},
		})
	}
	return list
}

// cudartImage is an image with nothing but a CUDA runtime, a real ELF library, as dpkg -L of CUDA's packages lists it.
func cudartImage(t *testing.T) realImage {
	t.Helper()
	need(t, "cc")
	dir := t.TempDir()
	putFile(t, dir+"/cudart.c", "int cudaRuntimeGetVersion(int *v) { *v = 12040; return 0; }\n")
	tool(t, "cc", "-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libcudart.so.12", "-o", dir+"/libcudart.so", dir+"/cudart.c")
	library, err := os.ReadFile(dir + "/libcudart.so")
	if err != nil || !strings.HasPrefix(string(library), "\x7fELF") {
		t.Fatalf("%v, %.4q", err, library)
	}
	const folder = "usr/local/cuda-12.4/targets/x86_64-linux/lib/"
	return realImage{name: "cudart-elf", want: "cudart 12.4", builtImage: builtImage{
		env: []string{"PATH=/usr/local/cuda/bin:/usr/bin"}, cmd: []string{"/app/solver"},
		layers: []layerFiles{{"app/solver": "*\x7fELF"}, {
			folder + "libcudart.so.12.4.127": string(library), folder + "libcudart.so.12": "-> libcudart.so.12.4.127",
			"usr/local/cuda": "-> cuda-12.4", "usr/local/cuda-12.4/lib64": "-> targets/x86_64-linux/lib",
		}},
	}}
}

// TestImageReferences: every form of a reference, the platforms of an index, and what is said of a wrong one.
func TestImageReferences(t *testing.T) {
	need(t, "skopeo", "docker-registry")
	// The hash is that of htpasswd -nbB preflight secret.
	users := filepath.Join(t.TempDir(), "htpasswd")
	putFile(t, users, "preflight:$2y$05$cg3uZ7vhldu8cwZ8KKbtiOO7e40FfXF6AGkVGEeGfuDCpj8b15PMG\n")
	open, closed := startRegistry(t, ""), startRegistry(t, "auth: {htpasswd: {realm: test, path: "+users+"}}\n")
	dir := t.TempDir()
	image := builtImage{env: []string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0"}, layers: []layerFiles{pythonBase}}
	image.write(t, dir+"/one")
	image.writePlatforms(t, dir+"/many")
	from := "oci:" + dir + "/one:built"
	tool(t, "skopeo", "copy", "--insecure-policy", from, "docker-archive:"+dir+"/saved.tar:test/one:v1")
	tool(t, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", from, "docker://"+open+"/test/one:v1")
	tool(t, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", "--all", "oci:"+dir+"/many:built", "docker://"+open+"/test/many:v1")
	tool(t, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", "--dest-creds", "preflight:secret", from, "docker://"+closed+"/test/one:v1")
	digest := tool(t, "skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://"+open+"/test/one:v1")
	putFile(t, dir+"/text", "no archive\n")
	putFile(t, dir+"/with/config.json", `{"auths": {"`+closed+`": {"auth": "cHJlZmxpZ2h0OnNlY3JldA=="}}}`)
	putFile(t, dir+"/without/config.json", `{}`)
	refused := "cuda-requirement"
	for _, test := range []struct {
		reference, platform, credentials, want string
	}{
		{reference: open + "/test/one:v1", want: refused},
		{reference: open + "/test/one@" + digest, want: refused},
		{reference: "oci:" + dir + "/one", want: refused},
		{reference: "oci:" + dir + "/one:built", want: refused},
		{reference: "docker-archive:" + dir + "/saved.tar", want: refused},
		{reference: "docker-archive:" + dir + "/saved.tar:v1", want: refused},
		{reference: "docker-archive:" + dir + "/saved.tar:test/one:v1", want: refused},
		{reference: open + "/test/many:v1", platform: "linux/arm64", want: refused},
		{reference: "oci:" + dir + "/many", platform: "linux/amd64", want: refused},
		{reference: closed + "/test/one:v1", credentials: "with", want: refused},

		{reference: closed + "/test/one:v1", credentials: "without", want: "does not show it without other credentials"},
		{reference: open + "/test/none:v1", want: "the registry " + open + " has no such image"},
		{reference: "127.0.0.1:1/test/one:v1", want: "the registry 127.0.0.1:1 cannot be reached"},
		{reference: "10.255.255.1:1/One", want: "could not parse reference"},
		{reference: open + "/test/many:v1", platform: "linux/s390x", want: `there is none for linux/s390x, only for "linux/amd64", "linux/arm64"`},
		{reference: "oci:" + dir + "/one", platform: "linux/arm64", want: `it is for "linux/amd64"`},
		{reference: "oci:" + dir + "/one", platform: "arm64", want: `platform "arm64" is not OS/ARCH`},
		{reference: "oci:" + dir + "/one:v2", want: `has no "v2", only "built"`},
		{reference: "oci:" + dir + "/nowhere", want: "no such file"},
		{reference: "docker-archive:" + dir + "/text", want: "it is no tar file"},
		{reference: "docker-archive:" + dir + "/saved.tar:v2", want: `it has no "v2", only`},
		{reference: "docker-archive:" + dir + "/nowhere", want: "no such file"},
	} {
		t.Setenv("DOCKER_CONFIG", filepath.Join(dir, test.credentials))
		args := []string{"--image", test.reference, "--assume", oldGeForce}
		if test.platform != "" {
			args = append(args, "--platform", test.platform)
		}
		got := askCheck(t, args...)
		if test.want == refused {
			if got.code != exitRefused || got.report.Container.Image != test.reference {
				t.Errorf("%v: exit code %d: %s", args, got.code, got.stderr)
			}
			continue
		}
		if got.code != exitUsage || !strings.Contains(got.stderr, test.want) || !strings.Contains(got.stderr, "image "+test.reference) {
			t.Errorf("%v: exit code %d, want %q in %q", args, got.code, test.want, got.stderr)
		}
	}
}

// TestImageWritesNothing: a layer of 64 MiB is read where no file can be written.
func TestImageWritesNothing(t *testing.T) {
	need(t, "strace")
	dir := t.TempDir()
	builtImage{cmd: []string{"python3"}, env: []string{defaultPath}, layers: []layerFiles{pythonBase, {"big": strings.Repeat("\x00", 64<<20)}}}.write(t, dir+"/layout")
	program := filepath.Join(dir, "gpu-preflight")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	putFile(t, dir+"/config.toml", "")
	trace := filepath.Join(dir, "trace")
	out := tool(t, "strace", "-f", "-o", trace, "-e", "trace=open,openat,openat2,creat,mkdir,mkdirat,rename,renameat2,link,linkat,symlinkat,mknodat,memfd_create,unlinkat",
		program, "--config", dir+"/config.toml", "check", "--image", "oci:"+dir+"/layout", "--deep", "--platform", "linux/amd64", "--assume", oldGeForce)
	if !strings.HasPrefix(out, "host") {
		t.Errorf("printed %q", out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "layout/index.json") {
		t.Error("the trace does not show the reading of the layout")
	}
	for line := range strings.Lines(string(text)) {
		if regexp.MustCompile(`O_WRONLY|O_RDWR|O_CREAT|creat\(|mkdir|rename|link|mknod|memfd`).MatchString(line) && !strings.Contains(line, "/sys/kernel/mm/transparent_hugepage") {
			t.Errorf("writes: %s", line)
		}
	}
}
