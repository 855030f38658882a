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

// rpmHost is a folder with an rpm database and a repository of its own, which rpm, dnf and zypper take for the host.
type rpmHost struct {
	t    *testing.T
	root string
	path string // of the wrappers
}

// rpmDrivers are the driver versions that NVIDIA's repositories offer side by side.
var rpmDrivers = []string{"550.163.01", "580.95.05", "580.178.04", "595.71.05", "615.36.01"}

// rpmOthers are packages whose versions have nothing to do with the driver's: name, version, release.
var rpmOthers = [][3]string{
	{"dkms", "3.2.1", "1"},
	{"nvlsm", "2025.03.1", "1"},
	{"infiniband-diags", "54.0", "1"},
	{"nvidia-container-toolkit", "1.18.1", "1"},
	{"libnvidia-container1", "1.18.1", "1"},
	{"kernel-devel", "5.14.0", "503.el9"},
	{"kernel-headers", "5.14.0", "503.el9"},
	{"kernel-default-devel", "6.4.0", "150600.23"},
	{"python3-dnf-plugin-versionlock", "4.3.0", "1"},
	{"bash", "5.1", "1"},
}

// rpmSpec is a package of a specification file.
func rpmSpec(name, head string) string {
	return "%package -n " + name + "\nSummary: x\n" + head + "%description -n " + name + "\nx\n%files -n " + name + "\n"
}

// driverSpec is a whole driver, by the names of NVIDIA's rpm repositories.
// https://github.com/NVIDIA/yum-packaging-nvidia-driver, https://docs.nvidia.com/datacenter/tesla/driver-installation-guide
func driverSpec(epoch, version string) string {
	same := func(names ...string) (head string) {
		for _, name := range names {
			head += "Requires: " + name + " = " + epoch + ":" + version + "\n"
		}
		return head
	}
	if epoch == "0" {
		return suseSpec(same, version)
	}
	kmod := "Provides: nvidia-kmod = " + epoch + ":%{version}\nConflicts: kmod-nvidia-open-dkms\nRequires: dkms\n"
	return rpmSpec("nvidia-open", same("nvidia-driver", "nvidia-driver-cuda", "kmod-nvidia-open-dkms")) +
		rpmSpec("cuda-drivers", same("nvidia-driver", "nvidia-driver-cuda", "kmod-nvidia-latest-dkms")) +
		rpmSpec("nvidia-driver", same("nvidia-driver-libs", "nvidia-kmod-common")) +
		rpmSpec("nvidia-driver-libs", same("libnvidia-ml")) +
		rpmSpec("nvidia-driver-cuda", same("nvidia-driver-cuda-libs", "nvidia-kmod-common")) +
		rpmSpec("nvidia-driver-cuda-libs", same("libnvidia-ml")) +
		rpmSpec("libnvidia-ml", "") + rpmSpec("nvidia-kmod-common", same("nvidia-kmod")) +
		rpmSpec("kmod-nvidia-open-dkms", strings.Replace(kmod, "kmod-nvidia-open", "kmod-nvidia-latest", 1)) + rpmSpec("kmod-nvidia-latest-dkms", kmod) +
		rpmSpec(managerOf(version), same("nvidia-driver-cuda-libs")) + rpmSpec("nvidia-imex", "")
}

// suseSpec is the same by the names of NVIDIA's repository for SUSE, which have no epoch: generation G06 up to branch 580.
// https://github.com/openSUSE/nvidia-driver-G06
func suseSpec(same func(...string) string, version string) string {
	generation := "G06"
	if version >= "590" {
		generation = "G07"
	}
	text := ""
	for name, requires := range map[string][]string{
		"nvidia-open":                      {"nvidia-compute-utils-G", "nvidia-open-driver-G-kmp-default"},
		"cuda-drivers":                     {"nvidia-compute-utils-G", "nvidia-driver-G-kmp-default"},
		"nvidia-compute-utils-G":           {"nvidia-compute-G"},
		"nvidia-compute-G":                 nil,
		"nvidia-open-driver-G-kmp-default": nil,
		"nvidia-driver-G-kmp-default":      nil,
		managerOf(version):                 {"nvidia-compute-G"},
	} {
		text += strings.ReplaceAll(rpmSpec(name, same(requires...)), "-G", "-"+generation)
	}
	return text
}

