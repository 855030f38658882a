package checks

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
	"gpu-preflight/testdata/fixture"
)

func declared(f *Facts) { f.Requirement = RequirementDeclared }

func minorVersion(f *Facts) { f.Requirement = RequirementMinorVersion }

func requires(expression string) change { return env("NVIDIA_REQUIRE_CUDA=" + expression) }

// compat says which compatibility libraries the image carries, by the driver version of each; none: the folders
// were read and hold none. The toolkit's hook is in the specification, and a Python is started.
func compat(versions ...string) change {
	return func(f *Facts) {
		var libraries []image.CompatLibrary
		for _, v := range versions {
			libraries = append(libraries, image.CompatLibrary{Path: "/usr/local/cuda/compat/libcuda.so." + v, Version: v})
		}
		f.Launch.Needs.Compat = image.Compat{Read: true, Libraries: libraries, Loader: &image.Loader{Cache: true, Toolkit: libraries}}
		f.Launch.GPUs.Forward = oci.AssumedForward(oci.RouteCDI)
	}
}

// onlyProc is a host without NVML whose driver is known from /proc.
var onlyProc = and(noNVML, func(f *Facts) { f.Host.NVML.Init = missing[int]() })

func unknownBrand(f *Facts) {
	everyGPU(func(g *host.GPU) { g.Brand = missing[string]() })(f)
	f.Host.ProcGPUs = missing[[]host.ProcGPU]()
	everyGPU(func(g *host.GPU) { g.Name = missing[string]() })(f)
}

// Hosts of the three answers.
var (
	geforce580 = and(gpus(1, rtx4090), driver("580.95.05", "13.0"))
	geforce535 = and(gpus(1, rtx4090), driver("535.183.06", "12.2"))
	tesla535   = and(gpus(1, t4), driver("535.183.06", "12.2"))
	titan535   = and(gpus(1, board{"NVIDIA TITAN RTX", "TITAN_RTX", "7.5", "1e02"}), driver("535.183.06", "12.2"))
	quadro535  = and(gpus(1, board{"Quadro RTX 6000", "QUADRO_RTX", "7.5", "1e30"}), driver("535.183.06", "12.2"))
)

// nvidiaCUDA130 is the shape of what nvidia/cuda:13.0 images declare.
const nvidiaCUDA130 = "cuda>=13.0 brand=unknown,driver>=535,driver<536 brand=tesla,driver>=535,driver<536 brand=geforce,driver>=570,driver<571"

