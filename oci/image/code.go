package image

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// The GPU architectures that software was compiled for, as nvcc names them: sm_90 is machine code, compute_90 is PTX, which
// the driver compiles for newer GPUs. Only what stands there as text is read. The kernels themselves are not: a framework's
// libraries have gigabytes, their machine code lies compressed in ELF sections of no published format, and no name of a
// library tells for sure (TensorRT's libnvinfer_builder_resource_sm90.so only builds engines).

// kernels is where a framework tells them.
type kernels struct {
	kind, by string // the kind of the sign, and the file it stands in: the package's folder is above
	file     string // below that folder
	word     string // without it the file is not that file
	read     func(text string) string
}

// torch's build writes nvcc's options into a header that every wheel has (aten/src/ATen/cuda/CUDAConfig.h.in), and
// tensorflow its list into build_info.py (tensorflow/tools/build_info/gen_build_info.py).
var compiled = []kernels{
	{"torch", "/torch/version.py", "torch/include/ATen/cuda/CUDAConfig.h", "NVCC_FLAGS_EXTRA", nvccCode},
	{"tensorflow", "/tensorflow/python/platform/build_info.py", "tensorflow/python/platform/build_info.py", "cuda_compute_capabilities", tensorflowCode},
}

// code is what a framework was compiled for, "" where it does not tell.
func (f *finder) code(l located) string {
	i := slices.IndexFunc(compiled, func(k kernels) bool { return k.kind == l.kind })
	if i < 0 {
		return ""
	}
	k := compiled[i]
	folder, here := strings.CutSuffix(l.path, k.by)
	if !here {
		folder = path.Dir(l.path)
	}
	file := folder + "/" + k.file
	text, ok := f.read(file, k.word)
	if !ok || hiddenBy(f.mounts, file) != "" {
		return ""
	}
	at := bytes.Index(text, []byte(k.word))
	return k.read(string(text[at+len(k.word):]))
}

// nvccCode reads -gencode;arch=compute_90,code=sm_90;… up to the end of the line.
func nvccCode(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	var words []string
	for _, option := range strings.Split(line, "code=")[1:] {
		end := strings.IndexAny(option, "; \"")
		if end < 0 {
			return ""
		}
		words = append(words, option[:end])
	}
	return codeWords(words)
}

// tensorflowCode reads ', ['sm_80', 'compute_90']), the value behind the key.
func tensorflowCode(text string) string {
	_, list, opened := strings.Cut(text[:min(len(text), maxWord)], "[")
	list, _, closed := strings.Cut(list, "]")
	if !opened || !closed {
		return ""
	}
	var words []string
	for word := range strings.SplitSeq(list, ",") {
		words = append(words, strings.Trim(strings.TrimSpace(word), `'"`))
	}
	return codeWords(words)
}

// archList reads TORCH_CUDA_ARCH_LIST, by which torch and its extensions are compiled: 7.5;8.0 9.0a+PTX
// (torch/utils/cpp_extension.py). Names of generations are not read.
func archList(value string) string {
	var words []string
	for entry := range strings.FieldsFuncSeq(value, func(c rune) bool { return c == ' ' || c == ';' }) {
		number, ptx := strings.CutSuffix(entry, "+PTX")
		major, minor, dotted := strings.Cut(number, ".")
		if !dotted || !isDigits(major) {
			return ""
		}
		words = append(words, "sm_"+major+minor)
		if ptx {
			words = append(words, "compute_"+major+minor)
		}
	}
	return codeWords(words)
}

// maxCode bounds the architectures of one list; nvcc knows some 30.
const maxCode = 64

// codeWords joins them; one that is none makes the list unknown.
func codeWords(words []string) string {
	if len(words) > maxCode || slices.ContainsFunc(words, func(word string) bool { return !isCode(word) }) {
		return ""
	}
	return strings.Join(slices.Compact(words), " ")
}

// isCode tells sm_90, sm_90a, sm_100f and compute_120 from other words.
func isCode(word string) bool {
	kind, number, _ := strings.Cut(word, "_")
	if n := len(number); n > 0 && (number[n-1] == 'a' || number[n-1] == 'f') {
		number = number[:n-1]
	}
	return (kind == "sm" || kind == "compute") && len(number) >= 2 && isDigits(number)
}
