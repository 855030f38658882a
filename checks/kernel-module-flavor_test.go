package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

var (
	rtxPro6000 = board{"NVIDIA RTX PRO 6000 Blackwell Server Edition", "NVIDIA_RTX", "12.0", "2bb5"} // testdata/hosts/072
	v100       = board{"Tesla V100-PCIE-32GB", "TESLA", "7.0", "1db5"}                               // testdata/hosts/075
	gh200      = board{"NVIDIA GH200 480GB", "NVIDIA", "9.0", "2342"}
)

// unlisted makes a host whose driver is loaded and lists none of its GPUs.
func unlisted(count int, b board) change {
	return func(f *Facts) {
		gpus(count, b)(f)
		f.Host.ProcGPUs, f.Host.NVML.GPUs, f.Host.NVML.Count = known([]host.ProcGPU{}), nil, known(0)
	}
}

func flavor(kind string) change { return func(f *Facts) { f.Host.Driver.Flavor = known(kind) } }

func listsGPUs(count int) change { return func(f *Facts) { f.Host.NVML.Count = known(count) } }

func TestKernelModuleFlavor(t *testing.T) {
	testCheck(t, kernelModuleFlavor, []row{
		{"healthy", nil, "pass", "lists the GPUs"},
		{"Blackwell on proprietary modules", and(unlisted(1, rtxPro6000), flavor("proprietary")), "fail", "2bb5|needs the open kernel modules, but the proprietary ones are loaded|-open"},
		{"V100 on open modules", and(unlisted(1, v100), flavor("open")), "fail", "1db5|proprietary|580 is the last"},
		{"Grace Hopper on proprietary modules", and(unlisted(1, gh200), flavor("proprietary")), "fail", "2342"},
		{"on a system that is one image", and(unlisted(1, rtxPro6000), flavor("proprietary"), func(f *Facts) { f.Host.OS = known(host.OS{ID: "talos"}) }), "fail", "boot an image whose driver has the open kernel modules: Talos"},
		{"the driver's version is not known", and(unlisted(1, rtxPro6000), flavor("proprietary"), func(f *Facts) {
			f.Host.Driver.Version, f.Host.NVML.Driver = missing[string](), missing[string]()
		}), "fail", "of the same driver version:"},
		{"Turing runs with both: another cause", and(unlisted(1, t4), flavor("open")), "pass", "nothing is known against"},
		{"H100 runs with both", and(unlisted(8, h200), flavor("proprietary")), "pass", ""},
		{"a GPU that NVML lists is driven", and(gpus(1, rtxPro6000), flavor("proprietary")), "pass", "lists"},
		{"not resident beside others that are listed", and(gpus(2, rtxPro6000), everyGPU(notAsked), flavor("proprietary")), "pass", ""},
		{"one of two is a V100", and(gpus(2, v100), gpuIs(1, silent), flavor("open"), listsGPUs(1)), "warn", "0000:27:00.0"},
		{"both are listed, and one has not answered", and(gpus(2, v100), gpuIs(1, silent), flavor("open")), "unknown", "1 (0000:27:00.0)|time-out"},
		{"listed, and none has answered", and(gpus(2, rtxPro6000), everyGPU(silent), flavor("proprietary")), "unknown", "time-out"},
		{"the platform is not known", and(unlisted(1, v100), flavor("open"), func(f *Facts) { f.Host.Platform.Tegra = missing[bool]() }), "unknown", "1db5"},
		{"the flavor is not known", and(unlisted(1, v100), func(f *Facts) { f.Host.Driver.Flavor = missing[string]() }), "unknown", "time-out"},
		{"the count is not known", and(unlisted(1, v100), flavor("open"), func(f *Facts) { f.Host.NVML.Count = missing[int]() }), "unknown", "time-out"},
		{"PCI is not read, and the driver lists fewer", and(gpus(2, v100), gpuIs(1, handle(host.NVMLUnknown)), flavor("open"), func(f *Facts) { f.Host.PCI = missing[[]host.PCIDevice]() }), "unknown", "time-out"},
		{"no GPU is known", gpus(0, t4), "unknown", ""},
		{"a device id that cannot be read", and(unlisted(1, board{"NVIDIA", "NVIDIA", "9.0", ""}), flavor("open")), "pass", ""},
		{"WSL", wsl, "skip", "WSL2"},
		{"Tegra", tegra, "skip", "Tegra"},
		{"an observer", and(unlisted(1, v100), flavor("open"), observer), "warn", "only warned"},
	})
}
