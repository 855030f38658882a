package image

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// located is a sign and where it stands.
type located struct {
	find
	path string
}

// packageSet is what lies in the folders of one interpreter.
type packageSet struct {
	finds   []located
	seen    []string // kinds of frameworks that are there: of one that an earlier folder has, a later one's is not used
	unknown bool     // something that runs CUDA and does not tell which, or a folder that could not be read
}

// sure tells whether the lowest need of the set is that of whatever runs.
func (p packageSet) sure() bool { return !p.unknown }

// framework is one that writes the CUDA of its build into a file of its own, which its package's name leaves out on PyPI.
type framework struct {
	kind, file string
	word       string // without it the file is not the framework's: a pointer of git-lfs
	rule       func() rule
}

var told = []framework{
	{"torch", "torch/version.py", "cuda", torchRule},
	{"tensorflow", "tensorflow/python/platform/build_info.py", "build_info", tensorflowRule},
	{"onnxruntime", "onnxruntime/capi/build_and_package_info.py", "package_name", onnxRule},
}

// strangers run CUDA by themselves, and nothing here tells which. Where one lies the others prove nothing about what will
// run: ctranslate2 for CUDA 12 beside a torch for CUDA 13 is a real environment
// (bundles/evidence/listings/pip-cuda-package-names.tsv).
var strangers = []string{
	"ctranslate2", "paddle", "mxnet", "llama_cpp", "cudf", "cuml", "tensorrt", "pycuda", "warp", "taichi", "faiss", "oneflow", "mindspore",
}

// readPackages adds a folder's packages.
func (f *finder) readPackages(folder string, set *packageSet) {
	names, err := f.files.ReadDir(folder, maxPackages)
	if absent(err) {
		return
	}
	if err != nil {
		f.unread(err)
		set.unknown = true
	}
	slices.Sort(names)
	earlier := set.seen
	var finds []located
	for _, name := range names {
		if found, ok := readBy(packageRules(), []byte(name)); ok && !slices.Contains(earlier, found.kind) {
			finds = append(finds, located{found, folder + "/" + name})
			if found.framework {
				set.seen = append(set.seen, found.kind)
			}
		}
		set.unknown = set.unknown || slices.Contains(strangers, name)
	}
	for _, framework := range told {
		top, _, _ := strings.Cut(framework.file, "/")
		if slices.Contains(names, top) && !slices.Contains(earlier, framework.kind) {
			finds = f.readFramework(folder, framework, finds, set)
		}
	}
	set.finds = append(set.finds, finds...)
}

// readFramework asks a framework's own file, which knows better than the package's name.
func (f *finder) readFramework(folder string, framework framework, finds []located, set *packageSet) []located {
	set.seen = append(set.seen, framework.kind)
	byName := func(l located) bool { return l.kind == framework.kind }
	file := path.Join(folder, framework.file)
	data, ok := f.read(file, framework.word)
	if !ok {
		set.unknown = set.unknown || !slices.ContainsFunc(finds, byName)
		return finds
	}
	finds = slices.DeleteFunc(finds, byName)
	if found, ok := framework.rule().read(data); ok {
		finds = append(finds, located{found, file})
	}
	return finds
}

// read reads a file that tells a version. One that is not there, cannot be read or does not have the word tells nothing.
func (f *finder) read(file, word string) ([]byte, bool) {
	data, err := f.files.ReadFile(file, maxVersionFile)
	if err != nil && !absent(err) {
		f.unread(err)
	}
	return data, err == nil && bytes.Contains(data, []byte(word))
}

// hasFramework tells whether a folder that is looked into first holds a package of a framework's name, or cannot be read.
func (f *finder) hasFramework(folder string) bool {
	if folder == "" {
		return false
	}
	names, err := f.files.ReadDir(folder, maxPackages)
	if absent(err) {
		return false
	}
	return err != nil || slices.ContainsFunc(names, func(name string) bool {
		return slices.Contains([]string{"torch", "jax", "tensorflow", "cupy", "onnxruntime"}, strings.TrimSuffix(name, ".py"))
	})
}
