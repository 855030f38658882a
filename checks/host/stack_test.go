package host

import (
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks/fact"
	"gpu-preflight/testdata/fixture"
)

// module is an uncompressed nvidia.ko with nothing but its section .modinfo.
func module(version, license string) string {
	info := "license=" + license + "\x00version=" + version + "\x00"
	names := "\x00.modinfo\x00.shstrtab\x00"
	header := make([]byte, 64)
	copy(header, "\x7fELF\x02\x01\x01")
	order := binary.LittleEndian
	order.PutUint64(header[40:], uint64(64+len(info)+len(names)))
	order.PutUint16(header[58:], 64)
	order.PutUint16(header[60:], 3)
	order.PutUint16(header[62:], 2)
	section := func(name uint32, offset, size int) []byte {
		row := make([]byte, 64)
		order.PutUint32(row, name)
		order.PutUint64(row[24:], uint64(offset))
		order.PutUint64(row[32:], uint64(size))
		return row
	}
	return string(header) + info + names + string(slices.Concat(make([]byte, 64), section(1, 64, len(info)), section(10, 64+len(info), len(names))))
}

// TestKernels: where each kernel's nvidia module comes from, and which kernels can boot and build.
func TestKernels(t *testing.T) {
	const lib = "/lib/modules/"
	root := fixture.Tree(t, map[string]string{
		lib + "5.15.0-91-generic/kernel/nvidia-535srv-open/nvidia.ko":     module("535.183.06", "Dual MIT/GPL"),
		lib + "5.15.0-91-generic/kernel/nvidia-535srv-open/nvidia-uvm.ko": "",
		lib + "5.15.0-91-generic/updates/dkms/nvidia.ko.zst":              "zstd",
		lib + "5.15.0-113-generic/kernel/drivers/video/nvidia.ko":         module("550.54.15", "NVIDIA"),
		lib + "5.15.0-113-generic/build/Makefile":                         "",
		lib + "6.8.0-40-generic/kernel/fs/":                               "",
		lib + "4.18.0-372.el8/weak-updates/nvidia/nvidia.ko.xz":           "",
		lib + "5.10.0-23-amd64/modules.dep":                               "updates/odd/nvidia-current.ko: kernel/x.ko\nextra/gone/nvidia.ko:\n",
		lib + "5.10.0-23-amd64/updates/odd/nvidia-current.ko":             "short",
		"/boot/vmlinuz-5.15.0-91-generic":                                 "",
		"/boot/vmlinuz-5.15.0-113-generic":                                "",
		lib + "6.8.0-40-generic/vmlinuz":                                  "",
		lib + "not-a-kernel/x":                                            "",
	}, nil)
	got := newTree(root).kernels()
	want := []Kernel{
		{Release: "4.18.0-372.el8", Modules: []ModuleFile{{Path: lib + "4.18.0-372.el8/weak-updates/nvidia/nvidia.ko.xz", Origin: OriginKmod}}},
		{Release: "5.10.0-23-amd64", Modules: []ModuleFile{{Path: lib + "5.10.0-23-amd64/updates/odd/nvidia-current.ko", Origin: OriginKmod}}},
		{Release: "5.15.0-91-generic", Image: true, Modules: []ModuleFile{
			{Path: lib + "5.15.0-91-generic/kernel/nvidia-535srv-open/nvidia.ko", Origin: OriginPrebuilt, Version: "535.183.06", Flavor: "open"},
			{Path: lib + "5.15.0-91-generic/updates/dkms/nvidia.ko.zst", Origin: OriginDKMS},
		}},
		{Release: "5.15.0-113-generic", Image: true, Headers: true, Modules: []ModuleFile{
			{Path: lib + "5.15.0-113-generic/kernel/drivers/video/nvidia.ko", Origin: OriginRunfile, Version: "550.54.15", Flavor: "proprietary"},
		}},
		{Release: "6.8.0-40-generic", Image: true},
	}
	if !got.Known() || !reflect.DeepEqual(got.Value, want) {
		t.Errorf("kernels\n%+v, want\n%+v (%s)", got.Value, want, got.Why())
	}
	if none := newTree(t.TempDir()).kernels(); !none.Known() || len(none.Value) != 0 {
		t.Errorf("without /lib/modules: %+v", none)
	}
}

