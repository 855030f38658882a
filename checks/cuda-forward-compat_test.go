package checks

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// loaded changes the order in which the image's loader finds a libcuda.
func loaded(c func(*image.Loader)) change {
	return func(f *Facts) {
		l := *f.Launch.Needs.Compat.Loader
		c(&l)
		f.Launch.Needs.Compat.Loader = &l
	}
}

func libraryAt(folder, version string) *image.CompatLibrary {
	return &image.CompatLibrary{Path: folder + "/libcuda.so." + version, Version: version}
}

// onPath puts the compat folder into LD_LIBRARY_PATH.
func onPath(version string) change {
	return loaded(func(l *image.Loader) {
		l.Path = []image.Candidate{{Folder: "/usr/local/nvidia/lib"}, {Folder: "/usr/local/cuda/compat", Library: libraryAt("/usr/local/cuda/compat", version)}}
	})
}

// inConf names the compat folder in a file of /etc/ld.so.conf.d, beside the distribution's own.
func inConf(file, version string) change {
	return loaded(func(l *image.Loader) {
		l.Conf = []image.Candidate{
			{Folder: "/usr/local/cuda/compat", File: "/etc/ld.so.conf.d/" + file, Library: libraryAt("/usr/local/cuda/compat", version)},
			{Folder: "/usr/lib/x86_64-linux-gnu", File: "/etc/ld.so.conf.d/x86_64-linux-gnu.conf", System: true},
		}
	})
}

// note gives the library in the compat folder its ELF note, which lists branches of the kernel driver.
func note(branches ...int) change {
	return loaded(func(l *image.Loader) {
		l.Toolkit = []image.CompatLibrary{l.Toolkit[0]}
		l.Toolkit[0].Note = &image.Note{CUDA: "12.9", Branches: branches}
	})
}

// plainCDI is a specification of before toolkit 1.17.5.
func plainCDI(f *Facts) { f.Launch.GPUs.Forward = oci.Forward{UpdatesCache: true} }

// above is a launch whose next runtime is nvidia-container-runtime.
func above(f *Facts) {
	f.Launch.GPUs.Route, f.Launch.GPUs.Forward = oci.RouteJITCDI, oci.Forward{Open: true}
}

func legacyMode(mode string) change {
	return func(f *Facts) {
		legacyHook(f)
		f.Launch.GPUs.Forward = oci.Forward{Mode: mode}
	}
}

var script = loaded(func(l *image.Loader) { l.Steered = "what is started may set LD_LIBRARY_PATH itself" })

// conf575 is a vLLM image for CUDA 12.9 (gpustack/gpustack#4678).
var conf575 = and(compat("575.57.08"), inConf("00-cuda-compat.conf", "575.57.08"))

