package plan_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
	"gpu-preflight/checks/plan"
)

// aptHost is a folder with a dpkg database and a repository of its own, which apt and dpkg take for the host.
type aptHost struct {
	t    *testing.T
	root string
}

const (
	oldDriver = "535.183.06-0ubuntu0.22.04.1"
	newDriver = "580.95.05-0ubuntu0.22.04.1"
	kernel    = "5.15.0-130-generic"
)

// debs are packages of Ubuntu's archive, by their real names: name, version, what it depends on, and whether it is there.
var debs = []struct {
	name, version, depends string
	installed              bool
}{
	{"nvidia-driver-535-server", oldDriver, "libnvidia-compute-535-server (= " + oldDriver + "), nvidia-dkms-535-server", true},
	{"libnvidia-compute-535-server", oldDriver, "", true},
	{"nvidia-dkms-535-server", oldDriver, "dkms", true},
	{"nvidia-fabricmanager-535", "535.183.06-0ubuntu0.22.04.2", "", true},
	{"dkms", "2.8.7-2", "", true},
	{"nvidia-container-toolkit", "1.18.1-1", "libnvidia-container1", true},
	{"libnvidia-container1", "1.18.1-1", "", true},
	{"nvidia-driver-580-server-open", newDriver, "libnvidia-compute-580-server (= " + newDriver + "), nvidia-dkms-580-server-open", false},
	{"libnvidia-compute-580-server", newDriver, "", false},
	{"nvidia-dkms-580-server-open", newDriver, "dkms", false},
	{"nvidia-fabricmanager-580", "580.95.05-0ubuntu0.22.04.2", "", false},
	{"nvidia-fabricmanager-580", "580.178.04-0ubuntu0.22.04.1", "", false},
	{"linux-headers-" + kernel, "5.15.0-130.140", "", false},
}

func newAptHost(t *testing.T) aptHost {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("apt: absent")
	}
	h := aptHost{t, t.TempDir()}
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "etc/apt", "repository", "var/log/apt", "bin"} {
		if err := os.MkdirAll(filepath.Join(h.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.write("var/lib/dpkg/status", "")
	h.write("etc/apt/sources.list", "deb [trusted=yes] file:"+h.root+"/repository ./\n")
	h.write("bin/modinfo", "#!/bin/sh\necho 580.95.05\n") // the module that was built is not
	if err := os.Chmod(filepath.Join(h.root, "bin/modinfo"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.write("apt.conf", strings.ReplaceAll(`
Dir::State "ROOT/var/lib/apt"; Dir::State::status "ROOT/var/lib/dpkg/status"; Dir::Etc "ROOT/etc/apt"; Dir::Cache "ROOT/var/cache/apt";
Dir::Log "ROOT/var/log/apt"; APT::Sandbox::User "root"; APT::Architecture "amd64"; APT::Get::Assume-Yes "true"; Dpkg::Use-Pty "false";
DPkg::Options { "--root=ROOT"; "--force-not-root"; "--force-architecture"; "--log=/dev/null"; };
`, "ROOT", h.root))
	index := ""
	for _, d := range debs {
		index += h.build(d.name, d.version, d.depends)
	}
	h.write("repository/Packages", index)
	h.sh("apt-get update")
	for _, d := range debs {
		if d.installed {
			h.sh("apt-get install " + d.name)
		}
	}
	return h
}

func (h aptHost) write(path, content string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(h.root, path)), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.root, path), []byte(content), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// build makes a .deb and returns its stanza of the repository's index.
func (h aptHost) build(name, version, depends string) string {
	h.t.Helper()
	dir, file := "build/"+name+"_"+version, "repository/"+name+"_"+version+"_amd64.deb"
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: x <x@example.com>\nDescription: x\n", name, version)
	if depends != "" {
		control += "Depends: " + depends + "\n"
	}
	h.write(dir+"/DEBIAN/control", control)
	h.write(dir+"/DEBIAN/conffiles", "/etc/packages/"+name+"\n")
	h.write(dir+"/etc/packages/"+name, version+"\n")
	h.sh("cd " + h.root + " && dpkg-deb --root-owner-group --build " + dir + " " + file)
	sum, _, _ := strings.Cut(h.sh("sha256sum "+h.root+"/"+file), " ")
	size := strings.TrimSpace(h.sh("stat -c %s " + h.root + "/" + file))
	return control + "Filename: ./" + filepath.Base(file) + "\nSize: " + size + "\nSHA256: " + sum + "\n\n"
}

// sh runs a line as root's shell on the host would.
func (h aptHost) sh(line string) string {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "sh", "-c", line)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "APT_CONFIG="+h.root+"/apt.conf", "DPKG_ADMINDIR="+h.root+"/var/lib/dpkg", "PATH="+h.root+"/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// installed are the packages that are there, held ones with an h before the colon.
func (h aptHost) installed() []string {
	return strings.Fields(h.sh(`dpkg-query -W -f '${db:Status-Abbrev}${Package}=${Version}\n' | sed 's/ //g'`))
}

// TestAptRunbook: apt runs the commands of a plan to the word, on a database and a repository with the real names: the old
// branch is gone with its settings, the new one is there with Fabric Manager of its very version and held, and the
// container toolkit stays. Once the names of the packages are known, and once the commands have to find them.
func TestAptRunbook(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprint("names known: ", known), func(t *testing.T) {
			h := newAptHost(t)
			h.sh("apt-mark hold nvidia-driver-535-server")
			f := made(t, "os=ubuntu:22.04 driver=535.183.06 modules=proprietary gpus=20b0*8 switches=6")
			f.Stack.Kernels = fact.Of([]host.Kernel{{Release: kernel, Image: true}}, "x")
			if known {
				f.Stack.Packages = fact.Of(h.packages(), "x")
			}
			ran := 0
			for _, step := range plan.Make(f, plan.Target{Branch: 580}).Steps {
				for _, command := range step.Commands {
					if strings.HasPrefix(command, "apt-") {
						h.sh(command)
						ran++
					}
				}
			}
			if ran < 6 {
				t.Errorf("only %d commands of apt", ran)
			}
			want := []string{
				"iidkms=2.8.7-2", "hinvidia-driver-580-server-open=" + newDriver, "iilibnvidia-compute-580-server=" + newDriver, "iinvidia-dkms-580-server-open=" + newDriver,
				"hinvidia-fabricmanager-580=580.95.05-0ubuntu0.22.04.2", "iilibnvidia-container1=1.18.1-1", "iinvidia-container-toolkit=1.18.1-1", "iilinux-headers-" + kernel + "=5.15.0-130.140",
			}
			got := h.installed()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("there are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// packages are the facts that the database gives.
func (h aptHost) packages() []host.Package {
	var found []host.Package
	for _, p := range h.installed() {
		name, version, _ := strings.Cut(p[2:], "=")
		found = append(found, host.Package{Name: name, Version: version, State: "ii", Held: p[0] == 'h'})
	}
	return found
}