func TestCompareReleases(t *testing.T) {
	ordered := []string{"4.18.0-372.9.1.el8.x86_64", "5.15.0-91-generic", "5.15.0-113-generic", "6.8.0-9-generic", "6.8.0-40-generic", "6.17.0-1008-nvidia-64k", "7.0.9"}
	if !slices.IsSortedFunc(ordered, CompareReleases) {
		t.Errorf("not in order: %v", ordered)
	}
	for i := 1; i < len(ordered); i++ {
		if CompareReleases(ordered[i], ordered[i-1]) <= 0 || CompareReleases(ordered[i], ordered[i]) != 0 {
			t.Errorf("%s against %s", ordered[i], ordered[i-1])
		}
	}
}

// TestStack reads one host of everything through the reader child.
func TestStack(t *testing.T) {
	d := "/var/lib/dkms/nvidia/"
	root := fixture.Tree(t, map[string]string{
		d + "390.48/": "", d + "535.183.06/build/make.log": "error",
		d + "535.183.06/5.15.0-91-generic/x86_64/module/nvidia.ko": "", "/usr/src/nvidia-535.183.06/dkms.conf": "",
		"/var/lib/dkms/virtualbox/6.1/": "",
		secureBootVariable:              "\x06\x00\x00\x00\x01", "/sys/module/module/parameters/sig_enforce": "N\n",
		"/sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
		"/proc/cmdline":                 "BOOT_IMAGE=/boot/vmlinuz quiet rd.driver.blacklist=nouveau\n",
		"/proc/modules":                 "nvidia_uvm 1 0 - Live 0x0\nnvidia 1 1 nvidia_uvm, Live 0x0\next4 1 1 - Live 0x0\n",
		"/etc/modprobe.d/nvidia.conf":   "# options nvidia A=1\noptions nvidia NVreg_OpenRmEnableUnsupportedGpus=1 \\\n NVreg_X=2\noptions snd a=1\nblacklist nouveau\n",
		"/lib/modprobe.d/nvidia.conf":   "blacklist nvidia\n", "/lib/modprobe.d/uvm.conf": "options nvidia-uvm uvm_disable_hmm=1\n",
		"/var/log/kern.log":             "Nov 1 host kernel: usb 1-1: new\nNov 1 host kernel: NVRM: API mismatch: the client has the version 535.54.03\n",
		"/var/log/fabricmanager.log":    "[ERROR] failed to find the GPU handle\n[INFO] fine\n",
		"/var/log/nvidia-installer.log": "nvidia-installer log file\ncreation time: Mon\ninstaller version: 535.54.03\nERROR: Unable to build the kernel module\n",
		"/usr/bin/nvidia-smi":           "\x00ELF\x00535.183.06\x00", "/usr/bin/dockerd": "",
		"/etc/ld.so.conf.d/cuda.conf": "/usr/local/cuda/lib64/stubs\n", "/usr/local/cuda-12.4/lib64/stubs/libcuda.so": "",
		"/usr/local/lib/libcuda.so.525.60.13": "", "/usr/lib/x86_64-linux-gnu/libcuda.so.1": "",
		"/usr/local/cuda-12.4/version.json": `{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}}`, "/usr/local/cuda-11.8/lib64/": "",
		"/usr/local/cuda-13.0/bin/nvcc": "",
		"/etc/cdi/nvidia.yaml":          "---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\ncontainerEdits:\n  mounts:\n  - containerPath: /x\n    hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.525.60.13\n  - hostPath: /usr/bin/nvidia-smi\n",
		"/run/cdi/other.json":           `{"cdiVersion":"0.5.0","kind":"vendor.com/net","devices":[]}`,
		toolkitConfig:                   "mode = \"x\"\n[nvidia-container-runtime]\nmode = \"legacy\" \n",
		"/dev/nvidia0":                  "c 195 0\n", "/dev/nvidiactl": "c 195 255\n", "/dev/char/195:255": "",
		"/lib/systemd/system/nvidia-fabricmanager.service": "[Unit]\n",
		"/run/systemd/system/":                             "", "/sys/firmware/efi/efivars/x": "",
	}, map[string]string{
		d + "535.183.06/source": "/usr/src/nvidia-535.183.06", d + "kernel-5.15.0-91-generic-x86_64": "535.183.06/5.15.0-91-generic/x86_64",
		"/etc/systemd/system/multi-user.target.wants/nvidia-fabricmanager.service": "/lib/systemd/system/nvidia-fabricmanager.service",
		"/usr/local/cuda": "cuda-12.4", "/usr/local/lib/libcuda.so.1": "libcuda.so.525.60.13",
	})
	o := Options{Root: root, Stack: true, AskAll: true, NVMLTimeout: 10 * time.Second, RunDir: t.TempDir(), Helper: "/nonexistent"}
	s := Gather(t.Context(), o).Stack
	for name, pair := range map[string][2]any{
		"dkms": {s.DKMS.Value, []DKMSTree{
			{Module: "nvidia", Version: "390.48"},
			{Module: "nvidia", Version: "535.183.06", Source: true, Failed: true, Built: []string{"5.15.0-91-generic"}},
		}},
		"installer":    {s.Installer.Value, Installer{Log: true, Version: "535.54.03", Errors: []string{"Unable to build the kernel module"}}},
		"secure boot":  {s.SecureBoot.Value, true},
		"sig enforce":  {s.SigEnforce.Value, true},
		"command line": {s.CommandLine.Value, []string{"rd.driver.blacklist=nouveau"}},
		"modules":      {s.Modules.Value, []string{"nvidia", "nvidia_uvm"}},
		"modprobe": {s.ModProbe.Value, []ModProbe{
			{"/etc/modprobe.d/nvidia.conf", "options", "nvidia", "NVreg_OpenRmEnableUnsupportedGpus=1 NVreg_X=2"},
			{"/etc/modprobe.d/nvidia.conf", "blacklist", "nouveau", ""},
			{"/lib/modprobe.d/uvm.conf", "options", "nvidia_uvm", "uvm_disable_hmm=1"},
		}},
		"kernel log":  {s.KernelLog.Value, []string{"Nov 1 host kernel: NVRM: API mismatch: the client has the version 535.54.03"}},
		"manager log": {s.ManagerLog.Value, []string{"[ERROR] failed to find the GPU handle"}},
		"copies": {s.Copies.Value, []LibraryCopy{
			{Path: "/usr/local/cuda/lib64/stubs/libcuda.so", Kind: "stub", From: "/etc/ld.so.conf.d/cuda.conf"},
			{Path: "/usr/local/lib/libcuda.so.1", Kind: "copy", From: "the loader's own list", Version: "525.60.13"},
		}},
		"programs":     {s.Programs.Value, []Program{{"/usr/bin/nvidia-smi", "535.183.06"}, {"/usr/bin/dockerd", ""}}},
		"toolkits":     {s.Toolkits.Value, []Toolkit{{"/usr/local/cuda-12.4", "12.4.1", true}, {"/usr/local/cuda-13.0", "13.0", false}}},
		"cdi":          {s.CDI.Value, []CDIFile{{"/etc/cdi/nvidia.yaml", "nvidia.com/gpu", []string{"525.60.13"}, []string{"/usr/lib/x86_64-linux-gnu/libcuda.so.525.60.13"}}}},
		"toolkit mode": {s.ToolkitMode.Value, "legacy"},
		"unlinked":     {s.Unlinked.Value, []string{"/dev/nvidia0"}},
		"systemd":      {s.Systemd.Value, true},
		"manager boot": {s.ManagerAtBoot, fact.Of(true, "/etc/systemd/system/multi-user.target.wants")},
		"image":        {s.Image.Value, false},
		"packages":     {s.Packages.Value, []Package{}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s:\n%+v, want\n%+v", name, pair[0], pair[1])
		}
	}
	o.Stack = false
	if left := Gather(t.Context(), o).Stack; !reflect.DeepEqual(left, Stack{}) {
		t.Errorf("a launch reads the stack: %+v", left)
	}
}

