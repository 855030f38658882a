package register_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gpu-preflight/testdata/fixture"
)

// toolkitPrograms are those of NVIDIA's container toolkit that packages install.
var toolkitPrograms = []string{
	"nvidia-container-runtime", "nvidia-container-runtime.cdi", "nvidia-container-runtime.legacy",
	"nvidia-container-runtime-hook", "nvidia-cdi-hook", "nvidia-ctk",
}

// toolkit is NVIDIA's container toolkit on a host whose driver is the fake one of a site.
type toolkit struct {
	dir    string // the host's root for register; the programs lie in its usr/bin
	config string // of the toolkit
	env    []string
}

// buildToolkit builds the newest toolkit of the 1.20 line, which Debian 12 lacks, and returns its folder.
func buildToolkit(t *testing.T) string {
	t.Helper()
	p := pinned{name: "nvidia-container-toolkit", version: "v1.20.2", env: []string{"CGO_ENABLED=1", "CGO_CFLAGS=-O2 -g -Wno-deprecated-declarations"}}
	for _, name := range toolkitPrograms {
		p.packages = append(p.packages, "github.com/NVIDIA/nvidia-container-toolkit/cmd/"+name)
	}
	return p.build(t)
}

// newToolkit installs the toolkit below dir. The site's root becomes a driver root, and its toolkit's configuration is
// the one below dir. The mode is nvidia-container-runtime's.
func newToolkit(t *testing.T, s site, dir, mode string) toolkit {
	t.Helper()
	folder := buildToolkit(t)
	k := toolkit{dir: dir, config: dir + "/etc/nvidia-container-runtime/config.toml"}
	k.env = []string{"NVIDIA_CTK_CONFIG_FILE_PATH=" + k.config}
	for _, name := range []string{"usr/bin", "etc/nvidia-container-runtime", "cdi"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	for _, name := range toolkitPrograms {
		copyTo(t, filepath.Join(folder, name), k.program(name))
	}
	must(t, os.WriteFile(k.program("nvidia-container-cli"), []byte(stubCLI), 0o755))
	driverRoot(t, s.root)
	write(t, k.config, fmt.Sprintf(`# the host's own
[nvidia-container-cli]
path = %q
root = %q

[nvidia-container-runtime]
mode = %q
runtimes = ["runc", "crun"]

[nvidia-container-runtime.modes.cdi]
spec-dirs = [%q]

[nvidia-container-runtime-hook]
path = %q

[nvidia-ctk]
path = %q
`, k.program("nvidia-container-cli"), s.root, mode, dir+"/cdi", k.program("nvidia-container-runtime-hook"), k.program("nvidia-ctk")))
	k.uses(t, s)
	return k
}

// uses makes the toolkit's configuration that of a site too, below whose root the driver lies at /.
func (k toolkit) uses(t *testing.T, s site) {
	t.Helper()
	path := s.root + "/etc/nvidia-container-runtime/config.toml"
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	write(t, path, strings.ReplaceAll(readFile(t, k.config), strconv.Quote(s.root), `"/"`))
}

// move makes another site the toolkit's host: another driver.
func (k toolkit) move(t *testing.T, from, to site) {
	t.Helper()
	driverRoot(t, to.root)
	write(t, k.config, strings.ReplaceAll(readFile(t, k.config), from.root, to.root))
	k.uses(t, to)
	k.generate(t, to)
}

// stubCLI stands for nvidia-container-cli, which cannot be had here. It sets nothing up and judges nothing.
const stubCLI = "#!/bin/sh\necho \"$@\" >\"$0.asked\"\n"

// driverRoot turns a fake host into a driver root as nvidia-ctk looks for one: real nodes, and libraries whose names
// carry the version.
func driverRoot(t *testing.T, root string) {
	t.Helper()
	folder := root + "/usr/lib/x86_64-linux-gnu/"
	found, err := filepath.Glob(folder + "libcuda.so.*.*")
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("libraries: %q", found)
	}
	version := strings.TrimPrefix(found[0], folder+"libcuda.so.")
	copyTo(t, folder+"libnvidia-ml.so.1", found[0])
	must(t, os.Rename(folder+"libnvidia-ml.so.1", folder+"libnvidia-ml.so."+version))
	must(t, os.Rename(folder+"libnvidia-ml.so.1.conf", folder+"libnvidia-ml.so."+version+".conf"))
	must(t, os.Symlink("libnvidia-ml.so."+version, folder+"libnvidia-ml.so.1"))
	must(t, os.Symlink("libcuda.so."+version, folder+"libcuda.so.1"))
	for path, number := range map[string][2]uint32{"/dev/nvidiactl": {195, 255}, "/dev/nvidia0": {195, 0}, "/dev/nvidia-uvm": {511, 0}} {
		must(t, os.Remove(root+path))
		if err := unix.Mknod(root+path, unix.S_IFCHR|0o666, int(unix.Mkdev(number[0], number[1]))); err != nil {
			t.Skipf("nodes cannot be made here: %v", err)
		}
	}
}