func TestCUDAForwardCompat(t *testing.T) {
	h100r580 := and(gpus(8, board{"NVIDIA H100 80GB HBM3", "NVIDIA", "9.0", "2330"}), driver("580.95.05", "13.0"))
	testCheck(t, cudaForwardCompat, []row{
		{"nobody looked", nil, "skip", "not asked"},
		{"the look failed", func(f *Facts) { f.Launch.Needs.Compat = image.Compat{Why: "time-out"} }, "unknown", "time-out"},
		{"the image has none", compat(), "pass", "no libcuda of its own"},
		{"without compute", and(geforce535, compat("580.65.06"), onPath("580.65.06"), capabilities("utility")), "skip", ""},
		{"Tegra", and(compat("1.1"), tegra), "skip", "Tegra"},
		{"WSL", and(compat("580.65.06"), wsl), "skip", "WSL"},

		// NVIDIA's hook in the specification.
		{"a newer library on a data-centre GPU", and(tesla535, compat("580.65.06")), "pass", "forward compatibility|enable-cuda-compat|535.183.06"},
		{"the same, and a script is started", and(tesla535, compat("580.65.06"), script), "pass", "forward compatibility"},
		{"NGC 25.x on an H100 with R580", and(h100r580, compat("580.95.05")), "pass", "the driver's own"},
		{"a newer library on a GeForce", and(geforce535, compat("580.65.06")), "fail", "804|GeForce|535.183.06|driver branch 580|DISABLED_HOOKS=enable-cuda-compat"},
		{"the same, and NVIDIA's legacy mode put the hook in", and(geforce535, compat("580.65.06"), func(f *Facts) { f.Launch.GPUs.Route = oci.RouteLegacy }), "fail", `804|set cuda-compat-mode = "disabled"`},
		{"on TITAN", and(titan535, compat("580.65.06")), "fail", "804"},
		{"on a GeForce that NVML was not asked for", and(geforce535, everyGPU(notAsked), compat("580.65.06")), "fail", "804"},
		{"on a GeForce, and a script is started", and(geforce535, compat("580.65.06"), script), "warn", "804"},
		{"on a GeForce, of the same CUDA major", and(geforce535, compat("575.57.08")), "warn", "804"},
		{"on a workstation GPU", and(quadro535, compat("580.65.06")), "warn", "804|not known"},
		{"class unknown", and(tesla535, unknownBrand, compat("580.65.06")), "warn", "804"},
		{"GeForce and Tesla side by side", and(gpus(2, rtx4090), driver("535.183.06", "12.2"), gpuIs(1, func(g *host.GPU) { g.Brand = known("TESLA") }), compat("580.65.06")), "warn", ""},
		{"an older library stays unused", and(gpus(1, rtx4090), driver("590.48.01", "13.1"), compat("575.57.08")), "pass", "the driver's own"},
		{"the image has no cache of the loader", and(geforce535, compat("580.65.06"), loaded(func(l *image.Loader) { l.Cache = false })), "pass", "the driver's own"},
		{"the hook was generated without a driver", and(geforce535, compat("580.65.06"), func(f *Facts) { f.Launch.GPUs.Forward.HostDriver = "" }), "pass", ""},
		{"the hook has another folder", and(geforce535, compat("580.65.06"), func(f *Facts) { f.Launch.GPUs.Forward.Folder = "/opt" }), "unknown", "toolkit's version"},
		{"the hook goes by CUDA", and(geforce535, compat("580.65.06"), func(f *Facts) { f.Launch.GPUs.Forward.HostCUDA = "12.2" }), "unknown", ""},
		{"nothing writes the cache", and(geforce535, compat("580.65.06"), func(f *Facts) { f.Launch.GPUs.Forward.UpdatesCache = false }), "unknown", ""},
		{"the note lists the branch, the table does not", and(gpus(1, t4), driver("550.163.01", "12.4"), compat("575.57.08"), note(535, 550, 560, 565, 570, 575)), "pass", "forward compatibility"},
		{"neither lists the branch", and(gpus(1, t4), driver("545.23.08", "12.3"), compat("580.65.06")), "warn", "not known to serve"},
		{"the note does not list the branch", and(gpus(1, t4), driver("545.23.08", "12.3"), compat("575.57.08"), note(535, 550)), "unknown", "toolkit's version"},
		{"a newer library of the same branch", and(gpus(1, t4), driver("575.10.10", "12.9"), compat("575.57.08"), note(575)), "unknown", ""},
		{"the same version", and(gpus(1, t4), driver("575.57.08", "12.9"), compat("575.57.08"), note(575)), "pass", "the driver's own"},
		{"above NVIDIA's runtime", and(geforce535, compat("580.65.06"), func(f *Facts) { f.Launch.GPUs.Forward = oci.Forward{Open: true} }), "unknown", "still to come"},
		{"above NVIDIA's runtime, which makes the specification itself", and(tesla535, compat("580.65.06"), above), "pass", "forward compatibility"},
		{"above NVIDIA's runtime, which makes the specification itself, on a GeForce", and(geforce535, compat("580.65.06"), above), "warn", "804|delete /usr/local/cuda/compat from the image"},

		// Plain CDI.
		{"it lies there", and(geforce535, compat("580.65.06"), plainCDI), "pass", "no enable-cuda-compat hook"},
		{"by ld.so.conf.d, older than the driver", and(geforce580, conf575, plainCDI), "fail", "803|575.57.08|580.95.05|00-cuda-compat.conf|/dev/null"},
		{"the hook takes the older one as little", and(geforce580, conf575), "fail", "803"},
		{"by ld.so.conf.d, and a script is started", and(geforce580, conf575, plainCDI, script), "warn", "803"},
		{"by ld.so.conf.d, newer, on a GeForce", and(geforce535, compat("580.65.06"), inConf("00-cuda-compat.conf", "580.65.06"), plainCDI), "fail", "804"},
		{"by ld.so.conf.d, on a data-centre GPU", and(tesla535, compat("580.65.06"), inConf("00-cuda-compat.conf", "580.65.06"), plainCDI), "pass", "forward compatibility"},
		{"a file behind those of the toolkit", and(geforce580, compat("575.57.08"), inConf("zz-nvcr.conf", "575.57.08"), plainCDI), "pass", "the driver's own"},
		{"a file behind those of older toolkits", and(geforce580, compat("575.57.08"), inConf("vllm-compat.conf", "575.57.08"), plainCDI), "unknown", "toolkit's version"},
		{"a file between those of two toolkits", and(geforce580, compat("575.57.08"), inConf("cuda-compat.conf", "575.57.08"), plainCDI), "unknown", "toolkit's version"},
		{"the cache is the image's own", and(geforce580, conf575, func(f *Facts) { f.Launch.GPUs.Forward = oci.Forward{} }), "unknown", "own cache"},
		{"/etc/ld.so.conf has an order of its own", and(geforce580, conf575, plainCDI, loaded(func(l *image.Loader) { l.ConfWhy = "x" })), "unknown", ""},
		{"/etc/ld.so.conf names a folder itself", and(geforce580, compat("575.57.08"), plainCDI, loaded(func(l *image.Loader) { l.ConfWhy = "/etc/ld.so.conf has an order of its own" })), "unknown", "order of its own"},
		{"nothing writes the cache anew, which may have any folder first", and(tesla535, compat("580.65.06"), func(f *Facts) { f.Launch.GPUs.Forward = oci.Forward{} }), "unknown", "own cache"},
		{"older by its version, and serves the driver by its note", and(geforce580, conf575, plainCDI, loaded(func(l *image.Loader) {
			l.Conf[0].Library = &image.CompatLibrary{Path: "/usr/local/cuda/compat/libcuda.so.575.57.08", Version: "575.57.08", Note: &image.Note{CUDA: "12.9", Branches: []int{570, 580}}}
		})), "warn", "older"},
		{"NVIDIA's legacy hook puts the driver's folder first (gpustack/gpustack#4678)", and(geforce580, conf575, legacyMode("ldconfig")), "pass", "the driver's own"},
		{"device nodes alone", and(geforce580, conf575, func(f *Facts) { f.Launch.GPUs.Route = oci.RouteDevices }), "unknown", ""},

		// LD_LIBRARY_PATH.
		{"newer, on a GeForce", and(geforce535, compat("580.65.06"), plainCDI, onPath("580.65.06")), "fail", "804|LD_LIBRARY_PATH (/usr/local/cuda/compat)|without /usr/local/cuda/compat"},
		{"older than the driver", and(geforce580, compat("575.57.08"), plainCDI, onPath("575.57.08")), "fail", "803"},
		{"older than the driver, on a data-centre GPU, under the legacy hook", and(h100r580, compat("575.57.08"), legacyMode("ldconfig"), onPath("575.57.08")), "fail", "803"},
		{"older, of the same branch", and(geforce580, compat("580.65.06"), plainCDI, onPath("580.65.06")), "warn", "803"},
		{"a script is started", and(geforce580, compat("575.57.08"), plainCDI, onPath("575.57.08"), script), "warn", "803"},
		{"newer, on a data-centre GPU", and(tesla535, compat("580.65.06"), plainCDI, onPath("580.65.06")), "pass", "forward compatibility"},
		{"the driver's folder is named before", and(geforce580, compat("575.57.08"), loaded(func(l *image.Loader) {
			l.Path = []image.Candidate{{Folder: "/lib/x86_64-linux-gnu", System: true}, {Folder: "/c", Library: libraryAt("/c", "575.57.08")}}
		})), "pass", "names /lib/x86_64-linux-gnu first"},
		{"a folder of another distribution is named before", and(geforce580, compat("575.57.08"), driverIn("/usr/lib/x86_64-linux-gnu"), loaded(func(l *image.Loader) {
			l.Path = []image.Candidate{{Folder: "/usr/lib64", System: true}, {Folder: "/c", Library: libraryAt("/c", "575.57.08")}}
		})), "fail", "803"},
		{"a folder that only the loader can tell is named before", and(geforce580, compat("575.57.08"), loaded(func(l *image.Loader) {
			l.Path = []image.Candidate{{Folder: "$ORIGIN", Unread: "not an absolute path"}, {Folder: "/c", Library: libraryAt("/c", "575.57.08")}}
		})), "unknown", "$ORIGIN"},
		{"stubs", and(compat(), stubs), "fail", "34|stub"},
		{"stubs, and a script is started", and(compat(), stubs, script), "warn", "34"},
		{"a version that is none", and(compat(""), onPath("1")), "unknown", ""},
		{"the driver's version unknown", and(compat("580.65.06"), onPath("580.65.06"), func(f *Facts) { f.Host.Driver.Version = missing[string]() }), "unknown", ""},
		{"the library is of the loaded driver's version", and(compat("570.86.15"), onPath("570.86.15")), "pass", "of the loaded driver's version"},

		// NVIDIA's legacy mode.
		{"ldconfig, newer, on a GeForce", and(geforce535, compat("580.65.06"), legacyMode("ldconfig")), "fail", `804|cuda-compat-mode = "disabled"`},
		{"mount, newer, on a GeForce", and(geforce535, compat("580.65.06"), legacyMode("mount")), "fail", "804"},
		{"ldconfig, newer, on a data-centre GPU", and(tesla535, compat("580.65.06"), legacyMode("ldconfig")), "pass", "forward compatibility"},
		{"ldconfig, older", and(geforce580, compat("575.57.08"), legacyMode("ldconfig")), "pass", "the driver's own"},
		{"mount, older: the link goes to the newest", and(geforce580, compat("575.57.08"), legacyMode("mount")), "pass", "the driver's own"},
		{"disabled", and(geforce535, compat("580.65.06"), legacyMode("disabled")), "pass", "disabled"},
		{"hook, which is not there", and(geforce535, compat("580.65.06"), legacyMode("hook")), "pass", ""},
		{"hook, still to come", and(geforce535, compat("580.65.06"), legacyMode("hook"), func(f *Facts) { f.Launch.GPUs.Forward.Open = true }), "unknown", ""},
		{"the configuration does not say", and(geforce535, compat("580.65.06"), legacyMode("")), "unknown", "cuda-compat-mode"},
		{"the configuration does not say, and the library is older", and(geforce580, compat("575.57.08"), legacyMode("")), "pass", ""},
		{"several libraries", and(geforce535, compat("575.57.08", "580.65.06"), legacyMode("ldconfig")), "unknown", ""},
		{"toolkit 1.17.5: the hook beside the legacy hook", and(geforce535, compat("580.65.06"), legacyHook), "fail", "804|enable-cuda-compat"},

		// Images that see to it themselves.
		{"NGC: the entrypoint tests it", and(geforce535, compat("590.48.01"), ngc), "pass", "only where it works"},
		{"the image has a libcuda of its own", and(compat("550.54.15"), loaded(func(l *image.Loader) { l.Own = "/usr/lib/x86_64-linux-gnu/libcuda.so.1" })), "unknown", "of its own"},
		{"an observer", and(geforce580, conf575, plainCDI, observer), "warn", "nvidia-smi"},
	})
}