// TestManagerAtBoot: whether a unit is started at boot is asked only where there is one.
func TestManagerAtBoot(t *testing.T) {
	const unit, wants = "/usr/lib/systemd/system/nvidia-fabricmanager.service", "/etc/systemd/system/multi-user.target.wants"
	for name, tt := range map[string]struct {
		files, links map[string]string
		want         fact.Fact[bool]
	}{
		"no unit":     {nil, nil, fact.Missing[bool](unit, "there is no unit of Fabric Manager")},
		"not enabled": {map[string]string{unit: ""}, nil, fact.Of(false, unit)},
		"enabled":     {map[string]string{unit: ""}, map[string]string{wants + "/nvidia-fabricmanager.service": unit}, fact.Of(true, wants)},
		"by the image": {
			map[string]string{unit: "", "/usr/lib/systemd/system/multi-user.target.wants/nvidia-fabricmanager.service": ""},
			nil,
			fact.Of(true, "/usr/lib/systemd/system/multi-user.target.wants"),
		},
		"unreadable": {map[string]string{unit: ""}, map[string]string{wants: wants}, fact.Missing[bool](wants, "too many levels of symbolic links")},
	} {
		if got := newTree(fixture.Tree(t, tt.files, tt.links)).managerAtBoot(); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// TestStackUnknown: a path that cannot be read as what it should be is unknown, not absent.
func TestStackUnknown(t *testing.T) {
	loop := map[string]string{}
	for _, path := range []string{
		modulesDir, dkmsDir, installerLog, secureBootVariable, "/proc/modules", "/proc/cmdline", "/etc/modprobe.d",
		"/var/log/dmesg", "/var/log/fabricmanager.log", loaderConf, "/usr/local", "/etc/cdi", toolkitConfig, "/usr/bin/nvidia-smi",
	} {
		loop[path] = path // ELOOP: it is there and nobody can follow it
	}
	tr := newTree(fixture.Tree(t, nil, loop))
	for name, known := range map[string]bool{
		"kernels": tr.kernels().Known(), "dkms": tr.dkms().Known(), "installer": tr.installer().Known(),
		"secureBoot": tr.secureBoot().Known(), "modules": tr.loadedModules().Known(), "command line": tr.commandLine().Known(),
		"modprobe": tr.modprobe().Known(), "kernel log": tr.kernelLog().Known(), "manager log": tr.managerLog().Known(),
		"copies": tr.copies().Known(), "toolkits": tr.toolkits().Known(), "cdi": tr.cdiFiles().Known(),
		"mode": tr.toolkitMode().Known(), "programs": tr.programs().Known(),
	} {
		if known {
			t.Errorf("%s is known though it cannot be read", name)
		}
	}
}

func TestMetapackages(t *testing.T) {
	for name, want := range map[string]bool{
		"nvidia-driver-535": true, "nvidia-driver-535-server": true, "nvidia-headless-550-server-open": true, "nvidia-headless-no-dkms-535": true,
		"cuda-drivers": true, "cuda-drivers-550": true, "nvidia-open": true, "nvidia-driver": true, "nvidia-open-570": true,
		"nvidia-driver-libs": false, "nvidia-driver-bin": false, "nvidia-driver-cuda": false, "cuda-drivers-fabricmanager-535": false,
		"nvidia-utils-535": false, "libnvidia-compute-535": false, "nvidia-driver-pinning-580": false,
	} {
		if IsMetapackage(name) != want {
			t.Errorf("%s: metapackage %v, want %v", name, !want, want)
		}
	}
}

func TestModuleInfoIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "no ELF": "hello", "cut": module("535.183.06", "NVIDIA")[:70],
		"huge": strings.Replace(module("535.183.06", "NVIDIA"), "\x03\x00\x02\x00", "\xff\xff\xfe\xff", 1),
	} {
		root := fixture.Tree(t, map[string]string{"/nvidia.ko": text}, nil)
		if m := newTree(root).moduleInfo("/nvidia.ko"); m != (ModuleFile{}) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}
