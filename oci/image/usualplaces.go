package image

import (
	"path"
	"slices"
	"strings"
)

// Where software with CUDA usually lies in an image. What is found there may never be used.
var (
	usualPrefixes  = []string{"/usr/local", "/usr", "/opt/conda", "/opt/venv", "/venv", "/app/.venv", "/workspace/.venv", "/opt/pytorch"}
	usualToolkits  = []string{"/usr/local/cuda"}
	usualLibraries = []string{"/usr/local/cuda/lib64"}
	usualLibtorch  = []string{"/opt/libtorch", "/usr/local/libtorch", "/libtorch"}
	usualBundles   = []string{"/usr/lib/ollama", "/usr/local/lib/ollama"}
)

// maxBundles bounds the folders of one bundle.
const maxBundles = 16

// usualPlaces tells what lies there, each place a stack of its own.
func (f *finder) usualPlaces(s *starter) {
	prefixes := slices.Clone(usualPrefixes)
	for _, key := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if folder := s.env[key]; path.IsAbs(folder) {
			prefixes = append([]string{path.Clean(folder)}, prefixes...)
		}
	}
	told := map[string]bool{}
	for _, e := range f.found.Evidence {
		told[e.Path] = true
	}
	for _, prefix := range append(prefixes, path.Join(s.cwd, ".venv")) {
		f.prefix(prefix, told)
	}
	for _, folder := range usualToolkits {
		f.toolkit(folder)
	}
	for _, folder := range usualLibraries {
		f.libraries(folder)
	}
	if folder := s.env["LIBTORCH"]; path.IsAbs(folder) { // where tch-rs looks for it
		f.libtorch(path.Clean(folder))
	}
	for _, folder := range usualLibtorch {
		f.libtorch(folder)
	}
	for _, bundle := range usualBundles {
		names := f.names(bundle, maxFolder)
		for _, name := range names[:min(len(names), maxBundles)] {
			if strings.HasPrefix(name, "cuda_v") {
				f.libraries(bundle + "/" + name)
			}
		}
	}
}

// prefix reads the packages of every Python below a prefix, and conda's own list.
func (f *finder) prefix(prefix string, told map[string]bool) {
	names := f.names(prefix+"/lib", maxFolder)
	pythons := 0
	for _, name := range names {
		if name != "python3" && !libFolder().MatchString(name) || pythons == maxBundles {
			continue
		}
		pythons++
		for _, kind := range []string{"site-packages", "dist-packages"} {
			folder := prefix + "/lib/" + name + "/" + kind
			var set packageSet
			f.readPackages(folder, &set)
			f.tell(slices.DeleteFunc(set.finds, func(l located) bool { return told[l.path] }), folder, false)
		}
	}
	for _, name := range f.names(prefix+"/conda-meta", maxPackages) {
		stem, isJSON := strings.CutSuffix(name, ".json")
		if found, ok := readBy(condaRules(), []byte(stem)); ok && isJSON {
			f.tell([]located{{found, prefix + "/conda-meta/" + name}}, prefix, false)
		}
	}
}

// toolkit reads the version file of a CUDA toolkit.
func (f *finder) toolkit(folder string) {
	if data, ok := f.read(folder+"/version.json", ""); ok {
		if found, ok := readVersionJSON(data); ok {
			f.tell([]located{{found, folder + "/version.json"}}, folder, false)
		}
		return
	}
	if data, ok := f.read(folder+"/version.txt", ""); ok {
		if found, ok := versionTXTRule().read(data); ok {
			f.tell([]located{{found, folder + "/version.txt"}}, folder, false)
		}
	}
}

// libtorch reads the version of a libtorch, which is torch without Python.
func (f *finder) libtorch(folder string) {
	const name = "build-version"
	if data, ok := f.read(folder+"/"+name, "+cu"); ok {
		if found, ok := libtorchRule().read(data); ok {
			f.tell([]located{{found, folder + "/" + name}}, folder, false)
		}
	}
}

// libraries reads the name of the CUDA runtime in a folder: the longest says most.
func (f *finder) libraries(folder string) {
	names := f.names(folder, maxFolder)
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		if found, ok := readBy(cudartRules(), []byte(name)); ok {
			f.tell([]located{{found, folder + "/" + name}}, folder, false)
			return
		}
	}
}
