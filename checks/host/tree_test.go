package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gpu-preflight/testdata/fixture"
)

// A foreign top is a world of its own: its links lead nowhere else, and nothing in it can make a reader wait.
func TestTreeStaysInside(t *testing.T) {
	root := fixture.Tree(t, map[string]string{
		"/etc/os-release": "ID=inside\n", "/usr/lib/os-release": "ID=usr\n", "/big": strings.Repeat("x", maxText+1),
	}, map[string]string{
		"/etc/absolute": "/usr/lib/os-release", "/etc/outside": "/../../../../etc/passwd", "/etc/loop": "loop",
		"/etc/up": "../../../../../../usr/lib/os-release",
	})
	if err := syscall.Mkfifo(filepath.Join(root, "etc/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, slow := range []bool{false, true} {
		top := newTree(root)
		if slow {
			top.fd = nil
		}
		for path, want := range map[string]string{
			"/etc/os-release": "ID=inside", "/etc/absolute": "ID=usr", "/etc/up": "ID=usr",
		} {
			if got, err := top.text(path); err != nil || got != want {
				t.Errorf("slow %v: %s: got %q, %v", slow, path, got, err)
			}
		}
		for path, want := range map[string]error{
			"/etc/outside": fs.ErrNotExist, "/etc/loop": syscall.ELOOP, "/etc/pipe": errNotRegular, "/etc": errNotRegular,
			"/etc/os-release/x": syscall.ENOTDIR, "/none": fs.ErrNotExist,
		} {
			if got, err := top.text(path); !errors.Is(err, want) {
				t.Errorf("slow %v: %s: got %q, %v; want %v", slow, path, got, err, want)
			}
		}
		if _, err := top.text("/big"); err == nil || absent(err) {
			t.Errorf("slow %v: a file over the bound: %v", slow, err)
		}
		if text, err := top.readlink("/etc/absolute"); err != nil || text != "/usr/lib/os-release" {
			t.Errorf("slow %v: link %q, %v", slow, text, err)
		}
		if names, err := top.names("/usr/lib"); err != nil || len(names) != 1 {
			t.Errorf("slow %v: names %v, %v", slow, names, err)
		}
	}
}

// notReadable puts a file that opens as no file can in a path's place: a folder, which gives "not a regular file" to
// everybody, root among them.
func notReadable(t *testing.T, root, path string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := errors.Join(os.RemoveAll(full), os.MkdirAll(full, 0o755)); err != nil {
		t.Fatal(err)
	}
}

// What cannot be read is unknown; what is not there is a known absence; each reader, one at a time.
func TestUnreadableIsUnknown(t *testing.T) {
	known := map[string]func(tree) bool{
		"/sys/module/nvidia/version":                           func(t tree) bool { return t.driver().Version.Source == procVersion },
		"/proc/driver/nvidia/version":                          func(t tree) bool { return t.driver().Flavor.Known() },
		"/proc/devices":                                        func(t tree) bool { return t.majors().Known() },
		"/proc/uptime":                                         func(t tree) bool { return t.uptime().Known() },
		"/proc/driver/nvidia/params":                           func(t tree) bool { return t.params().Known() },
		"/proc/driver/nvidia/gpus/0000:10:00.0/information":    func(t tree) bool { return t.procGPUs().Known() },
		"/proc/driver/nvidia/capabilities/gpu0/mig/gi1/access": func(t tree) bool { return t.migCaps().Known() },
		"/sys/bus/pci/devices/0000:10:00.0/vendor":             func(t tree) bool { return t.pci().Known() },
		"/sys/bus/pci/devices/0000:10:00.0/config":             func(t tree) bool { return t.pci().Known() },
		"/etc/os-release":                                      func(t tree) bool { return t.os().Known() },
		"/proc/cpuinfo":                                        func(t tree) bool { return t.hypervisor().Known() },
		"/proc/sys/kernel/osrelease":                           func(t tree) bool { return t.kernel().Known() },
		"/usr/share/nvidia/nvswitch/fabricmanager.cfg":         func(t tree) bool { return t.managerConfig().Known() },
		"/sys/devices/soc0/family":                             func(t tree) bool { return t.tegra().Known() },
		"/proc/77/stat":                                        func(t tree) bool { return t.readDaemons(t.uptime(), commManager)[commManager].Known() },
	}
	for path, reads := range known {
		t.Run(path, func(t *testing.T) {
			files, links := fixture.HealthyHost(1)
			files["/proc/driver/nvidia/capabilities/gpu0/mig/gi1/access"] = "DeviceFileMinor: 12\n"
			files["/usr/share/nvidia/nvswitch/fabricmanager.cfg"] = "FABRIC_MODE=0\n"
			files["/sys/devices/soc0/family"] = "Tegra\n"
			files["/proc/77/comm"] = "nv-fabricmanage\n"
			files["/proc/77/stat"] = "77 (nv-fabricmanage) S" + strings.Repeat(" 0", 18) + " 100 0\n"
			root := fixture.Tree(t, files, links)
			want := path != "/sys/module/nvidia/version"
			if got := reads(newTree(root)); got != want {
				t.Fatalf("readable: %v", got)
			}
			notReadable(t, root, path)
			if got := reads(newTree(root)); got == want {
				t.Error("unreadable counts as read")
			}
		})
	}
}

func TestUnreadableModuleIsNotAbsent(t *testing.T) {
	root := fixture.Tree(t, map[string]string{"/sys/module/nvidia/": "", "/proc/driver/": ""}, nil)
	if v := newTree(root).driver().Version; v.Known() {
		t.Errorf("a module without a version file: %+v", v)
	}
	notReadable(t, root, "/sys/module/nvidia/version")
	if v := newTree(root).driver().Version; v.Known() {
		t.Errorf("an unreadable version file: %+v", v)
	}
}

// Root may read everything, so as root the file is read with the file-system rights of nobody.
func TestPermissionIsUnknown(t *testing.T) {
	root := fixture.Tree(t, map[string]string{"/sys/module/nvidia/version": "535.183.06\n"}, nil)
	if err := os.Chmod(filepath.Join(root, "sys/module/nvidia/version"), 0); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		if err := unix.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Setfsuid(0) }()
	}
	if v := newTree(root).driver().Version; v.Known() || v.Unknown == "" {
		t.Errorf("got %+v", v)
	}
}

