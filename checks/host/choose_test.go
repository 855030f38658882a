package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// elf is the begin of a library for this machine, enough to be chosen.
func elf(t *testing.T) string {
	t.Helper()
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	head := make([]byte, 64)
	if _, err := file.Read(head); err != nil {
		t.Fatal(err)
	}
	return string(head)
}

func TestChooseLibrary(t *testing.T) {
	ours := elf(t)
	foreign := ours[:4] + "\x01" + ours[5:]
	const distro, operator = "/usr/lib/x86_64-linux-gnu/", "/run/nvidia/driver/usr/lib/x86_64-linux-gnu/"
	both := map[string]string{distro + "libnvidia-ml.so.570.1.2": ours, operator + "libnvidia-ml.so.535.183.06": ours}
	bothLinks := map[string]string{
		distro + sonameNVML: "libnvidia-ml.so.570.1.2", operator + sonameNVML: "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.183.06",
	}
	for name, test := range map[string]struct {
		files, links map[string]string
		o            Options
		module       string
		path, root   string
		none         bool
		why          string
	}{
		"nothing":                   {none: true, why: "no libnvidia-ml found below"},
		"distribution first":        {files: both, links: bothLinks, path: distro + "libnvidia-ml.so.570.1.2", root: "/"},
		"the module's version wins": {files: both, links: bothLinks, module: "535.183.06", path: operator + "libnvidia-ml.so.535.183.06", root: "/run/nvidia/driver"},
		"the launch's root": {
			files: both, links: bothLinks, module: "570.1.2", o: Options{DriverRoot: "/run/nvidia/driver/"},
			path: operator + "libnvidia-ml.so.535.183.06", root: "/run/nvidia/driver",
		},
		"an unknown root chooses nothing": {
			files: both, links: bothLinks, o: Options{DriverRoot: "/home/user/driver"}, path: distro + "libnvidia-ml.so.570.1.2", root: "/",
		},
		"an unknown root alone": {
			files: map[string]string{"/home/user/driver/usr/lib64/" + sonameNVML: ours}, o: Options{DriverRoot: "/home/user/driver"}, none: true,
			why: "no libnvidia-ml found",
		},
		"GKE":     {files: map[string]string{"/home/kubernetes/bin/nvidia/lib64/" + sonameNVML: ours}, path: "/home/kubernetes/bin/nvidia/lib64/" + sonameNVML, root: "/home/kubernetes/bin/nvidia"},
		"Flatcar": {files: map[string]string{"/opt/nvidia/535.1.2/5.15.0/usr/lib64/" + sonameNVML: ours}, path: "/opt/nvidia/535.1.2/5.15.0/usr/lib64/" + sonameNVML, root: "/opt/nvidia/535.1.2/5.15.0"},
		"WSL":     {files: map[string]string{"/usr/lib/wsl/lib/" + sonameNVML: ours}, path: "/usr/lib/wsl/lib/" + sonameNVML, root: "/"},
		"loader's cache": {
			files: map[string]string{"/opt/x/" + sonameNVML: ours, "/etc/ld.so.cache": string(cache(false, sonameNVML, "/opt/x/"+sonameNVML))},
			path:  "/opt/x/" + sonameNVML, root: "/",
		},
		"another machine's": {files: map[string]string{distro + sonameNVML: foreign}, none: true, why: "no libnvidia-ml found"},
		"no library":        {files: map[string]string{distro + sonameNVML: "text"}, none: true, why: "no libnvidia-ml found"},
		"dangling":          {links: map[string]string{distro + sonameNVML: "nowhere"}, none: true, why: "no libnvidia-ml found"},
		"a link out stays inside": {
			links: map[string]string{distro + sonameNVML: "/../../../../../../../../usr/bin/env"}, none: true, why: "no libnvidia-ml found",
		},
		"a loop": {links: map[string]string{distro + sonameNVML: sonameNVML}, why: "too many links"},
	} {
		t.Run(name, func(t *testing.T) {
			root := fixture.Tree(t, test.files, test.links)
			got := newTree(root).choose(test.o, test.module)
			if got.path != test.path || got.root != test.root || got.none != test.none || !strings.Contains(got.why, test.why) {
				t.Errorf("got %+v", got)
			}
			if got.file != "" && got.file != root+test.path {
				t.Errorf("opens %s", got.file)
			}
		})
	}
}

// dlopen runs a library's code as root: what others may write is never loaded.
func TestChooseTrustsNoWritablePath(t *testing.T) {
	ours := elf(t)
	for name, test := range map[string]struct {
		path string
		mode os.FileMode
		ok   bool
	}{
		"file, others":            {"usr/lib64/libnvidia-ml.so.1", 0o646, false},
		"file, group":             {"usr/lib64/libnvidia-ml.so.1", 0o664, false},
		"folder, others":          {"usr/lib64", 0o757, false},
		"folder, group":           {"usr/lib64", 0o775, false},
		"folder, others, sticky":  {"usr/lib64", 0o777 | os.ModeSticky, false},
		"folder, group, sticky":   {"usr/lib64", 0o775 | os.ModeSticky, true},
		"folder above, others":    {"usr", 0o777, false},
		"nothing but the top one": {"", 0o777, true},
	} {
		t.Run(name, func(t *testing.T) {
			root := fixture.Tree(t, map[string]string{"/usr/lib64/" + sonameNVML: ours}, nil)
			if err := os.Chmod(filepath.Join(root, test.path), test.mode); err != nil {
				t.Fatal(err)
			}
			got := newTree(root).choose(Options{}, "")
			if (got.root != "") != test.ok {
				t.Errorf("got %+v", got)
			}
			if !test.ok && (got.none || !strings.Contains(got.why, "others may write it") || got.library().Known()) {
				t.Errorf("no reason: %+v", got)
			}
		})
	}
}