func managerOf(version string) string {
	if version < "580" {
		return "nvidia-fabric-manager"
	}
	return "nvidia-fabricmanager"
}

// buildRepository makes packages of the real names, and the index with the module streams of RHEL 8 and 9.
func (h rpmHost) buildRepository(epoch string, streams bool) {
	h.t.Helper()
	head := func(name, epoch, version, release string) string {
		return "Name: " + name + "\nEpoch: " + epoch + "\nVersion: " + version + "\nRelease: " + release + "\nSummary: x\nLicense: x\n%description\nx\n"
	}
	specs := map[string]string{}
	for _, version := range rpmDrivers {
		specs["driver-"+version] = head("source", epoch, version, "1.el9") + driverSpec(epoch, version)
	}
	for _, p := range rpmOthers {
		text := head(p[0], "0", p[1], p[2]) + "%files\n"
		if strings.Contains(p[0], "versionlock") {
			text = strings.Replace(text, "Summary:", "Provides: dnf-command(versionlock)\nSummary:", 1)
		}
		specs[p[0]] = text
	}
	for name, text := range specs {
		h.write("specs/"+name+".spec", text)
	}
	h.sh("/usr/bin/rpmbuild --quiet -bb --target x86_64-linux --define '_topdir " + h.root + "/build' --define '_rpmdir " + h.root + "/repository' " + h.root + "/specs/*.spec")
	h.sh("createrepo_c --quiet --no-database " + h.root + "/repository")
	if streams {
		h.write("modules.yaml", moduleStreams())
		h.sh("modifyrepo_c --mdtype=modules " + h.root + "/modules.yaml " + h.root + "/repository/repodata >/dev/null")
	}
}

// moduleStreams are the streams of the module nvidia-driver: BRANCH-open, BRANCH-dkms and those of the newest.
func moduleStreams() string {
	text := ""
	add := func(stream, branch, kmod string) {
		text += fmt.Sprintf("---\ndocument: modulemd\nversion: 2\ndata:\n  name: nvidia-driver\n  stream: %q\n  version: 1\n  context: x\n  arch: x86_64\n  summary: x\n  description: x\n  license: {module: [x]}\n  artifacts:\n    rpms:\n", stream)
		for _, version := range rpmDrivers {
			if !strings.HasPrefix(version, branch) {
				continue
			}
			for line := range strings.Lines(driverSpec("3", version)) {
				name, ok := strings.CutPrefix(strings.TrimSpace(line), "%package -n ")
				if ok && (!strings.HasPrefix(name, "kmod-") || name == kmod) {
					text += "    - " + name + "-3:" + version + "-1.el9.x86_64\n"
				}
			}
		}
		text += "...\n"
	}
	for _, branch := range []string{"550", "580", "595", "615"} {
		add(branch+"-open", branch, "kmod-nvidia-open-dkms")
		add(branch+"-dkms", branch, "kmod-nvidia-latest-dkms")
	}
	add("open-dkms", "615", "kmod-nvidia-open-dkms")
	add("latest-dkms", "615", "kmod-nvidia-latest-dkms")
	return text
}

// repositories builds the repository that each platform has, once.
func repositories(t *testing.T) map[string]string {
	t.Helper()
	for _, tool := range []string{"rpmbuild", "createrepo_c", "modifyrepo_c", "dnf", "zypper"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + ": absent")
		}
	}
	if _, err := os.Stat(dnfPlugins + "/dnf-plugins/versionlock.py"); err != nil {
		t.Skip("dnf's versionlock: absent")
	}
	of := map[string]string{}
	for _, kind := range []struct {
		epoch     string
		streams   bool
		platforms []string
	}{{"3", true, []string{"el8", "el9"}}, {"3", false, []string{"el10"}}, {"0", false, []string{"suse"}}} {
		h := rpmHost{t: t, root: t.TempDir(), path: "/usr/sbin:/usr/bin:/sbin:/bin"}
		h.buildRepository(kind.epoch, kind.streams)
		for _, platform := range kind.platforms {
			of[platform] = h.root + "/repository"
		}
	}
	return of
}

