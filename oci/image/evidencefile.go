package image

import (
	"encoding/json"
	"regexp"
	"strings"
	"sync"
)

// maxVersionFile bounds a file that tells a version, in bytes: the largest real one has some kilobytes.
const maxVersionFile = 64 << 10

// The files that frameworks write of themselves when they are built.
var (
	// torch/version.py: cuda = '11.7', since torch 2.1 cuda: Optional[str] = '12.8'; None in builds for CPU, ROCm and macOS.
	torchRule = fileRule("torch", `(?m)^cuda(?:[ \t]*:[^=\n]{0,40})?[ \t]*=[ \t]*['"](\d{1,3}\.\d{1,3})(?:\.\d+)*['"][ \t]*\r?$`)
	// libtorch/build-version: 2.8.0+cu129 (pytorch/builder#147).
	libtorchRule = fileRule("torch", `^[^+\s]{1,60}\+cu(\d{1,2})(\d)\s*$`)
	// tensorflow/python/platform/build_info.py.
	tensorflowRule = fileRule("tensorflow", `['"]cuda_version['"][ \t]*[:,][ \t]*['"](\d{1,3})(?:\.(\d{1,3}))?(?:\.\d+)*['"]`)
	// onnxruntime/capi/build_and_package_info.py.
	onnxRule = fileRule("onnxruntime", `(?m)^cuda_version[ \t]*=[ \t]*['"](\d{1,3}\.\d{1,3})(?:\.\d+)*['"]`)
	// /usr/local/cuda/version.txt, up to CUDA 11.0: CUDA Version 10.2.89.
	versionTXTRule = fileRule("toolkit", `^CUDA Version (\d{1,3}\.\d{1,3})(?:\.\d+)*\s*$`)
)

func fileRule(kind, pattern string) func() rule {
	return sync.OnceValue(func() rule { return rule{kind, kind != "toolkit", regexp.MustCompile(pattern)} })
}

// readVersionJSON reads a toolkit's version.json. The third number may be the date of the build (12.6.20241114).
func readVersionJSON(data []byte) (find, bool) {
	var file struct {
		CUDA struct {
			Version string `json:"version"`
		} `json:"cuda"`
	}
	if json.Unmarshal(data, &file) != nil {
		return find{}, false
	}
	major, rest, _ := strings.Cut(file.CUDA.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	if !isDigits(major) || !isDigits(minor) {
		return find{}, false
	}
	return find{"toolkit", major + "." + minor, false}, true
}

func isDigits(s string) bool { return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == "" }
