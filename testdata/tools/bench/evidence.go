package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	evidenceRounds = 40
	oldDriver      = "535.183.06" // whose CUDA is older than the newest: the hook looks into the image
)

// printEvidence prints what the size of an image costs that the hook looks into: a root file system of 200,000 files
// beside one of 200.
func (s scene) printEvidence(ctx context.Context, out io.Writer) error {
	if err := s.oldHost(); err != nil {
		return err
	}
	rows := []program{{name: "small"}, {name: "large"}}
	for i, folders := range []int{2, 2000} {
		p := &rows[i]
		if err := s.image(p.name, folders); err != nil {
			return err
		}
		*p = program{
			name: p.name, args: []string{filepath.Join(s.bin, "gpu-preflight-hook"), "--root", s.path("old/host"), "--config", s.path("config.toml")},
			env: []string{"GOMAXPROCS=1"}, stdin: s.path(p.name + "/state.json"), log: s.path("log"), wants: "torch was built for CUDA 12.8",
		}
		if err := p.check(ctx); err != nil {
			return err
		}
	}
	for range evidenceRounds {
		for i := range rows {
			if err := rows[i].time(ctx); err != nil {
				return err
			}
		}
	}
	small, large := rows[0].median(), rows[1].median()
	_, err := fmt.Fprintf(out, "\na launch that looks into its image, %d rounds: 200 files %.1f ms, 200,000 files %.1f ms (%.2f x, bar 2)\n",
		evidenceRounds, float64(small.Microseconds())/1000, float64(large.Microseconds())/1000, float64(large)/float64(small))
	return err
}

// oldHost is the host with an older driver.
func (s scene) oldHost() error {
	files := map[string]string{}
	for name, text := range hostFiles(8) {
		files["old/"+strings.ReplaceAll(name, driver, oldDriver)] = strings.ReplaceAll(text, driver, oldDriver)
	}
	const library = "host/usr/lib/x86_64-linux-gnu/libnvidia-ml.so."
	for _, suffix := range []string{"", ".conf"} {
		text, err := os.ReadFile(s.path(library + driver + suffix))
		if err != nil {
			return err
		}
		files["old/"+library+oldDriver+suffix] = string(text)
	}
	conf := "old/" + library + oldDriver + ".conf"
	files[conf] = strings.NewReplacer(driver, oldDriver, "cuda=13000", "cuda=12020").Replace(files[conf])
	if err := s.write(files); err != nil {
		return err
	}
	return s.hostLinks("old/host", oldDriver)
}

// image writes a bundle whose Python has torch for CUDA 12.8, and so many folders of 100 files: a fifth of them are
// packages beside torch, the rest lies below /usr/share.
func (s scene) image(name string, folders int) error {
	const site = "/rootfs/opt/venv/lib/python3.11/site-packages/"
	config := containerConfig(8)
	config["process"].(map[string]any)["args"] = []string{"/opt/venv/bin/python3", "train.py"}
	files := map[string]string{
		name + "/rootfs/opt/venv/pyvenv.cfg":         "home = /usr/bin\nversion = 3.11.7\n",
		name + "/rootfs/opt/venv/bin/python3":        "x",
		name + site + "torch/version.py":             "__version__ = '2.9.1'\ncuda: Optional[str] = '12.8'\n",
		name + site + "torch-2.9.1.dist-info/RECORD": "",
	}
	for i := range folders {
		folder := fmt.Sprintf("%s/rootfs/usr/share/folder%d/", name, i)
		if i%5 == 4 {
			folder = fmt.Sprintf("%s%spackage%d/", name, site, i)
		}
		for j := range 100 {
			files[fmt.Sprintf("%sfile%d", folder, j)] = ""
		}
	}
	if err := s.bundle(files, name, config); err != nil {
		return err
	}
	files[name+"/config.json"] = strings.ReplaceAll(files[name+"/config.json"], driver, oldDriver) // the libcuda that is mounted
	if err := s.write(files); err != nil {
		return err
	}
	return os.Chmod(s.path(name+"/rootfs/opt/venv/bin/python3"), 0o755)
}