// dnfPlugins are dnf's plugins as .ci/packages unpacks them: Debian's package of them excludes zypper.
const dnfPlugins = "/usr/local/lib/dnf-plugins-core/usr/lib/python3/dist-packages"

func newRPMHost(t *testing.T, platform, repository string) rpmHost {
	t.Helper()
	h := rpmHost{t: t, root: t.TempDir()}
	database := "/root/.rpmdb" // where Debian's rpm has it, and with it dnf
	if platform == "suse" {
		database = "/var/lib/rpm"
	}
	h.path = h.root + "/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for path, text := range map[string]string{
		"etc/yum.repos.d/nvidia.repo":      "[nvidia]\nname=nvidia\nbaseurl=file://REPOSITORY\ngpgcheck=0\n",
		"etc/zypp/repos.d/nvidia.repo":     "[nvidia]\nname=nvidia\nbaseurl=file://REPOSITORY\nenabled=1\ngpgcheck=0\n",
		"etc/dnf/plugins/versionlock.conf": "[main]\nenabled=1\nlocklist=ROOT/etc/dnf/plugins/versionlock.list\n",
		"etc/dnf/plugins/versionlock.list": "", "var/log/x": "", "etc/dnf/modules.d/x": "",
		"etc/products.d/baseproduct": "", "var/lib/rpm/x": "",
		// RHEL's dnf.conf has best=True: of several versions the newest has to be installable, or nothing is. Its plugin
		// for locks is a package of its own.
		"bin/dnf": `#!/bin/sh
export PYTHONPATH=PLUGINS
rpm -q python3-dnf-plugin-versionlock >/dev/null || set -- --noplugins "$@"
exec /usr/bin/dnf -q -y --installroot=ROOT --releasever=9 --forcearch=x86_64 --setopt=best=1 --setopt=clean_requirements_on_remove=1 \
	--setopt=reposdir=ROOT/etc/yum.repos.d --setopt=pluginpath=PLUGINS/dnf-plugins --setopt=pluginconfpath=ROOT/etc/dnf/plugins \
	--disableplugin='*' --enableplugin=versionlock --setopt=module_platform_id=platform:PLATFORM --setopt=cachedir=/var/cache/dnf "$@"
`,
		"bin/zypper":  "#!/bin/sh\nexec /usr/bin/zypper --quiet --non-interactive --no-gpg-checks --root ROOT \"$@\"\n",
		"bin/rpm":     "#!/bin/sh\nexec /usr/bin/rpm --root ROOT --dbpath DATABASE \"$@\"\n",
		"bin/uname":   "#!/bin/sh\necho 5.14.0-503.el9.x86_64\n",
		"bin/modinfo": "#!/bin/sh\nrpm -qa --qf '%{VERSION}\\n' libnvidia-ml; rpm -qa --qf '%{VERSION}\\n' 'nvidia-compute-G0*'\n",
	} {
		h.write(path, strings.NewReplacer("ROOT", h.root, "PLATFORM", platform, "PLUGINS", dnfPlugins, "DATABASE", database, "REPOSITORY", repository).Replace(text))
	}
	return h
}

