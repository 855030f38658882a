package hook

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
	"gpu-preflight/testdata/fixture"
)

// rpmScene is one state of a real rpm database and what doctor has to say of it.
type rpmScene struct {
	name      string
	os        string            // rocky, sles
	installed string            // NAME=VERSION, all of epoch 3 on rocky
	offered   string            // the same, besides
	file      map[string]string // laid over the healthy host
	want      map[string]string // as in scene
}

const osRelease = "/etc/os-release"

func rpmScenes() []rpmScene {
	const (
		driver = "nvidia-driver=535.183.06 nvidia-driver-libs=535.183.06 nvidia-driver-cuda=535.183.06 nvidia-driver-cuda-libs=535.183.06 libnvidia-ml=535.183.06 nvidia-kmod-common=535.183.06 "
		kernel = "5.14.0-503.el9.x86_64"
		dkms   = "/var/lib/dkms/nvidia/"
	)
	running := map[string]string{"/proc/sys/kernel/osrelease": kernel + "\n", "/lib/modules/" + kernel + "/modules.dep": "", "/boot/vmlinuz-" + kernel: ""}
	return []rpmScene{
		{"whole", "rocky", driver + "kmod-nvidia-latest-dkms=535.183.06 bash=5.1", "", nil, map[string]string{
			"package-branches": "pass 535.183.06", "package-metapackage": "skip pin each other", "package-state": "pass whole",
		}},
		{"two branches", "rocky", driver + "kmod-nvidia-latest-dkms=535.183.06 libnvidia-fbc=570.124.06", "", nil, map[string]string{
			"package-branches": "warn 535 (|570 (libnvidia-fbc|dnf remove libnvidia-fbc",
		}},
		{"a branch installed over the loaded one", "rocky", "nvidia-driver=570.124.06 nvidia-driver-cuda-libs=570.124.06 kmod-nvidia-open-dkms=570.124.06 kmod-nvidia-latest-dkms=535.183.06", "", nil, map[string]string{
			"package-branches": "warn 570 (|dnf remove kmod-nvidia-latest-dkms",
		}},
		{"the module's package stayed behind", "rocky", driver + "kmod-nvidia-open-dkms=535.161.07", "kmod-nvidia-open-dkms=535.183.06", nil, map[string]string{
			"package-branches": "warn 535.161.07 (|; 535.183.06 (|dnf install kmod-nvidia-open-dkms-3:535.183.06-1.el9",
		}},
		{"the module's package stayed behind and the lists have no other", "rocky", driver + "kmod-nvidia-open-dkms=535.161.07", "", nil, map[string]string{
			"package-branches": "warn 535.161.07 (|; 535.183.06 (|bring kmod-nvidia-open-dkms to version 535.183.06",
		}},
		{"RPM Fusion beside NVIDIA", "rocky", "xorg-x11-drv-nvidia=570.124.06 xorg-x11-drv-nvidia-cuda-libs=570.124.06 akmod-nvidia=570.124.06 libnvidia-ml=535.183.06", "", nil, map[string]string{
			"package-branches": "warn 535 (libnvidia-ml|570 (akmod-nvidia, xorg-x11-drv-nvidia|dnf remove libnvidia-ml",
		}},
		{"left-over DKMS tree", "rocky", driver + "kmod-nvidia-open-dkms=535.183.06", "", map[string]string{
			dkms + "470.256.02/build/x": "", dkms + "535.183.06/source/dkms.conf": "",
		}, map[string]string{"dkms-tree": "warn /var/lib/dkms/nvidia/470.256.02/source/dkms.conf is missing|dkms remove nvidia/470.256.02 --all", "package-branches": "pass 535.183.06"}},
		{"DKMS without headers", "rocky", driver + "kmod-nvidia-latest-dkms=535.183.06", "kernel-devel=5.14.0", maps.Clone(running), map[string]string{
			"module-for-running-kernel": "warn dnf install kernel-devel-" + kernel + "|dkms autoinstall -k " + kernel,
		}},
		{"DKMS without headers that the lists do not offer", "rocky", driver + "kmod-nvidia-latest-dkms=535.183.06", "", maps.Clone(running), map[string]string{
			"module-for-running-kernel": "warn install kernel-devel-" + kernel + " (the local package lists do not offer it",
		}},
		{"Fabric Manager stayed behind", "rocky", driver + "kmod-nvidia-latest-dkms=535.183.06 nvidia-fabric-manager=535.161.07", "nvidia-fabric-manager=535.183.06", fabricFiles(), map[string]string{
			"fabric-manager-package": "warn 535.161.07, and the driver 535.183.06|dnf install nvidia-fabric-manager-3:535.183.06-1.el9",
		}},
		{"SUSE's signed module of another version than the libraries", "sles", "nvidia-open-driver-G06-signed-cuda-kmp-default=535.161.07_k6.4.0_150600.23 nvidia-compute-G06=535.183.06 nvidia-compute-utils-G06=535.183.06 nvidia-gl-G06=535.183.06", "", nil, map[string]string{
			"package-branches": "warn 535.161.07 (|; 535.183.06 (|bring nvidia-open-driver-G06-signed-cuda-kmp-default to version 535.183.06",
		}},
		{"SUSE's G05 beside G06", "sles", "nvidia-gfxG05-kmp-default=470.256.02_k6.4.0_150600.23 nvidia-compute-G06=535.183.06 nvidia-driver-G06-kmp-default=535.183.06_k6.4.0_150600.23", "", nil, map[string]string{
			"package-branches": "warn 470 (nvidia-gfxG05-kmp-default)|535 (|zypper remove nvidia-gfxG05-kmp-default",
		}},
	}
}

