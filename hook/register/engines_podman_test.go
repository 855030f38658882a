package register_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gpu-preflight/hook/register"
	"gpu-preflight/testdata/fixture"
)

// podmanHost is podman with a storage, a containers.conf, a folder of hooks and a folder of CDI files of its own.
type podmanHost struct {
	dir, conf string
	prefix    string   // of the product
	as        []string // a command in front of podman; empty: as root
}

// gpuSpec is a CDI file of one GPU, as nvidia-ctk writes it, with the numbers of nodes that this machine lacks.
const gpuSpec = `---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
  - {path: /dev/nvidiactl, type: c, major: 195, minor: 255}
  - {path: /dev/nvidia-uvm, type: c, major: 511}
  env:
  - NVIDIA_VISIBLE_DEVICES=void
devices:
- containerEdits:
    deviceNodes:
    - {path: /dev/nvidia0, type: c, major: 195}
  name: all
kind: nvidia.com/gpu
`

// cdiFolder is where podman 4.3 finds CDI files, whatever its configuration says.
const cdiFolder = "/run/cdi"

// newPodman sets podman up with a runtime, probes it, and installs a hook that looks at a fake host.
func newPodman(t *testing.T, runtime string, s site, as ...string) podmanHost {
	t.Helper()
	for _, name := range []string{"podman", "conmon", "unshare", runtime} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	dir, err := os.MkdirTemp("", "podman") //nolint:usetesting // podman wants a short path
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	makeCDIFolder(t)
	p := podmanHost{dir: dir, as: as}
	p.conf, p.prefix = filepath.Join(p.dir, "containers.conf"), filepath.Join(p.dir, "prefix")
	for _, d := range []string{"hooks.d", "cdi", "rootfs/bin", "prefix/bin"} {
		must(t, os.MkdirAll(filepath.Join(p.dir, d), 0o755))
	}
	conf := fmt.Sprintf("[containers]\ndefault_ulimits = [\"nofile=1024:4096\", \"nproc=1024:4096\"]\nannotations = [\"a=b\"] # mine\n"+
		"[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nhooks_dir = [%q]\nruntime = %q\n", filepath.Join(p.dir, "hooks.d"), runtime)
	if via := hybrid(t); runtime == "crun" && via != "" { // podman knows a runtime by the name of its program
		named := filepath.Join(filepath.Dir(via), "crun")
		must(t, os.Rename(via, named))
		conf += fmt.Sprintf("[engine.runtimes]\ncrun = [%q]\n", named)
		text, err := os.ReadFile(named)
		must(t, err)
		write(t, named, strings.ReplaceAll(string(text), "exec crun", "exec "+lookPath(t, "crun")))
	}
	write(t, p.conf, conf)
	write(t, filepath.Join(p.dir, "cdi/nvidia.yaml"), gpuSpec)
	p.look(t, s)
	copyTo(t, lookPath(t, "busybox"), filepath.Join(p.dir, "rootfs/bin/busybox"))
	if len(as) > 0 {
		must(t, os.Mkdir(p.dir+"/home", 0o755))
		must(t, os.Chown(p.dir, nobody, nobody))
		must(t, os.Chown(p.dir+"/home", nobody, nobody))
	}
	tar := fmt.Sprintf("tar -C %s -c . | %s import - localhost/bb:1", filepath.Join(p.dir, "rootfs"), strings.Join(p.podman(), " "))
	if out, code := p.call(t, "sh", "-c", tar); code != 0 {
		t.Skipf("podman cannot import an image here (exit %d): %s", code, out)
	}
	if out, code := p.run(t); code != 0 || !strings.Contains(out, ran) {
		t.Skipf("podman with %s cannot run a container here (exit %d): %s", runtime, code, out)
	}
	return p
}