func TestCUDARequirement(t *testing.T) {
	testCheck(t, cudaRequirement, []row{
		{"nothing declared", nil, "skip", "NVIDIA_REQUIRE_"},
		{"met", requires("cuda>=12.8"), "pass", ""},
		// Three answers: native, with limits, cannot.
		{"native", and(geforce580, requires("cuda>=13.0")), "pass", ""},
		{"the same major, on GeForce", and(geforce580, requires("cuda>=13.1")), "warn", "13.1|580.95.05|13.0|222"},
		{"the same major, on a data-centre GPU", and(tesla535, requires("cuda>=12.9")), "warn", "12.9|12.2|222"},
		{"a higher major, on GeForce", and(geforce535, requires("cuda>=13.0")), "fail", "13.0|535.183.06|12.2|35|driver branch 580|use an image for CUDA 12"},
		{"a higher major, on a system that is one image", and(geforce535, requires("cuda>=13.0"), func(f *Facts) { f.Host.OS = known(host.OS{ID: "talos"}) }), "fail", "bring driver branch 580 or later to this host: Talos"},
		{"a higher major, on TITAN", and(titan535, requires("cuda>=13.0")), "fail", "12.2"},
		{"a higher major, and of two GPUs only a GeForce is known", and(geforce535, requires("cuda>=13.0"), answeredOnly(1), func(f *Facts) { f.Host.NVML.Count = known(2) }), "warn", "13.0"},
		{"a higher major, on a platform that is not known, without NVML", and(geforce535, requires("cuda>=13.0"), noNVML, func(f *Facts) { f.Host.Platform.Tegra = missing[bool]() }), "unknown", ""},
		{"a higher major, on a GeForce that NVML was not asked for", and(geforce535, everyGPU(notAsked), requires("cuda>=13.0")), "fail", "GeForce"},
		{"a higher major, on a data-centre GPU", and(tesla535, requires("cuda>=13.0")), "warn", "13.0|12.2|35"},
		{"a higher major, on a workstation GPU", and(quadro535, requires("cuda>=13.0")), "warn", ""},
		{"a higher major, class unknown", and(tesla535, unknownBrand, requires("cuda>=13.0")), "warn", ""},
		{"a higher major, GeForce and Tesla side by side", and(gpus(2, rtx4090), driver("535.183.06", "12.2"), gpuIs(1, func(g *host.GPU) { g.Brand = known("TESLA") }), requires("cuda>=13.0")), "warn", ""},
		{"no minor-version compatibility before CUDA 11", and(gpus(1, rtx4090), driver("418.226.00", "10.1"), requires("cuda>=10.2")), "fail", "10.2|10.1"},
		{"patch digits never decide", and(tesla535, requires("cuda>=12.2.2")), "pass", ""},
		// Forward compatibility.
		{"the image was read and has no compatibility library", and(tesla535, compat(), requires("cuda>=13.0")), "fail", "no forward-compatibility"},
		{"its library serves this branch", and(tesla535, compat("580.65.06"), requires("cuda>=13.0")), "pass", "forward-compatibility"},
		{"its library reaches further than the need", and(tesla535, compat("590.44.01"), requires("cuda>=13.0")), "pass", ""},
		{"its library does not reach the need", and(tesla535, compat("570.86.15"), requires("cuda>=13.0")), "fail", "do not reach CUDA 13.0"},
		{"its library is not in the tables", and(tesla535, compat("999.10.01"), requires("cuda>=13.0")), "warn", ""},
		{"its library tells no version", and(tesla535, compat(""), requires("cuda>=13.0")), "warn", ""},
		{"two libraries in one folder: NVIDIA's hook takes neither", and(tesla535, compat("570.86.15", "580.65.06"), requires("cuda>=13.0")), "warn", "several libraries"},
		{"one of two libraries serves, in LD_LIBRARY_PATH", and(tesla535, compat("570.86.15", "580.65.06"), onPath("580.65.06"), requires("cuda>=13.0")), "pass", "LD_LIBRARY_PATH"},
		{"the library lies there, and nothing puts it first", and(tesla535, compat("580.65.06"), plainCDI, requires("cuda>=13.0")), "fail", "not used at this launch|no enable-cuda-compat hook|LD_LIBRARY_PATH=/usr/local/cuda/compat"},
		{"the library lies there, and the image's own cache may have it first", and(tesla535, compat("580.65.06"), func(f *Facts) { f.Launch.GPUs.Forward = oci.Forward{} }, requires("cuda>=13.0")), "warn", "own cache"},
		{"the library lies there, and newer toolkits put its folder first", and(tesla535, compat("580.65.06"), inConf("vllm-compat.conf", "580.65.06"), plainCDI, requires("cuda>=13.0")), "warn", "toolkit's version"},
		{"the library lies there, and /etc/ld.so.conf may name its folder", and(tesla535, compat("580.65.06"), plainCDI, loaded(func(l *image.Loader) { l.ConfWhy = "/etc/ld.so.conf has an order of its own" }), requires("cuda>=13.0")), "warn", "order of its own"},
		{"it lies there, and a script may put it first", and(tesla535, compat("580.65.06"), plainCDI, script, requires("cuda>=13.0")), "warn", "nothing of this launch puts"},
		{"it lies there, NVIDIA's legacy mode is told to leave it", and(tesla535, compat("580.65.06"), legacyMode("disabled"), minorVersion, requires("cuda>=13.0")), "fail", "cuda-compat-mode"},
		{"a host branch that the matrix does not list", and(gpus(1, t4), driver("560.35.03", "12.6"), compat("580.65.06"), requires("cuda>=13.0")), "warn", ""},
		{"GeForce with a compatibility library", and(geforce535, compat("580.65.06"), requires("cuda>=13.0")), "fail", ""},
		{"a class not known, with the library", and(quadro535, compat("580.65.06"), requires("cuda>=13.0")), "warn", ""},
		{"cuda>=99 on a data-centre GPU", requires("cuda>=99"), "fail", "99.0|12.8"},
		{"cuda>=99, class unknown", and(unknownBrand, requires("cuda>=99.0")), "fail", ""},
		{"cuda>=99, with the newest library", and(compat("615.30.01"), requires("cuda>=99")), "fail", ""},
		{"the next major may have come since the tables", requires("cuda>=14.0"), "warn", "14.0"},
		// The policy's three words, and NVIDIA's own hook.
		{"auto under NVIDIA's hook", and(geforce580, legacyHook, requires("cuda>=13.1")), "fail", "cuda>=13.1|cuda 13.0"},
		{"auto without it", and(geforce580, requires("cuda>=13.1")), "warn", ""},
		{"declared without the hook", and(geforce580, declared, requires("cuda>=13.1")), "fail", "13.1"},
		{"minor-version under the hook", and(geforce580, legacyHook, minorVersion, requires("cuda>=13.1")), "warn", ""},
		{"declared, the data-centre GPU is no way out", and(tesla535, declared, requires("cuda>=13.0")), "fail", ""},
		// Brand, architecture, driver.
		{"a brand, outside NVIDIA's hook", requires("brand=tesla,driver>=418"), "warn", "brand=tesla"},
		{"an architecture, outside NVIDIA's hook", requires("arch>=10.0"), "warn", "arch>=10.0|9.0"},
		{"a brand, under NVIDIA's hook", and(legacyHook, requires("brand=tesla,driver>=418")), "fail", "brand=tesla|Unknown"},
		{"a driver", requires("driver>=999"), "fail", "driver>=999|570.86.15"},
		{"a driver, and a brand that would not help", requires("brand=tesla,driver>=999"), "fail", ""},
		{"no lone cuda>=X: the author's word", requires("cuda>=13.0,driver>=580"), "fail", "cuda>=13.0,driver>=580"},
		{"cuda<13", and(geforce580, requires("cuda<13.0")), "fail", "cuda<13.0"},
		{"another variable", env("NVIDIA_REQUIRE_CUDA=cuda>=12.0", "NVIDIA_REQUIRE_DRIVER=driver>=999"), "fail", "NVIDIA_REQUIRE_DRIVER"},
		{"the worst of several", env("NVIDIA_REQUIRE_CUDA=cuda>=12.9", "NVIDIA_REQUIRE_DRIVER=driver>=999"), "fail", ""},
		// Terms.
		{"an OR term holds", and(tesla535, requires(nvidiaCUDA130)), "pass", ""},
		{"brands that libnvidia-container does not know are unknown", and(geforce535, requires(nvidiaCUDA130)), "pass", ""},
		{"no OR term holds, the lone cuda>=X decides", and(geforce535, driver("550.54.15", "12.4"), requires(nvidiaCUDA130)), "fail", "13.0"},
		{"the lowest lone cuda>=X counts", and(geforce580, requires("cuda>=99 cuda>=13.2")), "warn", "13.2"},
		{"invalid", requires("cuda=>12"), "unknown", "cannot be read"},
		{"invalid, after a term that holds", requires("cuda>=12.0 foo=bar"), "pass", ""},
		{"nothing in it", requires(" , "), "pass", ""},
		// Every GPU asked for.
		{"one GPU of two lacks it", and(gpus(2, t4), gpuIs(1, func(g *host.GPU) { g.Capability = known("7.0") }), legacyHook, requires("arch>=7.5")), "fail", "arch 7.0"},
		{"the other one is asked for", and(gpus(2, t4), gpuIs(1, func(g *host.GPU) { g.Capability = known("7.0") }), legacyHook, ask("0"), requires("arch>=7.5")), "pass", ""},
		{"one GPU is silent, the other lacks it", and(gpus(2, t4), gpuIs(0, silent), gpuIs(1, func(g *host.GPU) { g.Capability = known("7.0") }), legacyHook, requires("arch>=7.5")), "fail", ""},
		// Unknown facts.
		{"CUDA unknown", and(func(f *Facts) { f.Host.NVML.CUDA = missing[string]() }, requires("cuda>=99")), "unknown", ""},
		{"CUDA unknown, and the driver meets another term", and(func(f *Facts) { f.Host.NVML.CUDA = missing[string]() }, requires("cuda>=99 driver>=535")), "pass", ""},
		{"CUDA unknown, an upper bound", and(func(f *Facts) { f.Host.NVML.CUDA = missing[string]() }, requires("cuda<99")), "unknown", ""},
		{"no NVML: the table has the driver's CUDA", and(geforce535, onlyProc, requires("cuda>=13.0")), "fail", "13.0|12.2"},
		{"no NVML, a driver not in the table", and(geforce535, onlyProc, func(f *Facts) { f.Host.Driver.Version = known("999.10") }, requires("cuda>=13.0")), "unknown", ""},
		{"no NVML, no driver", and(onlyProc, func(f *Facts) { f.Host.Driver.Version = missing[string]() }, requires("cuda>=13.0")), "unknown", ""},
		{"NVML tells nonsense", and(func(f *Facts) { f.Host.NVML.CUDA = known("ERR!") }, requires("cuda>=13.0")), "unknown", ""},
		{"the driver is unknown", and(func(f *Facts) { f.Host.NVML.Driver, f.Host.Driver.Version = missing[string](), missing[string]() }, requires("driver>=999")), "unknown", "driver"},
		{"the architecture is unknown", and(everyGPU(silent), requires("arch>=99")), "unknown", "arch"},
		{"the GPU is not resident", and(everyGPU(notAsked), requires("arch>=99,brand=tesla")), "skip", "not asked"},
		{"the GPU is not resident, the CUDA is known", and(everyGPU(notAsked), requires("cuda>=12.8")), "pass", ""},
		// WSL and Tegra have version numbers of their own.
		{"WSL: NVML's CUDA counts", and(gpus(1, rtx4090), driver("546.80", "12.3"), wsl, requires("cuda>=12.3")), "pass", ""},
		{"WSL without NVML: its driver number is not in the table", and(gpus(1, rtx4090), driver("535.98", "12.2"), wsl, onlyProc, requires("cuda>=99")), "unknown", ""},
		{"Tegra without NVML", and(gpus(1, board{"Orin (nvgpu)", "", "8.7", ""}), driver("540.4.0", ""), tegra, onlyProc, requires("cuda>=99")), "unknown", ""},
		{"a GeForce beside a card that nouveau holds", and(gpus(2, rtx4090), driver("535.183.06", "12.2"), nouveau(1), requires("cuda>=13.0")), "fail", "GeForce"},
		{"a GeForce that is not resident, asked for by its index", and(gpus(2, rtx4090), driver("535.183.06", "12.2"), everyGPU(notAsked), ask("1"), requires("cuda>=13.0")), "fail", "GeForce"},
		{"Tegra: its compatibility libraries may lie on the host", and(gpus(1, board{"Orin (nvgpu)", "", "8.7", ""}), unknownBrand, driver("540.4.0", "12.6"), tegra, compat(), requires("cuda>=13.0")), "warn", ""},
		{"Tegra and no driver that is known", and(gpus(1, board{"Orin (nvgpu)", "", "8.7", ""}), unknownBrand, driver("540.4.0", "12.6"), tegra, compat(), requires("cuda>=99")), "fail", ""},
		{"L4T's number in the module's file", and(gpus(1, board{"Orin (nvgpu)", "", "8.7", ""}), onlyProc, func(f *Facts) { f.Host.Driver.Version = known("35.3.1") }, requires("cuda>=99")), "unknown", ""},
		// The rest.
		{"without compute", and(geforce535, capabilities("utility", "video"), requires("cuda>=13.0")), "warn", ""},
		{"an observer", and(geforce535, observer, requires("cuda>=13.0")), "warn", "nvidia-smi"},
		{"foreign text", env("NVIDIA_REQUIRE_\x1b[2Jé=cuda>=99,driver>=9\u202e"), "fail", `\x1b[2J\u00e9|"cuda>=99,driver>=9\u202e"`},
		{"long foreign text", env("NVIDIA_REQUIRE_" + strings.Repeat("A", 10_000) + "=brand=x,driver>=999"), "fail", "(cut)"},
	})
}