func TestAbsentIsKnown(t *testing.T) {
	root := fixture.Tree(t, map[string]string{
		"/sys/module/": "", "/sys/bus/pci/devices/": "", "/proc/driver/": "", "/proc/uptime": "100.0 1.0\n", "/dev/": "",
	}, nil)
	top := newTree(root)
	for name, none := range map[string]bool{
		"driver":  top.driver().Version.Known() && top.driver().Version.Value == "",
		"gpus":    top.procGPUs().Known() && len(top.procGPUs().Value) == 0,
		"params":  top.params().Known(),
		"mig":     top.migCaps().Known(),
		"pci":     top.pci().Known(),
		"switch":  top.switches(top.pci()).Known() && top.switches(top.pci()).Value == 0,
		"nodes":   top.nodes().Known() && len(top.nodes().Value) == 0,
		"config":  top.managerConfig().Known() && len(top.managerConfig().Value) == 0,
		"manager": top.readDaemons(top.uptime(), commManager)[commManager].Known(),
		"tegra":   top.tegra().Known() && !top.tegra().Value,
		"library": top.libraries().Known() && len(top.libraries().Value) == 0,
	} {
		if !none {
			t.Errorf("%s: absence is not a fact", name)
		}
	}
}

func TestPCI(t *testing.T) {
	files, links := map[string]string{}, map[string]string{}
	add := func(bus, vendor, class, device, config, driver string) {
		dir := "/sys/bus/pci/devices/" + bus
		files[dir+"/vendor"], files[dir+"/class"], files[dir+"/device"], files[dir+"/config"] = vendor, class, device, config
		if driver != "" {
			links[dir+"/driver"] = "../../../../bus/pci/drivers/" + driver
		}
	}
	const alive, dead = "\xde\x10\xb2\x20", "\xff\xff\xff\xff\xff"
	add("0000:17:00.0", "0x10de\n", "0x030200\n", "0x20b2\n", alive, "nvidia")
	add("0000:18:00.0", "0x10de\n", "0x030000\n", "0x1e04\n", dead, "vfio-pci")
	add("0000:19:00.0", "0x10de\n", "0x068000\n", "0x1af1\n", alive, "nvidia-nvswitch")
	add("0000:1a:00.0", "0x10de\n", "0x040300\n", "0x10f7\n", alive, "snd_hda_intel") // its sound function
	add("0000:1b:00.0", "0x10de\n", "0x060400\n", "0x22b1\n", alive, "pcieport")      // Grace's root port
	add("0000:1c:00.0", "0x8086\n", "0x030000\n", "0x1234\n", alive, "i915")
	add("0000:1d:00.4", "0x10de\n", "0x030200\n", "0x20b5\n", alive, "")
	links["/sys/bus/pci/devices/0000:1d:00.4/physfn"] = "../0000:1d:00.0"
	top := newTree(fixture.Tree(t, files, links))
	want := []PCIDevice{
		{Bus: "0000:17:00.0", Device: "20b2", Class: "0302", Driver: "nvidia"},
		{Bus: "0000:18:00.0", Device: "1e04", Class: "0300", Driver: "vfio-pci", OffBus: true},
		{Bus: "0000:19:00.0", Device: "1af1", Class: "0680", Driver: "nvidia-nvswitch"},
		{Bus: "0000:1d:00.4", Device: "20b5", Class: "0302", Virtual: true},
	}
	got := top.pci()
	if !got.Known() || len(got.Value) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got.Value[i] != want[i] {
			t.Errorf("got %+v, want %+v", got.Value[i], want[i])
		}
	}
	if n := top.switches(got); n.Value != 1 {
		t.Errorf("switches %+v", n)
	}
}

