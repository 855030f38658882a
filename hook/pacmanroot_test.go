package hook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks/host"
	"gpu-preflight/testdata/fixture"
)

// TestRealPacman: packages of Arch's names are installed below a root by pacman itself; doctor finds the branch that
// was left, and pacman accepts the command that takes it out.
func TestRealPacman(t *testing.T) {
	files, links := fixture.HealthyHost(1)
	files[osRelease] = "ID=arch\n"
	files["/pacman.conf"] = "[options]\nArchitecture = x86_64\nSigLevel = Never\nLocalFileSigLevel = Never\n"
	files["/var/lib/pacman/x"] = ""
	root := fixture.Tree(t, files, links)
	r := rpmRoot{t, root}
	pacman := func(args ...string) {
		r.run("pacman", append([]string{"--config", root + "/pacman.conf", "--root", root, "--dbpath", root + "/var/lib/pacman", "--cachedir", root + "/cache", "--hookdir", root + "/hooks", "--logfile", root + "/log", "--noconfirm"}, args...)...)
	}
	for _, p := range [][2]string{{"nvidia-utils", "535.183.06-1"}, {"nvidia-dkms", "470.256.02-3"}, {"libnvidia-container", "1.18.1-1"}} {
		dir := t.TempDir()
		info := "pkgname = " + p[0] + "\npkgbase = " + p[0] + "\npkgver = " + p[1] + "\npkgdesc = x\nurl = x\nbuilddate = 1\npackager = x\nsize = 1\narch = any\n"
		must(t, os.WriteFile(filepath.Join(dir, ".PKGINFO"), []byte(info), 0o600))
		file := filepath.Join(dir, p[0]+"-"+p[1]+"-any.pkg.tar.gz")
		r.run("tar", "-C", dir, "-czf", file, ".PKGINFO")
		pacman("-U", file)
	}
	o := host.Options{Root: root, AskAll: true, Stack: true, NVMLTimeout: 20 * time.Second, RunDir: t.TempDir(), Helper: "/nonexistent"}
	v := JudgeHost(host.Gather(t.Context(), o), DefaultPolicy())
	compareWithScene(t, v, "package-branches", "warn 470 (nvidia-dkms)|535 (nvidia-utils|pacman -R nvidia-dkms")
	commands := 0
	for _, result := range v.Results {
		for _, fix := range result.Fix {
			if words := strings.Fields(fix); words[0] == "pacman" {
				commands++
				pacman(append([]string{"--print"}, words[1:]...)...)
			}
		}
	}
	if commands != 1 {
		t.Errorf("%d commands were tried", commands)
	}
}
