package hook

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/testdata/fixture"
)

// deb is a package that a scene builds for real; installed says how far it gets: ii, iU, rc, or empty for one that only
// the repository has.
type deb struct {
	name, version, depends, installed string
	held, auto                        bool
	arch                              string // amd64 where it is empty
}

// aptRoot is a host below a folder with a real dpkg database and a real local repository.
type aptRoot struct {
	t    *testing.T
	root string
}

func newAptRoot(t *testing.T, files, links map[string]string, debs []deb) aptRoot {
	t.Helper()
	r := aptRoot{t, fixture.Tree(t, files, links)}
	for _, dir := range []string{
		"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial",
		"etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d", "repository", "var/log/apt", "tmp",
	} {
		r.write(dir+"/.keep", "")
	}
	r.write("var/lib/dpkg/status", "")
	r.write("var/lib/dpkg/arch", "amd64\ni386\n")
	r.write("etc/apt/sources.list", "deb [trusted=yes] file:"+r.root+"/repository ./\n")
	auto := ""
	for _, d := range debs {
		r.install(d, r.build(d))
		if d.auto {
			auto += "Package: " + d.name + "\nArchitecture: amd64\nAuto-Installed: 1\n\n"
		}
	}
	r.write("var/lib/apt/extended_states", auto)
	index := r.run("dpkg-scanpackages", "--multiversion", "repository")
	r.write("repository/Packages", strings.ReplaceAll(index, "Filename: repository/", "Filename: ./"))
	r.apt("update")
	return r
}

func (r aptRoot) write(path, text string) {
	r.t.Helper()
	full := filepath.Join(r.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r aptRoot) run(name string, args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), name, args...)
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}

// apt runs apt-get on the host below the root.
func (r aptRoot) apt(args ...string) {
	r.t.Helper()
	var options []string
	for _, option := range []string{"Dir::State=ROOT/var/lib/apt", "Dir::State::status=ROOT/var/lib/dpkg/status", "Dir::Etc=ROOT/etc/apt", "Dir::Cache=ROOT/var/cache/apt", "Dir::Log=ROOT/var/log/apt", "APT::Sandbox::User=root", "APT::Architecture=amd64", "APT::Architectures=amd64,i386"} {
		options = append(options, "-o", strings.ReplaceAll(option, "ROOT", r.root))
	}
	r.run("apt-get", append(options, args...)...)
}

// build makes a .deb with one configuration file, which a removal leaves behind.
func (r aptRoot) build(d deb) string {
	r.t.Helper()
	arch := cmp.Or(d.arch, "amd64")
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMulti-Arch: same\nMaintainer: x <x@example.com>\nDescription: x\n", d.name, d.version, arch)
	if d.depends != "" {
		control += "Depends: " + d.depends + "\n"
	}
	dir := filepath.Join("tmp", d.name+"_"+d.version+"_"+arch)
	conf := "/etc/packages/" + d.name + "-" + arch
	r.write(dir+"/DEBIAN/control", control)
	r.write(dir+"/DEBIAN/conffiles", conf+"\n")
	r.write(dir+conf, d.version+"\n")
	file := filepath.Join("repository", d.name+"_"+strings.ReplaceAll(d.version, ":", "%3a")+"_"+arch+".deb")
	r.run("dpkg-deb", "--root-owner-group", "--build", dir, file)
	return file
}

func (r aptRoot) install(d deb, file string) {
	r.t.Helper()
	dpkg := func(args ...string) {
		r.run("dpkg", append([]string{"--root=" + r.root, "--force-not-root", "--force-depends", "--force-architecture", "--force-confold", "--log=/dev/null"}, args...)...)
	}
	switch d.installed {
	case "ii", "rc":
		dpkg("--install", file)
	case "iU":
		dpkg("--unpack", file)
	}
	if d.installed == "rc" {
		dpkg("--remove", d.name)
	}
	if d.held {
		r.run("sh", "-c", "echo "+d.name+" hold | dpkg --root="+r.root+" --set-selections")
	}
}

// examine judges the host as doctor does, its NVML being healthy.
func (r aptRoot) examine(change func(*host.Facts)) Verdict {
	r.t.Helper()
	o := host.Options{Root: r.root, AskAll: true, Stack: true, NVMLTimeout: 20 * time.Second, RunDir: r.t.TempDir(), Helper: "/nonexistent"}
	facts := host.Gather(r.t.Context(), o)
	for _, why := range []string{facts.Stack.Packages.Why(), facts.Stack.Available.Why()} {
		if why != "" {
			r.t.Fatalf("packages: %s", why)
		}
	}
	if change != nil {
		change(&facts)
	}
	return JudgeHost(facts, DefaultPolicy())
}

// scene is one state of a real dpkg database and what doctor has to say of it.
type scene struct {
	name string
	debs []deb
	file map[string]string // laid over the healthy host
	want map[string]string // check -> status and words of What or Fix, with | between them
}