// TestRealRPM: packages of the real names are built by rpmbuild and installed below a root by rpm itself; doctor finds
// what is mixed, and every dnf and zypper command that it gives is one that the tool accepts there.
func TestRealRPM(t *testing.T) {
	built := t.TempDir()
	commands := 0
	for _, s := range rpmScenes() {
		t.Run(s.name, func(t *testing.T) {
			files, links := fixture.HealthyHost(1)
			files[osRelease] = map[string]string{"rocky": "ID=rocky\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=9.4\n", "sles": "ID=sles\nID_LIKE=suse\nVERSION_ID=15.6\n"}[s.os]
			maps.Copy(files, s.file)
			links["/root/.rpmdb"] = "../var/lib/rpm" // where Debian's dnf looks for the database
			files["/var/lib/rpm/x"] = ""
			if _, fabric := s.file["/usr/share/nvidia/nvswitch/fabricmanager.cfg"]; fabric {
				links["/sys/bus/pci/devices/0000:c0:00.0/driver"] = "../../../../bus/pci/drivers/nvidia-nvswitch"
			}
			r := rpmRoot{t, fixture.Tree(t, files, links)}
			repository := filepath.Join(r.root, "repository")
			installed := r.build(built, s.os, s.installed, repository)
			r.build(built, s.os, s.offered, repository)
			r.run("rpm", append([]string{"--root", r.root, "--dbpath", "/var/lib/rpm", "-i", "--nodeps", "--ignorearch", "--nosignature"}, installed...)...)
			r.run("createrepo_c", "--quiet", "--no-database", repository)
			facts := r.facts(s.os)
			v := JudgeHost(facts, DefaultPolicy())
			for id, want := range s.want {
				compareWithScene(t, v, id, want)
			}
			for _, result := range v.Results {
				for _, fix := range result.Fix {
					if words := strings.Fields(fix); words[0] == "dnf" || words[0] == "zypper" {
						commands++
						r.accepts(words)
					}
				}
			}
		})
	}
	if commands < 7 {
		t.Errorf("only %d commands were tried", commands)
	}
}

// rpmRoot is a host below a folder with a real rpm database.
type rpmRoot struct {
	t    *testing.T
	root string
}

func (r rpmRoot) run(name string, args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}

// build makes empty packages, or takes those that were made before, and returns their files in the repository.
func (r rpmRoot) build(built, osID, packages, repository string) (files []string) {
	r.t.Helper()
	if err := os.MkdirAll(repository, 0o755); err != nil {
		r.t.Fatal(err)
	}
	for word := range strings.FieldsSeq(packages) {
		name, version, _ := strings.Cut(word, "=")
		release, epoch := "1.el9", "3"
		if osID == "sles" || name == "bash" {
			epoch = "0"
		}
		if name == "kernel-devel" {
			release, epoch = "503.el9", "0"
		}
		file := strings.Join([]string{name, version, release + ".x86_64.rpm"}, "-")
		from := filepath.Join(built, "x86_64", file)
		if _, err := os.Stat(from); err != nil {
			spec := filepath.Join(built, name+".spec")
			text := "Name: " + name + "\nEpoch: " + epoch + "\nVersion: " + version + "\nRelease: " + release + "\nSummary: x\nLicense: x\n%description\nx\n%files\n"
			if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
				r.t.Fatal(err)
			}
			r.run("rpmbuild", "--quiet", "-bb", "--target", "x86_64-linux", "--define", "_topdir "+built, "--define", "_rpmdir "+built, spec)
		}
		r.run("cp", from, repository)
		files = append(files, filepath.Join(repository, file))
	}
	return files
}

// facts are what doctor reads of the host, and what dnf offers on it: below a root it is not asked by the program.
func (r rpmRoot) facts(osID string) host.Facts {
	r.t.Helper()
	o := host.Options{Root: r.root, AskAll: true, Stack: true, NVMLTimeout: 20 * time.Second, RunDir: r.t.TempDir(), Helper: "/nonexistent"}
	facts := host.Gather(r.t.Context(), o)
	if why := facts.Stack.Packages.Why(); why != "" {
		r.t.Fatalf("packages: %s", why)
	}
	if osID != "rocky" {
		return facts
	}
	offered := []host.Candidate{}
	for line := range strings.Lines(r.run("dnf", r.dnf("repoquery", "--qf", "%{name}\t%{evr}\t%{reponame}")...)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		offered = append(offered, host.Candidate{Name: fields[0], Version: fields[1], From: fields[2]})
	}
	facts.Stack.Available = fact.Of(offered, "dnf repoquery")
	return facts
}

func (r rpmRoot) dnf(args ...string) []string {
	return append([]string{
		"-q", "-y", "--noplugins", "--installroot=" + r.root, "--releasever=9", "--forcearch=x86_64", "--setopt=reposdir=/nonexistent", "--repofrompath=nvidia,file://" + r.root + "/repository",
		"--setopt=nvidia.gpgcheck=0", "--setopt=tsflags=test", "--setopt=cachedir=/var/cache/dnf",
	}, args...)
}

// accepts lets the tool try a command, without doing it.
func (r rpmRoot) accepts(words []string) {
	r.t.Helper()
	if words[0] == "dnf" {
		r.run("dnf", r.dnf(words[1:]...)...)
		return
	}
	args := []string{"--quiet", "--non-interactive", "--root", r.root, words[1]}
	if words[1] == "remove" || words[1] == "install" {
		args = append(args, "--dry-run")
	}
	r.run("zypper", append(args, words[2:]...)...)
}