func TestNodes(t *testing.T) {
	root := fixture.Tree(t, map[string]string{
		"/dev/nvidia0": "c 195 0", "/dev/nvidia-uvm": "c 235 0", "/dev/dxg": "c 10 125", "/dev/sda": "b 8 0",
		"/dev/nvidia-caps/nvidia-cap21": "c 234 21", "/dev/nvidia-caps-imex-channels/channel0": "c 233 0", "/dev/nvidia9": "text",
	}, nil)
	if err := syscall.Mknod(filepath.Join(root, "dev/nvidiactl"), syscall.S_IFCHR|0o600, 195<<8|255); err != nil {
		t.Logf("no mknod here: %v", err)
		if err := os.WriteFile(filepath.Join(root, "dev/nvidiactl"), []byte("c 195 255\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := newTree(root).nodes()
	want := []Node{
		{"/dev/dxg", 10, 125},
		{"/dev/nvidia-caps-imex-channels/channel0", 233, 0},
		{"/dev/nvidia-caps/nvidia-cap21", 234, 21},
		{"/dev/nvidia-uvm", 235, 0},
		{"/dev/nvidia0", 195, 0},
		{"/dev/nvidiactl", 195, 255},
	}
	if len(got.Value) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got.Value[i] != want[i] {
			t.Errorf("got %+v, want %+v", got.Value[i], want[i])
		}
	}
}

func TestMIGCaps(t *testing.T) {
	dir := "/proc/driver/nvidia/capabilities"
	root := fixture.Tree(t, map[string]string{
		dir + "/mig/config":               "DeviceFileMinor: 1\n",
		dir + "/gpu0/mig/gi1/access":      "DeviceFileMinor: 12\nDeviceFileMode: 292\nDeviceFileModify: 1\n",
		dir + "/gpu0/mig/gi1/ci0/access":  "DeviceFileMinor: 13\n",
		dir + "/gpu10/mig/gi2/access":     "DeviceFileMinor: 300\n",
		dir + "/gpu10/mig/gi2/ci1/access": "DeviceFileMinor: 302\n",
		dir + "/gpu2/":                    "",
	}, nil)
	got := newTree(root).migCaps()
	want := []MIGCapability{{12, 0, 1, -1}, {13, 0, 1, 0}, {300, 10, 2, -1}, {302, 10, 2, 1}}
	if len(got.Value) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got.Value[i] != want[i] {
			t.Errorf("got %+v, want %+v", got.Value[i], want[i])
		}
	}
}
