package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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
	{name: "compat-in-ld-library-path", builtImage: builtImage{
		env: []string{defaultPath, "LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/cuda/compat"}, cmd: []string{"python3", "x.py"},
		layers: []layerFiles{pythonBase, {
			"usr/local/cuda": "-> cuda-13.0", "usr/local/cuda-13.0/compat/libcuda.so.580.82.07": "library", "usr/local/cuda-13.0/compat/libcuda.so.1": "-> libcuda.so.580.82.07",
		}},
	}, refused: true}, // 804
	{name: "compat-behind-the-drivers-folder", builtImage: builtImage{
		env: []string{defaultPath, "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/usr/local/cuda/compat"}, cmd: []string{"python3", "x.py"},
		layers: []layerFiles{pythonBase, {"usr/local/cuda/compat/libcuda.so.580.82.07": "library", "usr/local/cuda/compat/libcuda.so.1": "-> libcuda.so.580.82.07"}},
	}},
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

// layouts are the kinds of image that have to be among images, each by the beginning of a name.
var layouts = []string{
	"torch-cu118", "torch-cu121", "torch-cu126", "torch-cu128", "torch-cu130", "torch-cpu", "jax", "cupy", "tensorflow", "conda", "ngc", "compat",
	"ollama", "cudart-elf", "upper-layers", "uv-links", "links-that-lead-out",
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