// driver535 is Ubuntu's headless driver of HealthyHost, whole.
func driver535(more ...deb) []deb {
	const v = "535.183.06-0ubuntu0.22.04.1"
	return append([]deb{
		{name: "libnvidia-compute-535-server", version: v, installed: "ii", auto: true},
		{name: "nvidia-utils-535-server", version: v, depends: "libnvidia-compute-535-server", installed: "ii", auto: true},
		{name: "linux-modules-nvidia-535-server-5.15.0-113-generic", version: "5.15.0-113.123+1", installed: "ii", auto: true},
		{name: "nvidia-headless-535-server", version: v, depends: "libnvidia-compute-535-server", installed: "ii"},
	}, more...)
}

const (
	running = "/lib/modules/5.15.0-113-generic/"
	next    = "/lib/modules/5.15.0-125-generic/"
)

var prebuiltRunning = map[string]string{
	running + "kernel/nvidia-535srv/nvidia.ko": "", "/boot/vmlinuz-5.15.0-113-generic": "",
}

func scenes() []scene {
	withNext := map[string]string{running + "kernel/nvidia-535srv/nvidia.ko": "", next + "modules.dep": "", "/boot/vmlinuz-5.15.0-125-generic": ""}
	return []scene{
		{"whole", driver535(), prebuiltRunning, map[string]string{
			"package-state": "pass whole", "package-branches": "pass 535|535.183.06", "package-metapackage": "pass nvidia-headless-535-server is in charge|by hand",
			"package-origins": "pass Ubuntu's archive", "package-holds": "pass none",
		}},
		{
			"kernel updated, the module is offered",
			driver535(deb{name: "linux-modules-nvidia-535-server-5.15.0-125-generic", version: "5.15.0-125.135"}), withNext,
			map[string]string{"module-for-next-kernel": "warn 5.15.0-125-generic|apt-get install linux-modules-nvidia-535-server-5.15.0-125-generic"},
		},
		{
			"kernel updated, no module is offered", driver535(), withNext,
			map[string]string{"module-for-next-kernel": "warn the local package lists do not offer it"},
		},
		{
			"DKMS without headers",
			[]deb{
				{name: "nvidia-dkms-535", version: "535.183.06-0ubuntu0.22.04.1", installed: "ii"},
				{name: "nvidia-driver-535", version: "535.183.06-0ubuntu0.22.04.1", depends: "nvidia-dkms-535", installed: "ii"},
				{name: "linux-headers-5.15.0-113-generic", version: "5.15.0-113.123"},
			},
			map[string]string{running + "modules.dep": "", "/var/lib/dkms/nvidia/535.183.06/source/dkms.conf": ""},
			map[string]string{"dkms-tree": "warn headers are not installed|apt-get install linux-headers-5.15.0-113-generic|dpkg-reconfigure nvidia-dkms-535"},
		},
		{
			"a new metapackage over the old one",
			[]deb{
				{name: "nvidia-driver-550-server", version: "550.163.01-0ubuntu0.22.04.2", installed: "ii"},
				{name: "nvidia-driver-535-server", version: "535.183.06-0ubuntu0.22.04.1", installed: "ii"},
				{name: "libnvidia-compute-535-server", version: "535.183.06-0ubuntu0.22.04.1", installed: "ii"},
			},
			prebuiltRunning,
			map[string]string{"package-metapackage": "warn apt-get purge nvidia-driver-550-server", "package-branches": "warn 535 (|550 (|apt-get purge nvidia-driver-550-server"},
		},
		{
			"a partial upgrade", driver535(deb{name: "libnvidia-gl-535-server", version: "535.216.01-0ubuntu0.22.04.1", installed: "ii"}), prebuiltRunning,
			map[string]string{"package-branches": "warn 535.183.06 (|535.216.01 (libnvidia-gl-535-server)"},
		},
		{
			"two repositories", driver535(deb{name: "nvidia-fabricmanager-535", version: "535.161.07-0ubuntu1", installed: "ii"}, deb{name: "nvidia-fabricmanager-535", version: "535.183.06-0ubuntu1"}),
			fabricFiles(),
			map[string]string{
				"package-origins":        "warn Ubuntu's archive|NVIDIA's repository (nvidia-fabricmanager-535)",
				"fabric-manager-package": "warn 535.161.07, and the driver 535.183.06|apt-get install nvidia-fabricmanager-535=535.183.06-0ubuntu1",
			},
		},
		{
			"left-over settings", driver535(deb{name: "libnvidia-compute-470", version: "470.103.01-0ubuntu0.22.04.1", installed: "rc"}), prebuiltRunning,
			map[string]string{"package-state": "pass harmless: libnvidia-compute-470", "package-branches": "pass 535"},
		},
		{
			"orphans for 32-bit programs", driver535(deb{name: "libnvidia-compute-470", version: "470.103.01-0ubuntu0.22.04.1", installed: "ii", arch: "i386"}), prebuiltRunning,
			map[string]string{"package-branches": "warn 470 (libnvidia-compute-470:i386: orphans|apt-get purge libnvidia-compute-470:i386"},
		},
		{
			"32-bit libraries that stayed behind",
			driver535(
				deb{name: "libnvidia-gl-535-server", version: "535.161.07-0ubuntu0.22.04.1", installed: "ii", arch: "i386"},
				deb{name: "libnvidia-gl-535-server", version: "535.183.06-0ubuntu0.22.04.1", arch: "i386"},
			), prebuiltRunning,
			map[string]string{"package-branches": "warn 535.161.07 (libnvidia-gl-535-server:i386)|apt-get install libnvidia-gl-535-server:i386=535.183.06-0ubuntu0.22.04.1"},
		},
		{
			"half installed", driver535(deb{name: "nvidia-compute-utils-535-server", version: "535.183.06-0ubuntu0.22.04.1", installed: "iU"}), prebuiltRunning,
			map[string]string{"package-state": "warn nvidia-compute-utils-535-server (iU|apt-get install -f"},
		},
		{
			"one package held", driver535(deb{name: "libnvidia-decode-535-server", version: "535.183.06-0ubuntu0.22.04.1", installed: "ii", held: true}), prebuiltRunning,
			map[string]string{"package-holds": "warn held: libnvidia-decode-535-server"},
		},
		{
			"a transitional package",
			[]deb{{name: "nvidia-driver-550-server", version: "570.158.01-0ubuntu0.22.04.1", depends: "nvidia-driver-570-server", installed: "ii"}, {name: "nvidia-driver-570-server", version: "570.158.01-0ubuntu0.22.04.1", installed: "ii"}},
			prebuiltRunning,
			map[string]string{"package-metapackage": "warn nvidia-driver-550-server is transitional: it pulls branch 570"},
		},
		{
			"NVIDIA's names from 590 on",
			[]deb{
				{name: "nvidia-open", version: "590.44.01-1ubuntu1", installed: "ii"},
				{name: "libnvidia-compute", version: "590.44.01-1ubuntu1", installed: "ii"},
				{name: "nvidia-dkms-open", version: "590.44.01-1ubuntu1", installed: "ii"},
			},
			map[string]string{"/sys/module/nvidia/version": "590.44.01\n"},
			map[string]string{"package-branches": "pass branch 590", "package-origins": "pass NVIDIA's repository", "package-metapackage": "pass nvidia-open is in charge", "package-holds": "pass none"},
		},
		{
			"the same names, and the next branch in the lists",
			[]deb{
				{name: "nvidia-open", version: "590.44.01-1ubuntu1", installed: "ii"},
				{name: "nvidia-open", version: "595.71.05-1ubuntu1"},
				{name: "nvidia-driver-pinning-590", version: "590-1ubuntu1"},
			},
			map[string]string{"/sys/module/nvidia/version": "590.44.01\n"},
			map[string]string{"package-holds": "warn branch 590|595.71.05|apt-get install nvidia-driver-pinning-590"},
		},
	}
}

