package image

import (
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
	unknown bool // something that runs CUDA and does not tell which, or a folder that could not be read
}

// sure tells whether the lowest need of the set is that of whatever runs.
func (p packageSet) sure() bool { return !p.unknown }

func (p packageSet) has(kind string) bool {
	return slices.ContainsFunc(p.finds, func(l located) bool { return l.kind == kind })
}

// told are the frameworks that write the CUDA of their build into a file of their own, which their package's name leaves
// out on PyPI.
var told = []struct {
	kind, file string
	rule       func() rule
}{
	{"torch", "torch/version.py", torchRule},
	{"tensorflow", "tensorflow/python/platform/build_info.py", tensorflowRule},
	{"onnxruntime", "onnxruntime/capi/build_and_package_info.py", onnxRule},
}

// strangers run CUDA by themselves, and nothing here tells which. Where one lies the others prove nothing about what will
// run: ctranslate2 for CUDA 12 beside a torch for CUDA 13 is a real environment
// (bundles/evidence/listings/pip-cuda-package-names.tsv).
var strangers = []string{
	"ctranslate2", "paddle", "mxnet", "llama_cpp", "cudf", "cuml", "tensorrt", "pycuda", "warp", "taichi", "faiss", "oneflow", "mindspore",
}

// readPackages adds a folder's packages. Of a framework that an earlier folder has, a later one's is not used.
func (f *finder) readPackages(folder string, set *packageSet) {
	names, err := f.files.ReadDir(folder, maxPackages)
	if absent(err) {
		return
	}
	if err != nil {
		f.unread(folder, err)
		set.unknown = true
	}
	slices.Sort(names)
	earlier := *set
	var named []located
	for _, name := range names {
		if found, ok := readBy(packageRules(), []byte(name)); ok && !(found.framework && earlier.has(found.kind)) {
			named = append(named, located{found, folder + "/" + name})
		}
		set.unknown = set.unknown || slices.Contains(strangers, name)
	}
	for _, framework := range told {
		if top, _, _ := strings.Cut(framework.file, "/"); !slices.Contains(names, top) || earlier.has(framework.kind) {
			continue
		}
		byName := func(l located) bool { return l.kind == framework.kind }
		data, err := f.files.ReadFile(path.Join(folder, framework.file), maxVersionFile)
		if err != nil {
			if !absent(err) {
				f.unread(path.Join(folder, framework.file), err)
			}
			set.unknown = set.unknown || !slices.ContainsFunc(named, byName)
			continue
		}
		named = slices.DeleteFunc(named, byName) // the file knows better
		if found, ok := framework.rule().read(data); ok {
			named = append(named, located{found, path.Join(folder, framework.file)})
		}
	}
	set.finds = append(set.finds, named...)
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