// TestUnmetIsWhole: every unmet term is in the record, and the need is marked for NVIDIA_DISABLE_REQUIRE.
func TestUnmetIsWhole(t *testing.T) {
	f := healthy()
	requires("cuda>=99 brand=tesla,driver>=535")(&f)
	for _, mode := range []Requirement{RequirementDeclared, RequirementMinorVersion} {
		f.Requirement = mode
		r := Run(f, []Check{cudaRequirement})[0]
		if !slices.Equal(r.Unmet, []string{"cuda>=99", "brand=tesla,driver>=535"}) || !r.Need || r.Status != StatusFail {
			t.Errorf("%s: %s, need %v, unmet %q", mode, r.Status, r.Need, r.Unmet)
		}
	}
}

// TestCorpusRequirementDeclared: in mode declared a launch gets the answer of libnvidia-container's own code,
// which takes an unknown fact as met where this check does not know.
func TestCorpusRequirementDeclared(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(fixture.Corpus(t), "compat", "10_require_grammar.json"))
	if err != nil {
		t.Fatal(err)
	}
	var grammar struct {
		Vectors []struct {
			Facts struct{ CUDA, Driver, Arch, Brand string } `json:"facts"`
			Expr  string                                     `json:"expr"`
			Want  string                                     `json:"libnvidia_container"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(data, &grammar); err != nil {
		t.Fatal(err)
	}
	wants := map[string][]Status{
		"pass": {StatusPass, StatusSkip}, "fail": {StatusFail}, "invalid": {StatusUnknown},
	}
	for i, v := range grammar.Vectors {
		f := healthy()
		gpus(1, t4)(&f)
		f.Requirement = RequirementDeclared
		f.Host.NVML.CUDA.Value, f.Host.NVML.Driver.Value = v.Facts.CUDA, v.Facts.Driver
		f.Host.NVML.GPUs[0].Capability.Value, f.Host.NVML.GPUs[0].Brand.Value = v.Facts.Arch, v.Facts.Brand
		if v.Facts.Driver == "" {
			f.Host.NVML.Driver, f.Host.Driver.Version = missing[string](), missing[string]()
		}
		requires(v.Expr)(&f)
		r := Run(f, []Check{cudaRequirement})[0]
		if !slices.Contains(wants[v.Want], r.Status) {
			t.Errorf("vector %d: %.120q with %+v: %s (%s), want %s", i, v.Expr, v.Facts, r.Status, r.What, v.Want)
		}
		checkTexts(t, r)
	}
}