func ngc(f *Facts) {
	loaded(func(l *image.Loader) {
		l.Toolkit, l.Tested = nil, libraryAt("/usr/local/cuda/compat/lib.real", "590.48.01")
	})(f)
}

var stubs = loaded(func(l *image.Loader) {
	library := image.CompatLibrary{Path: "/usr/local/cuda/lib64/stubs/libcuda.so"}
	l.Path = []image.Candidate{{Folder: "/usr/local/cuda/lib64/stubs", Stub: true, Library: &library}}
})

// driverIn mounts the driver's libcuda into a folder.
func driverIn(folder string) change {
	return func(f *Facts) {
		f.Launch.Container.Mounts = []specs.Mount{{Source: f.Launch.GPUs.Libcuda, Destination: folder + "/libcuda.so." + f.Host.Driver.Version.Value}}
	}
}

// A CUDA base image brings a compatibility library of its own version: older than the driver, it could only harm.
func TestNewerThan(t *testing.T) {
	for _, tt := range []struct {
		driver, version string
		want            bool
	}{
		{"580.95.05", "12.9.1", true},
		{"580.95.05", "13.0.0.044", false},
		{"580.95.05", "13.1", false},
		{"575.57.08", "12.9.1", false},
		{"580.95.05", "", false},
		{"", "12.9.1", false},
		{"580.95.05", "latest", false},
		{"999.10", "99.0", false},
	} {
		if got := NewerThan(tt.driver, tt.version); got != tt.want {
			t.Errorf("%s, CUDA %s: %v", tt.driver, tt.version, got)
		}
	}
}