func TestChooseTrustsNoOtherOwner(t *testing.T) {
	root := fixture.Tree(t, map[string]string{"/usr/lib64/" + sonameNVML: elf(t)}, nil)
	if err := os.Chown(filepath.Join(root, "usr/lib64"), 12345, 12345); err != nil {
		t.Skip("cannot give a folder away: ", err)
	}
	if got := newTree(root).choose(Options{}, ""); got.root != "" {
		t.Errorf("got %+v", got)
	}
	link := fixture.Tree(t, map[string]string{"/opt/real/" + sonameNVML: elf(t)}, map[string]string{"/usr/lib64": "/opt/real"})
	if err := os.Lchown(filepath.Join(link, "usr/lib64"), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if got := newTree(link).choose(Options{}, ""); got.root != "" {
		t.Errorf("another's link: got %+v", got)
	}
}

func TestChooseNamedLibrary(t *testing.T) {
	root := fixture.Tree(t, map[string]string{"/lib.so": elf(t), "/text": "text"}, nil)
	file := filepath.Join(root, "lib.so")
	if got := (tree{}).choose(Options{NVMLLibrary: file, DriverRoot: "/run/nvidia/driver"}, ""); got.file != file || got.root != "/run/nvidia/driver" {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{filepath.Join(root, "text"), root, "/dev/null", "/nowhere"} {
		if got := (tree{}).choose(Options{NVMLLibrary: bad}, ""); got.root != "" || got.none || got.why == "" {
			t.Errorf("%s: got %+v", bad, got)
		}
	}
}

func TestLibraries(t *testing.T) {
	root := fixture.Tree(t, map[string]string{
		"/usr/lib64/libcuda.so.535.183.06": "", "/usr/lib64/libcuda.so.525.85.12": "", "/usr/lib64/libnvidia-ml.so.535.183.06": "",
		"/usr/lib/wsl/lib/libcuda.so.1.1": "", "/usr/lib64/libcudart.so.12.2.140": "", "/usr/lib64/libcuda.so.1": "",
		"/run/nvidia/driver/usr/lib64/libcuda.so.570.86.15": "",
	}, nil)
	got := newTree(root).libraries()
	var names []string
	for _, l := range got.Value {
		names = append(names, l.Root+" "+l.Name+" "+l.Version)
	}
	slices.Sort(names)
	want := []string{"/ libcuda 525.85.12", "/ libcuda 535.183.06", "/ libnvidia-ml 535.183.06", "/run/nvidia/driver libcuda 570.86.15"}
	if !got.Known() || !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	notReadable(t, root, "/usr/lib64")
	if err := errors.Join(os.Remove(filepath.Join(root, "usr/lib64")), os.Symlink("lib64", filepath.Join(root, "usr/lib64"))); err != nil {
		t.Fatal(err)
	}
	if got := newTree(root).libraries(); got.Known() {
		t.Errorf("an unreadable folder: %+v", got)
	}
}

func TestPlatforms(t *testing.T) {
	for name, test := range map[string]struct {
		files            map[string]string
		tegra, dxg, host bool
	}{
		"Jetson by release": {files: map[string]string{"/etc/nv_tegra_release": "# R36 (release)\n"}, tegra: true},
		"Jetson by family":  {files: map[string]string{"/sys/devices/soc0/family": "Tegra\n"}, tegra: true},
		"other soc":         {files: map[string]string{"/sys/devices/soc0/family": "i.MX8MQ\n"}},
		"WSL":               {files: map[string]string{"/dev/dxg": "c 10 125", "/proc/cpuinfo": "flags\t: fpu hypervisor lahf_lm\n"}, dxg: true, host: true},
		"no hypervisor":     {files: map[string]string{"/proc/cpuinfo": "flags\t: fpu hypervisors\n"}},
	} {
		top := newTree(fixture.Tree(t, test.files, nil))
		if top.tegra().Value != test.tegra || top.isThere("/dev/dxg").Value != test.dxg || top.hypervisor().Value != test.host {
			t.Errorf("%s: %+v %+v %+v", name, top.tegra(), top.isThere("/dev/dxg"), top.hypervisor())
		}
	}
	arm := newTree(fixture.Tree(t, map[string]string{"/proc/cpuinfo": "Features\t: fp asimd\n"}, nil))
	if arm.hypervisor().Known() {
		t.Error("a processor without flags tells whether it is virtual")
	}
}