func (k toolkit) program(name string) string { return filepath.Join(k.dir, "usr/bin", name) }

// ctk runs nvidia-ctk.
func (k toolkit) ctk(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), k.program("nvidia-ctk"), args...)
	cmd.Env = append(append(os.Environ(), k.env...), "PATH="+k.dir+"/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nvidia-ctk %q: %v: %s", args, err, out)
	}
}

// generate writes the CDI file of the host's GPUs, as nvidia-cdi-refresh does.
func (k toolkit) generate(t *testing.T, s site) {
	t.Helper()
	k.ctk(t, "cdi", "generate", "--driver-root="+s.root, "--dev-root="+s.root, "--output="+k.dir+"/cdi/nvidia.yaml",
		"--nvidia-cdi-hook-path="+k.program("nvidia-cdi-hook"))
}

// product runs gpu-preflight on this host, and wants exit code 0.
func (k toolkit) product(t *testing.T, args ...string) string {
	t.Helper()
	out, code := k.try(t, args...)
	if code != 0 {
		t.Fatalf("gpu-preflight %q: exit %d: %s", args, code, out)
	}
	return out
}

func (k toolkit) try(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), fixture.Build(t, "cmd/gpu-preflight"), append([]string{"--root", k.dir}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// rootOfItsOwn is a folder that is the host's root for register, with our programs in its local/bin; below it, its own
// path leads to it.
func rootOfItsOwn(t *testing.T, s site) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"local", "usr/sbin", filepath.Dir(dir)[1:]} {
		must(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
	}
	must(t, os.Symlink("/", filepath.Join(dir, dir)))
	must(t, os.Rename(s.bin, dir+"/local/bin"))
	copyTo(t, lookPath(t, "runc"), dir+"/usr/sbin/runc")
	return dir
}

// create makes a container as an engine does, by create and start, and returns what its user sees.
func (b bundle) create(t *testing.T, runtime string, env []string) launched {
	t.Helper()
	log, text := filepath.Join(b.dir, "log.json"), filepath.Join(b.dir, "output")
	out, err := os.Create(text)
	must(t, err)
	defer out.Close()
	run := func(program string, args ...string) error {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.dir, append(os.Environ(), env...), out, out
		return cmd.Run()
	}
	err = run(runtime, "--log", log, "--log-format", "json", "create", "--bundle", b.dir, b.id)
	defer func() { _ = run("runc", "delete", "--force", b.id) }()
	if err != nil {
		said, _ := os.ReadFile(log)
		return launched{said: readFile(t, text) + string(said)}
	}
	must(t, run(runtime, "start", b.id))
	within(t, func() bool { return strings.Contains(readFile(t, text), ran) })
	return launched{started: true, said: readFile(t, text)}
}
