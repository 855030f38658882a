package host

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks/fact"
	"gpu-preflight/testdata/fixture"
)

// stanza is a package in dpkg's database.
func stanza(name, status, version string) string {
	return "Package: " + name + "\nStatus: " + status + "\nPriority: optional\nArchitecture: amd64\nVersion: " + version +
		"\nDescription: x\n Package: nvidia-dkms-1\n .\n more\n\n"
}

const runs = "6.8.0-52-generic"

// here is a host in the initial pid namespace, whose running kernel is known.
func here() Facts {
	return Facts{Kernel: fact.Of(runs, "test"), Platform: Platform{InitialPIDNamespace: fact.Of(true, "test")}}
}

func readsInstalled(t *testing.T, root string, f Facts) Installed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	return ReadInstalled(ctx, Options{Root: root, RunDir: t.TempDir()}, f)
}

// TestReadInstalled reads the module of the running kernel and its package through the reader child.
func TestReadInstalled(t *testing.T) {
	const modules = "/lib/modules/" + runs
	other := stanza("bash", "install ok installed", "5.2.21-2ubuntu4")
	for _, tt := range []struct {
		name, module, status string
		path                 string
		origin               Origin
		pkg                  Package
	}{
		{
			"prebuilt", "/kernel/nvidia-535srv-open/nvidia.ko", other + stanza("linux-modules-nvidia-535-server-open-"+runs, "install ok installed", "6.8.0-52.53+1"),
			"/kernel/nvidia-535srv-open/nvidia.ko", OriginPrebuilt,
			Package{Name: "linux-modules-nvidia-535-server-open-" + runs, Version: "6.8.0-52.53+1", State: "ii", Arch: "amd64"},
		},
		{
			"DKMS, an older branch removed", "/updates/dkms/nvidia.ko.zst",
			stanza("nvidia-dkms-470", "deinstall ok config-files", "470.256.02-0ubuntu1") + other + stanza("nvidia-dkms-535", "hold ok half-configured", "535.183.01-0ubuntu0.22.04.1"),
			"/updates/dkms/nvidia.ko.zst", OriginDKMS,
			Package{Name: "nvidia-dkms-535", Version: "535.183.01-0ubuntu0.22.04.1", State: "iF", Held: true, Arch: "amd64"},
		},
		{".run file, no package", "/kernel/drivers/video/nvidia.ko", other, "/kernel/drivers/video/nvidia.ko", OriginRunfile, Package{}},
		{"a last stanza without its end", "/extra/nvidia.ko.xz", strings.TrimSpace(stanza("nvidia-kernel-dkms", "install ok unpacked", "535.183.01-1")), "/extra/nvidia.ko.xz", OriginKmod, Package{Name: "nvidia-kernel-dkms", Version: "535.183.01-1", State: "iU", Arch: "amd64"}},
		{"none", "/kernel/fs/ext4.ko", other, "", "", Package{}},
		{"a name that goes into no command", "/kernel/fs/ext4.ko", stanza("nvidia-dkms-535;reboot", "install ok installed", "1") + stanza("nvidia-dkms-535", "install ok installed", "$(reboot)"), "", "", Package{}},
		{"a long line hides nothing and shows nothing", "/kernel/fs/ext4.ko", "Package: bash\nX: " + strings.Repeat("x", 64<<10) + "Package: nvidia-dkms-1\n\n" + stanza("nvidia-dkms-535", "install ok installed", "535.1-1"), "", "", Package{Name: "nvidia-dkms-535", Version: "535.1-1", State: "ii", Arch: "amd64"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := fixture.Tree(t, map[string]string{modules + tt.module: "", dpkgStatus: tt.status}, nil)
			got := readsInstalled(t, root, here())
			want := ModuleFile{Origin: tt.origin}
			if tt.path != "" {
				want.Path = modules + tt.path
			}
			if !got.Module.Known() || got.Module.Value != want {
				t.Errorf("module %+v, want %+v", got.Module, want)
			}
			if !got.Package.Known() || !reflect.DeepEqual(got.Package.Value, tt.pkg) {
				t.Errorf("package %+v, want %+v", got.Package, tt.pkg)
			}
		})
	}
}

// TestReadInstalledUnknown: what cannot be told is unknown, and what is not the host's is not read.
func TestReadInstalledUnknown(t *testing.T) {
	root := fixture.Tree(t, map[string]string{
		"/lib/modules/" + runs + "/updates/dkms/nvidia.ko": "", "/lib/modules/" + runs + "/kernel/drivers/video/nvidia.ko": "",
		dpkgStatus: stanza("nvidia-dkms-535", "install ok installed", "535.1-1"),
	}, nil)
	got := readsInstalled(t, root, here())
	if got.Module.Known() || !strings.Contains(got.Module.Why(), "several origins") || !got.Package.Known() {
		t.Errorf("two modules: %+v", got)
	}
	for name, change := range map[string]func(*Facts){
		"a release that is none": func(f *Facts) { f.Kernel = fact.Of("../6.8.0", "test") },
		"no folder":              func(f *Facts) { f.Kernel = fact.Of("6.9.0", "test") },
		"unknown":                func(f *Facts) { f.Kernel = fact.Fact[string]{} },
	} {
		f := here()
		if change(&f); readsInstalled(t, root, f).Module.Known() {
			t.Errorf("%s: the module is known", name)
		}
	}
	for name, change := range map[string]func(*Facts){
		"from inside a container": func(f *Facts) { f.Platform.InitialPIDNamespace = fact.Of(false, "test") },
		"a driver container":      func(f *Facts) { f.NVML.Root = "/run/nvidia/driver" },
	} {
		f := here()
		if change(&f); !reflect.DeepEqual(readsInstalled(t, root, f), Installed{}) {
			t.Errorf("%s: it was read", name)
		}
	}
}

// TestReadInstalledHostile: a database that is none, or that never ends, tells of no package, keeps nobody waiting and
// leaves no child behind.
func TestReadInstalledHostile(t *testing.T) {
	for name, put := range map[string]func(string) error{
		"a pipe":           func(path string) error { return unix.Mkfifo(path, 0o644) },
		"a folder":         func(path string) error { return os.Mkdir(path, 0o755) },
		"a link to itself": func(path string) error { return os.Symlink(path, path) },
		"1 GB of NULs": func(path string) error {
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				return err
			}
			return os.Truncate(path, 1<<30)
		},
		"no end": func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		t.Run(name, func(t *testing.T) {
			root := fixture.Tree(t, map[string]string{"/var/lib/dpkg/": ""}, nil)
			if err := put(filepath.Join(root, dpkgStatus)); err != nil {
				t.Fatal(err)
			}
			run := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			got := ReadInstalled(ctx, Options{Root: root, RunDir: run}, here())
			if got.Package.Value.Name != "" || got.Module.Known() {
				t.Errorf("%+v", got)
			}
			if left, err := os.ReadDir(run); err != nil || len(left) > 0 {
				t.Errorf("a child was left behind: %v, %v", left, err)
			}
		})
	}
}