func (h rpmHost) write(path, content string) {
	h.t.Helper()
	full := filepath.Join(h.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		h.t.Fatal(err)
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(path, "bin/") {
		mode = 0o755
	}
	if err := os.WriteFile(full, []byte(content), mode); err != nil {
		h.t.Fatal(err)
	}
}

// sh runs a line as root's shell on the host would.
func (h rpmHost) sh(line string) string {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "sh", "-c", line)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+h.path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Errorf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// installed are the packages that are there, NAME-VERSION.
func (h rpmHost) installed() []string {
	return strings.Fields(h.sh(`rpm -qa --qf '%{NAME}-%{VERSION}\n' | sort`))
}

// packages are the facts that the database gives.
func (h rpmHost) packages() fact.Fact[[]host.Package] {
	var found []host.Package
	for line := range strings.Lines(h.sh(`rpm -qa --qf '%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n'`)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		found = append(found, host.Package{Name: name, Version: version, State: "ii"})
	}
	return fact.Of(found, "x")
}

// ours tells the commands of a plan that rpm's tools are to take.
func ours(command string) bool {
	return slices.ContainsFunc([]string{"dnf ", "zypper ", "rpm "}, func(tool string) bool { return strings.HasPrefix(command, tool) })
}

// TestRPMRunbook: dnf and zypper run the commands of a plan to the word, on a database and a repository with the real
// names: the old branch is gone, the new one is there, kept, with Fabric Manager of its very version, and the container
// toolkit stays; an upgrade of everything afterwards leaves the branch alone.
func TestRPMRunbook(t *testing.T) {
	repository := repositories(t)
	for _, tt := range []struct {
		platform, spec string
		known          bool   // whether the plan knows the names of the packages, or its commands have to find them
		before         string // what is installed, as the tool takes it
		branch         int
		want, not      string // packages
	}{
		{"el9", "os=rhel:9.4 driver=550.163.01 modules=proprietary gpus=20b0*8 switches=6", false, "dnf module enable nvidia-driver:550-dkms; dnf install cuda-drivers nvidia-fabric-manager", 580, "nvidia-open-580.178.04 kmod-nvidia-open-dkms-580.178.04 nvidia-fabricmanager-580.178.04", "kmod-nvidia-latest-dkms cuda-drivers nvidia-fabric-manager-"},
		{"el8", "os=almalinux:8.10 driver=550.163.01 modules=proprietary gpus=1db6", true, "dnf module enable nvidia-driver:550-dkms; dnf install cuda-drivers", 580, "cuda-drivers-580.178.04 kmod-nvidia-latest-dkms-580.178.04", "nvidia-open"},
		{"el10", "os=almalinux:10.0 driver=550.163.01 modules=proprietary gpus=1db6", false, "dnf install cuda-drivers-550.163.01", 580, "cuda-drivers-580.178.04 kmod-nvidia-latest-dkms-580.178.04", "nvidia-open"},
		{"el10", "os=rhel:10.0 driver=580.95.05 modules=open gpus=2901*8", true, "dnf install 'dnf-command(versionlock)'; dnf versionlock '*nvidia*580.95*'; dnf install nvidia-open nvidia-fabricmanager nvlsm", 595, "nvidia-open-595.71.05 nvidia-fabricmanager-595.71.05 nvlsm-2025.03.1", "580.95.05"},
		{"suse", "os=sles:15.6 driver=550.163.01 modules=open gpus=20b0*8 switches=6", true, "zypper install 'nvidia-open<551' 'nvidia-fabric-manager<551'; zypper addlock nvidia-open nvidia-fabric-manager", 580, "nvidia-open-580.178.04 nvidia-open-driver-G06-kmp-default-580.178.04 nvidia-fabricmanager-580.178.04", "550.163.01"},
		{"suse", "os=opensuse-leap:15.6 driver=550.163.01 modules=proprietary gpus=1db6", false, "zypper install 'cuda-drivers<551'", 580, "cuda-drivers-580.178.04", "550.163.01"},
	} {
		t.Run(tt.platform, func(t *testing.T) {
			h := newRPMHost(t, tt.platform, repository[tt.platform])
			tool, _, _ := strings.Cut(tt.before, " ")
			h.sh("set -e; " + tt.before + "; " + tool + " install nvidia-container-toolkit libnvidia-container1 bash")
			f := made(t, tt.spec)
			if tt.known {
				f.Stack.Packages = h.packages()
			}
			ran := 0
			for _, step := range plan.Make(f, plan.Target{Branch: tt.branch}).Steps {
				for _, command := range step.Commands {
					if ours(command) {
						h.sh(command)
						ran++
					}
				}
			}
			if ran < 5 {
				t.Errorf("only %d commands of %s", ran, tool)
			}
			h.sh(map[string]string{"dnf": "dnf upgrade", "zypper": "zypper update"}[tool])
			got := strings.Join(h.installed(), "\n") + "\n"
			for want := range strings.FieldsSeq(tt.want + " nvidia-container-toolkit-1.18.1 libnvidia-container1-1.18.1") {
				if !strings.Contains(got, want+"\n") {
					t.Errorf("%s is not there:\n%s", want, got)
				}
			}
			for not := range strings.FieldsSeq(tt.not) {
				if strings.Contains(got, not) {
					t.Errorf("%s is there:\n%s", not, got)
				}
			}
		})
	}
}