// fabricFiles make the healthy host one with an NVSwitch and Fabric Manager's settings.
func fabricFiles() map[string]string {
	const at = "/sys/bus/pci/devices/0000:c0:00.0"
	return map[string]string{
		at + "/vendor": "0x10de\n", at + "/device": "0x1af1\n", at + "/class": "0x068000\n", at + "/config": "\xde\x10\xf1\x1a",
		"/usr/share/nvidia/nvswitch/fabricmanager.cfg": "FABRIC_MODE=0\n", running + "kernel/nvidia-535srv/nvidia.ko": "",
	}
}

// TestRealDpkg: packages of the real names are built and installed below a root by dpkg itself; doctor finds what is
// mixed, and every apt command that it gives is one that apt-get accepts there.
func TestRealDpkg(t *testing.T) {
	commands := 0
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			files, links := fixture.HealthyHost(1)
			maps.Copy(files, s.file)
			if _, fabric := s.file["/usr/share/nvidia/nvswitch/fabricmanager.cfg"]; fabric {
				links["/sys/bus/pci/devices/0000:c0:00.0/driver"] = "../../../../bus/pci/drivers/nvidia-nvswitch"
			}
			r := newAptRoot(t, files, links, s.debs)
			v := r.examine(nil)
			for id, want := range s.want {
				compareWithScene(t, v, id, want)
			}
			for _, result := range v.Results {
				for _, fix := range result.Fix {
					words := strings.Fields(fix)
					if words[0] == "apt-get" {
						commands++
						r.apt(append([]string{"-s"}, words[1:]...)...)
					}
				}
			}
		})
	}
	if commands < 6 {
		t.Errorf("only %d apt commands were tried", commands)
	}
}

func compareWithScene(t *testing.T, v Verdict, id, want string) {
	t.Helper()
	i := slices.IndexFunc(v.Results, func(r checks.Result) bool { return r.ID == id })
	if i < 0 {
		t.Fatalf("%s was not asked", id)
	}
	result := v.Results[i]
	status, says, _ := strings.Cut(want, " ")
	text := result.What + " | " + strings.Join(result.Fix, " | ")
	if string(result.Status) != status {
		t.Errorf("%s: %s (%s), want %s", id, result.Status, text, status)
	}
	for word := range strings.SplitSeq(says, "|") {
		if !strings.Contains(text, word) {
			t.Errorf("%s: %q does not say %q", id, text, word)
		}
	}
}
