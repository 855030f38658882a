package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks/host"
	"gpu-preflight/testdata/fixture"
)

// realModule is an object file as a compiler makes it: 2 MB of code that does not compress well, .modinfo, and the
// table of sections behind it.
func realModule(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	noise := make([]byte, 2<<20)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	source := ".section .text\n.incbin \"noise\"\n.section .modinfo,\"a\"\n"
	for _, word := range []string{"license=NVIDIA", "alias=char-major-195-*", "version=580.95.05", "depends=", "name=nvidia", "vermagic=6.8.0-52-generic SMP mod_unload"} {
		source += ".asciz \"" + word + "\"\n"
	}
	source += ".section .data\n.incbin \"noise\", 0, 1048576\n"
	for name, text := range map[string]string{"noise": string(noise), "nvidia.s": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runTool(t, dir, "cc", "-c", "-o", "nvidia.ko", "nvidia.s")
	module, err := os.ReadFile(filepath.Join(dir, "nvidia.ko"))
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func runTool(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// packings are how distributions compress modules (scripts/Makefile.modinst, dkms), and what xz and zstd do at most.
var packings = [][]string{
	{"xz", "--check=crc32", "--lzma2=dict=1MiB"}, {"xz", "-6"}, {"xz", "-0", "--x86", "--lzma2=dict=64MiB"}, {"zstd", "-q", "-3"}, {"zstd", "-q", "-19", "--long=25"}, {"gzip", "-1"},
}

// TestCompressedModules: facts tell the version of modules that xz, zstd and gzip have compressed; of one that is cut
// short before its .modinfo, of one that is none, and of a bomb they tell none, and everything else of the host.
func TestCompressedModules(t *testing.T) {
	module := realModule(t)
	for i, packing := range packings {
		ending := map[string]string{"xz": ".xz", "zstd": ".zst", "gzip": ".gz"}[packing[0]]
		t.Run(strings.Join(packing, " "), func(t *testing.T) {
			packed := pack(t, packing, module)
			if len(packed) < 2<<20 {
				t.Errorf("%d bytes: the code was to be noise", len(packed))
			}
			files := map[string][]byte{"whole": packed}
			if i%3 == 0 {
				files = map[string][]byte{
					"whole": packed, "cut short": packed[:len(packed)/2], "damaged": damaged(packed),
					"no archive": []byte("hello"), "empty": nil, "no module": pack(t, packing, []byte("hello")),
				}
			}
			for name, file := range files {
				want := map[bool]string{true: "580.95.05"}[name == "whole"]
				if k := kernelsWith(t, ending, file); len(k) != 1 || len(k[0].Modules) != 1 || k[0].Modules[0].Version != want {
					t.Errorf("%s: %+v, want %q", name, k, want)
				}
			}
		})
	}
}

func damaged(packed []byte) []byte {
	packed = bytes.Clone(packed)
	clear(packed[len(packed)/4 : len(packed)/2])
	return packed
}

// TestModuleBombs: a file that unpacks to more than any module, and one that asks for more memory than any, end in time.
func TestModuleBombs(t *testing.T) {
	for ending, packing := range map[string]string{".xz": "xz -0", ".zst": "zstd -1", ".gz": "gzip -1"} {
		bomb := pack(t, []string{"sh", "-c", "{ printf '\\177ELF'; head -c 200M /dev/zero; } | " + packing + " #"}, nil)
		if len(bomb) == 0 || len(bomb) > 2<<20 {
			t.Fatalf("%s: a bomb of %d bytes", ending, len(bomb))
		}
		if k := kernelsWith(t, ending, bomb); len(k) != 1 || k[0].Modules[0].Version != "" {
			t.Errorf("%s: %+v", ending, k)
		}
	}
	for ending, packing := range map[string][]string{".xz": {"xz", "-0", "--lzma2=dict=1GiB"}, ".zst": {"zstd", "-q", "--ultra", "--long=31", "-1"}} {
		if k := kernelsWith(t, ending, pack(t, packing, make([]byte, 1<<20))); k[0].Modules[0].Version != "" {
			t.Errorf("%s: %+v", ending, k)
		}
	}
}

// pack compresses with the real tool.
func pack(t *testing.T, packing []string, data []byte) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), packing[0], append(packing[1:], "-c")...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v", packing, err)
	}
	return out
}

// kernelsWith are the kernels that doctor finds on a host with one module.
func kernelsWith(t *testing.T, ending string, module []byte) []host.Kernel {
	t.Helper()
	const release = "6.8.0-52-generic"
	files := map[string]string{
		"/proc/sys/kernel/osrelease": release + "\n", "/lib/modules/" + release + "/updates/dkms/nvidia.ko" + ending: string(module),
		"/boot/vmlinuz-" + release: "",
	}
	var out, trouble strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if code := run(ctx, []string{"gpu-preflight", "--root", fixture.Tree(t, files, nil), "facts"}, nil, &out, &trouble); code != 0 {
		t.Fatalf("exit code %d: %s", code, trouble.String())
	}
	var f host.Facts
	if err := json.Unmarshal([]byte(out.String()), &f); err != nil {
		t.Fatal(err)
	}
	if why := fmt.Sprint(f.Stack.Kernels.Why(), f.Stack.DKMS.Why()); why != "" {
		t.Fatalf("the rest of the host: %s", why)
	}
	return f.Stack.Kernels.Value
}