// makeCDIFolder gives folders of CDI files a place to be mounted at.
func makeCDIFolder(t *testing.T) {
	t.Helper()
	if os.Mkdir(cdiFolder, 0o755) == nil {
		t.Cleanup(func() { _ = os.Remove(cdiFolder) })
	}
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// install replaces the program that a registration leads to.
func (p podmanHost) install(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(p.prefix, "bin/gpu-preflight-hook")
	must(t, os.RemoveAll(path))
	write(t, path, text)
	must(t, os.Chmod(path, 0o755))
}

// look installs a hook that looks at a fake host.
func (p podmanHost) look(t *testing.T, s site) {
	t.Helper()
	p.install(t, fmt.Sprintf("#!/bin/sh\nexec %s --root %s --config %s\n", filepath.Join(s.bin, "gpu-preflight-hook"), s.root, s.config))
}

func (p podmanHost) podman() []string {
	return []string{"podman", "--root", p.dir + "/root", "--runroot", p.dir + "/run", "--tmpdir", p.dir + "/tmp", "--storage-driver", "vfs"}
}

// call runs a command in which cdiFolder is the host's folder of CDI files.
func (p podmanHost) call(t *testing.T, command ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := append([]string{"-m", "sh", "-c", `mount --bind "$0" ` + cdiFolder + ` && exec "$@"`, p.dir + "/cdi"}, slices.Concat(p.as, command)...)
	cmd := exec.CommandContext(ctx, "unshare", args...)
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+p.conf)
	if len(p.as) > 0 {
		cmd.Dir = p.dir
		cmd.Env = append(cmd.Env, "HOME="+p.dir+"/home", "XDG_RUNTIME_DIR="+p.dir+"/home")
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// run starts a container that says that it ran.
func (p podmanHost) run(t *testing.T, flags ...string) (string, int) {
	t.Helper()
	args := append(append(p.podman(), "run", "--rm", "--network", "none"), flags...)
	return p.call(t, append(args, "localhost/bb:1", "/bin/busybox", "echo", ran)...)
}

// bad starts a container of nvidia/cuda:13.0.0 with a GPU.
func (p podmanHost) bad(t *testing.T) (string, int) {
	t.Helper()
	return p.run(t, "--device", "nvidia.com/gpu=all", "-e", "NVIDIA_REQUIRE_CUDA=cuda>=13.0", "-e", "CUDA_VERSION=13.0.0")
}

// register does what an engine's registration would do on this host; undo gives the bytes back.
func (p podmanHost) register(t *testing.T, name string) (undo func()) {
	t.Helper()
	e, err := register.Named([]string{name})
	must(t, err)
	config := p.conf
	if name == "cdi" {
		config = p.dir + "/cdi"
	}
	plan, err := e[0].Plan(register.Site{Prefix: p.prefix, Configs: map[string]string{name: config}})
	must(t, err)
	if len(plan.Edits) == 0 {
		t.Fatalf("nothing to do: %q", plan.Notes)
	}
	for _, edit := range plan.Edits {
		if !strings.HasPrefix(edit.Path, p.dir) {
			t.Fatalf("%s is none of this host's files", edit.Path)
		}
		write(t, edit.Path, string(edit.After))
	}
	return func() {
		for _, edit := range plan.Edits {
			if edit.Before == nil {
				must(t, os.Remove(edit.Path))
				continue
			}
			write(t, edit.Path, string(edit.Before))
		}
	}
}

// TestEnginePodman: with the hook in podman's folder of hooks, and with the hook in the CDI file, a bad launch starts
// before, is refused with its reason where the user looks while registered, and starts after; status says so. What has
// no GPU, a launch on a host that serves it, and every launch for which the program is missing, killed, not executable
// or of another machine, starts.
func TestEnginePodman(t *testing.T) {
	for _, row := range []struct{ engine, runtime string }{{"podman", "runc"}, {"podman", "crun"}, {"cdi", "runc"}, {"cdi", "crun"}} {
		t.Run(row.engine+" with "+row.runtime, func(t *testing.T) {
			s := oldHost(t, "")
			p := newPodman(t, row.runtime, s)
			w := way{row: "podman 4", says: refusedText, bad: p.way(p.bad)}
			if row.engine == "cdi" && row.runtime == "crun" { // crun gives hooks no stderr, and podman was not registered
				w.says = []string{"(exit code: 1)"}
			}
			w.more = func(t *testing.T, _ launched) {
				t.Helper()
				out, code := p.run(t)
				started(t, out, code)
				if list := s.records(t); len(list) != 1 || list[0].Verdict != "refuse" {
					t.Errorf("records of the refusal and of a container without a GPU: %+v", list)
				}
				good := newHost(t)
				p.look(t, good)
				out, code = p.bad(t)
				started(t, out, code)
				if list := good.records(t); len(list) != 1 || list[0].Verdict != "allow" {
					t.Errorf("records of the good host: %+v", list)
				}
				p.startsWithout(t)
				p.look(t, s)
			}
			walk(t, p.host(s, row.engine), []way{w})
		})
	}
}

// way is a launch as podman's user sees it.
func (p podmanHost) way(bad func(*testing.T) (string, int)) func(*testing.T) launched {
	return func(t *testing.T) launched {
		t.Helper()
		out, code := bad(t)
		if code != 0 && (code != 126 || strings.Contains(out, ran)) {
			t.Errorf("exit %d, want 126: %s", code, out)
		}
		return launched{started: code == 0 && strings.Contains(out, ran), said: strings.ReplaceAll(out, `\"`, `"`)}
	}
}

// host lets podman's launches be walked with a registration.
func (p podmanHost) host(s site, engine string) host {
	var undo func()
	return host{
		register:   func(t *testing.T) { t.Helper(); undo = p.register(t, engine) },
		unregister: func(*testing.T) { undo() },
		records:    func(t *testing.T) int { t.Helper(); return len(s.records(t)) },
		status:     []string{"--prefix", p.prefix, "--engine-config", "podman=" + p.conf, "--engine-config", "cdi=" + p.dir + "/cdi"},
	}
}

// startsWithout breaks the program in every way, and each time a launch starts.
func (p podmanHost) startsWithout(t *testing.T) {
	t.Helper()
	path := filepath.Join(p.prefix, "bin/gpu-preflight-hook")
	foreign := foreignProgram(t)
	for _, way := range []struct {
		name  string
		spoil func()
	}{
		{"of another machine", func() { must(t, os.Remove(path)); copyTo(t, foreign, path) }},
		{"killed", func() { p.install(t, "#!/bin/sh\nkill -9 $$\n") }},
		{"not executable", func() { must(t, os.Chmod(path, 0o644)) }},
		{"cut off", func() { p.install(t, "") }},
		{"gone", func() { must(t, os.Remove(path)) }},
	} {
		way.spoil()
		if out, code := p.bad(t); code != 0 || !strings.Contains(out, ran) {
			t.Errorf("the program %s: exit %d: %s", way.name, code, out)
		}
	}
}

// nobody is a user without rights.
const nobody = 65534

// TestEnginePodmanRootless: a user's podman is refused too, and where neither the machine's log nor journald can be
// written the record is in the user's home, which is where status, asked by that user, says.
func TestEnginePodmanRootless(t *testing.T) {
	s := oldHost(t, "")
	for _, path := range []string{s.bin, s.root, s.config} {
		for at := filepath.Dir(path); at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
			must(t, os.Chmod(at, 0o755)) // a test's own folder is its user's alone
		}
	}
	id := strconv.Itoa(nobody)
	p := newPodman(t, "runc", s, "setpriv", "--reuid", id, "--regid", id, "--clear-groups")
	defer func() { _, _ = p.call(t, append(p.podman(), "system", "migrate")...) }() // ends podman's own process
	library := "/usr/lib/x86_64-linux-gnu/libcuda.so.535.183.06"
	s.log = filepath.Join(p.dir, "home/.local/state/gpu-preflight/launches.jsonl")
	w := way{row: "podman 4", says: []string{"gpu-preflight refused this container: ", "cuda-requirement"}}
	w.bad = p.way(func(t *testing.T) (string, int) { // a user's runtime binds nodes, which this machine lacks; the driver's library tells too
		t.Helper()
		return p.run(t, "-v", s.root+library+":"+library+":ro", "-e", "NVIDIA_REQUIRE_CUDA=cuda>=13.0", "-e", "CUDA_VERSION=13.0.0")
	})
	h := p.host(s, "podman")
	program := p.dir + "/gpu-preflight" // the user has no way into root's folders
	copyTo(t, fixture.Build(t, "cmd/gpu-preflight"), program)
	h.in = slices.Concat(p.as, []string{"env", "HOME=" + p.dir + "/home", "XDG_RUNTIME_DIR=" + p.dir + "/home", "sh", "-c", `shift; exec ` + program + ` --config ` + s.config + ` "$@"`, "sh"})
	w.more = func(t *testing.T, _ launched) {
		t.Helper()
		if list := s.records(t); len(list) != 1 || list[0].Verdict != "refuse" {
			t.Errorf("records: %+v", list)
		}
		if st := h.look(t); st.Records.File != s.log || st.Policy.Problem != "" {
			t.Errorf("status says that records are in %+v, and it was in %s", st.Records, s.log)
		}
	}
	walk(t, h, []way{w})
}
