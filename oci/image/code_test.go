package image

import (
	"slices"
	"strings"
	"testing"
)

// flags is torch's header with the options of its build, as they stand in published wheels.
func flags(options string) string {
	return "#pragma once\n#define AT_CUDNN_ENABLED() 1\n#define NVCC_FLAGS_EXTRA \"" + options + "\"\n#define OTHER \"code=sm_10\"\n"
}

// TestCode: what torch and tensorflow tell of the GPUs they were compiled for, and what tells nothing.
func TestCode(t *testing.T) {
	const header, info = venv + "torch/include/ATen/cuda/CUDAConfig.h = ", venv + "tensorflow/python/platform/build_info.py = "
	const cu113 = "-gencode;arch=compute_37,code=sm_37;-gencode;arch=compute_86,code=sm_86;-gencode;arch=compute_37,code=compute_37"
	torch := torchIs(venv, "12.8")
	const capabilities = "build_info = collections.OrderedDict([('cuda_compute_capabilities', %), ('cuda_version', '12.5.1')])\n"
	tensorflow := func(list string) string { return info + strings.Replace(capabilities, "%", list, 1) }
	for _, tt := range []struct {
		about  string
		files  []string
		mounts []string
		want   string
	}{
		{"torch's header", []string{torch, header + flags(cu113)}, nil, "sm_37 sm_86 compute_37"},
		{"with Windows' line ends", []string{torch, header + strings.ReplaceAll(flags(cu113), "\n", "\r\n")}, nil, "sm_37 sm_86 compute_37"},
		{"of one GPU and of a family", []string{torch, header + flags("-gencode;arch=compute_90a,code=sm_90a;-gencode;arch=compute_100f,code=sm_100f")}, nil, "sm_90a sm_100f"},
		{"torch by name", []string{venv + "torch-2.9.1+cu130.dist-info/x", venv + "torch/x", header + flags(cu113)}, nil, "sm_37 sm_86 compute_37"},
		{"no header", []string{torch}, nil, ""},
		{"a header without it", []string{torch, header + "#pragma once\n"}, nil, ""},
		{"no options", []string{torch, header + flags("")}, nil, ""},
		{"options of another form", []string{torch, header + flags("-gencode;arch=compute_90,code=[sm_90,compute_90]")}, nil, ""},
		{"two for one option", []string{torch, header + flags("-gencode;arch=compute_90,code=sm_90,compute_90")}, nil, ""},
		{"cut short", []string{torch, header + "#define NVCC_FLAGS_EXTRA \"-gencode;arch=compute_90,code=sm_9"}, nil, ""},
		{"a word that is none", []string{torch, header + flags("-gencode;arch=compute_90,code=lto_90")}, nil, ""},
		{"more than nvcc knows", []string{torch, header + flags(strings.Repeat("code=sm_90;code=sm_80;", maxCode))}, nil, ""},
		{"a header that is a FIFO", []string{torch, strings.TrimSuffix(header, " = ") + " |"}, nil, ""},
		{"a header that is not the image's", []string{torch, header + flags(cu113)}, []string{"/" + venv + "torch/include"}, ""},
		{"torch for the processor", []string{venv + "torch/version.py = cuda = None\n", header + flags(cu113)}, nil, "nothing"},
		{"tensorflow's list", []string{tensorflow("['sm_60', 'sm_89', 'compute_90']")}, nil, "sm_60 sm_89 compute_90"},
		{"of another form", []string{tensorflow("['3.5', '7.0']")}, nil, ""},
		{"without an end", []string{info + "build_info: 'cuda_version': '12.5', 'cuda_compute_capabilities', ['sm_60'"}, nil, ""},
	} {
		t.Run(tt.about, func(t *testing.T) {
			top := tree(t, append(slices.Clone(venvPython), tt.files...)...)
			runnable(t, top)
			got := "nothing"
			for _, e := range findIn(t, top, Program{Args: []string{"/opt/venv/bin/python3", "x.py"}, Mounts: tt.mounts}).Evidence {
				got = e.Code
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestArchList: TORCH_CUDA_ARCH_LIST as NGC's images, vLLM's and Dockerfiles have it.
func TestArchList(t *testing.T) {
	for value, want := range map[string]string{
		"":                                "",
		"7.5 8.0 8.6 9.0 10.0 12.0+PTX":   "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120",
		"8.0;8.6;8.9;9.0+PTX":             "sm_80 sm_86 sm_89 sm_90 compute_90",
		"12.1a":                           "sm_121a",
		"Kepler;Kepler+Tesla;Maxwell;8.0": "",
		"8.0,8.6":                         "",
		"sm_90":                           "",
		"90":                              "",
		"9.0 \x1b[2J":                     "",
		"8.":                              "",
		strings.Repeat("8.0 9.0 ", 64):    "",
	} {
		if got := FromEnv([]string{"TORCH_CUDA_ARCH_LIST=" + value}).Code; got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}
