package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gpu-preflight/oci"
)

// The order of the loader, one line a candidate: where it comes from, the folder, and what lies there.
func orderOf(l *Loader) string {
	var lines []string
	for _, list := range [][]Candidate{l.Path, l.Conf} {
		for _, c := range list {
			line := filepath.Base(c.File) + " " + c.Folder
			switch {
			case c.Unread != "":
				line += " " + c.Unread
			case c.System:
				line += " system"
			case c.Stub:
				line += " stub"
			case c.Library != nil:
				line += " " + c.Library.Version
			}
			lines = append(lines, strings.TrimPrefix(line, ". "))
		}
	}
	return strings.Join(lines, "; ")
}

func TestReadLoader(t *testing.T) {
	python := []string{"usr/bin/python3", "etc/ld.so.conf = include /etc/ld.so.conf.d/*.conf\n"}
	compat := []string{
		"usr/local/cuda-12.9/compat/libcuda.so.575.57.08", "usr/local/cuda-12.9/compat/libcuda.so.1 -> libcuda.so.575.57.08",
		"usr/local/cuda -> cuda-12.9",
	}
	for _, tt := range []struct {
		about   string
		files   []string
		path    string
		order   string
		steered string
		change  func(*Program)
		check   func(*testing.T, *Loader)
	}{
		{about: "nothing", order: ""},
		{
			about: "LD_LIBRARY_PATH in its order, links resolved", files: compat, path: "/usr/local/nvidia/lib:/usr/lib/x86_64-linux-gnu:/usr/local/cuda/compat/",
			order: "/usr/local/nvidia/lib; /usr/lib/x86_64-linux-gnu system; /usr/local/cuda/compat 575.57.08",
			check: func(t *testing.T, l *Loader) {
				t.Helper()
				if got := l.Path[2].Library.Path; got != "/usr/local/cuda-12.9/compat/libcuda.so.575.57.08" {
					t.Error(got)
				}
			},
		},
		{about: "words that only the loader can tell", path: "lib::$ORIGIN/lib:/a/$LIB", order: "lib not an absolute path; $ORIGIN/lib not an absolute path; /a/$LIB not an absolute path"},
		{
			about: "stubs, with and without the name that is loaded", path: "/usr/local/cuda/lib64/stubs:/opt/stubs", order: "/usr/local/cuda/lib64/stubs stub; /opt/stubs",
			files: []string{"usr/local/cuda/lib64/stubs/libcuda.so", "usr/local/cuda/lib64/stubs/libcuda.so.1 -> libcuda.so", "opt/stubs/libcuda.so"},
		},
		{
			about: "ld.so.conf.d as the vLLM images have it", order: "00-cuda-compat.conf /usr/local/cuda-12.9/compat 575.57.08; x86_64-linux-gnu.conf /usr/lib/x86_64-linux-gnu system",
			files: append([]string{
				"etc/ld.so.conf.d/x86_64-linux-gnu.conf = # Multiarch support\n/usr/lib/x86_64-linux-gnu\n",
				"etc/ld.so.conf.d/00-cuda-compat.conf = /usr/local/cuda-12.9/compat/\n", "etc/ld.so.cache",
			}, compat...),
			check: func(t *testing.T, l *Loader) {
				t.Helper()
				if l.ConfWhy != "" || !l.Cache {
					t.Errorf("%+v", l)
				}
			},
		},
		{
			about: "a link to where the driver's is put", path: "/opt/links:/usr/local/cuda/compat", order: "/opt/links a link that leads to nothing of the image; /usr/local/cuda/compat 575.57.08",
			files: append([]string{"opt/links/libcuda.so.1 -> /usr/lib/x86_64-linux-gnu/libcuda.so.1"}, compat...),
		},
		{about: "a folder with two", files: append([]string{"opt/c/libcuda.so.570.1", "opt/c/libcuda.so.580.1", "etc/ld.so.conf.d/a.conf = /opt/c\n"}, compat...), order: "a.conf /opt/c more than one libcuda"},
		{about: "what the toolkit may take", files: compat, check: func(t *testing.T, l *Loader) {
			t.Helper()
			if len(l.Toolkit) != 1 || l.Toolkit[0].Version != "575.57.08" {
				t.Errorf("%+v", l.Toolkit)
			}
		}},
		{
			about: "a link in its folder: which of NVIDIA's programs takes it differs",
			files: []string{"opt/libcuda.so.575.57.08.real", "usr/local/cuda/compat/libcuda.so.575.57.08 -> /opt/libcuda.so.575.57.08.real"},
			check: func(t *testing.T, l *Loader) {
				t.Helper()
				if len(l.Toolkit) != 1 || l.Toolkit[0].Version != "" {
					t.Errorf("%+v", l.Toolkit)
				}
			},
		},
		{
			about: "NGC: the entrypoint makes lib where lib.real works", path: "/usr/local/cuda/compat/lib:/usr/local/nvidia/lib",
			files: []string{"usr/local/cuda/compat/lib.real/libcuda.so.590.48.01"}, order: "/usr/local/cuda/compat/lib; /usr/local/nvidia/lib",
			change: func(p *Program) { p.Env = append(p.Env, "_CUDA_COMPAT_PATH=/usr/local/cuda/compat") },
			check: func(t *testing.T, l *Loader) {
				t.Helper()
				if l.Tested == nil || l.Tested.Version != "590.48.01" || len(l.Toolkit) != 0 {
					t.Errorf("%+v", l)
				}
			},
		},
		{about: "an order of its own", files: []string{"etc/ld.so.conf = /opt/first\ninclude /etc/ld.so.conf.d/*.conf\n"}, check: confWhy("an order of its own")},
		{about: "not included", files: []string{"etc/ld.so.conf = \n"}, check: confWhy("does not include")},
		{about: "a script", change: func(p *Program) { p.Args = []string{"/entrypoint.sh"} }, steered: "may set LD_LIBRARY_PATH"},
		{about: "nobody knows", change: func(p *Program) { p.Args = nil }, steered: "may set LD_LIBRARY_PATH"},
		{
			about: "NVIDIA's entry point, and a script beside it that sets LD_LIBRARY_PATH", steered: "entrypoint.d may set LD_LIBRARY_PATH",
			files:  []string{"opt/nvidia/entrypoint.d/99z.sh = export LD_LIBRARY_PATH=\"/opt/hpcx/lib:$LD_LIBRARY_PATH\"\n"},
			change: func(p *Program) { p.Args = append([]string{"/opt/nvidia/nvidia_entrypoint.sh"}, p.Args...) },
		},
		{
			about: "NVIDIA's entry point, which is not used",
			files: []string{"opt/nvidia/entrypoint.d/99z.sh = export LD_LIBRARY_PATH=/x\n"},
		},
		{about: "vLLM's own switch", change: func(p *Program) { p.Env = append(p.Env, "VLLM_ENABLE_CUDA_COMPATIBILITY=1") }, steered: "VLLM_ENABLE_CUDA_COMPATIBILITY"},
		{about: "vLLM's own switch, off", change: func(p *Program) {
			p.Env = append(p.Env, "VLLM_ENABLE_CUDA_COMPATIBILITY=0", "NV_CUDA_COMPAT_PACKAGE=cuda-compat-12-9")
		}},
		{about: "preloaded", change: func(p *Program) { p.Env = append(p.Env, "LD_PRELOAD=/opt/libcuda.so.1") }, steered: "LD_PRELOAD"},
		{about: "a mounted interpreter", change: func(p *Program) { p.Mounts = []string{"/usr/bin"} }, steered: "may set LD_LIBRARY_PATH"},
		{
			about: "env sets the path", files: compat, change: func(p *Program) {
				p.Args = append([]string{"env", "LD_LIBRARY_PATH=/usr/local/cuda/compat"}, p.Args...)
			}, order: "/usr/local/cuda/compat 575.57.08",
		},
	} {
		t.Run(tt.about, func(t *testing.T) {
			top := tree(t, append(python, tt.files...)...)
			if err := os.Chmod(filepath.Join(top, "usr/bin/python3"), 0o700); err != nil {
				t.Fatal(err)
			}
			root, err := oci.OpenRootfs(top)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = root.Close() })
			p := Program{Args: []string{"python3", "-m", "app"}, Env: []string{"PATH=/usr/bin", "LD_LIBRARY_PATH=" + tt.path}}
			if tt.change != nil {
				tt.change(&p)
			}
			got := readLoader(root, p, loaderFolders(root))
			if order := orderOf(got); order != tt.order {
				t.Errorf("%s\nwant %s", order, tt.order)
			}
			if tt.steered == "" && got.Steered != "" || !strings.Contains(got.Steered, tt.steered) {
				t.Errorf("steered %q, want %q", got.Steered, tt.steered)
			}
			if tt.check != nil {
				tt.check(t, got)
			}
		})
	}
}

func confWhy(words string) func(*testing.T, *Loader) {
	return func(t *testing.T, l *Loader) {
		t.Helper()
		if !strings.Contains(l.ConfWhy, words) {
			t.Errorf("%q, want %q", l.ConfWhy, words)
		}
	}
}

func TestNamesLibcuda(t *testing.T) {
	for entry, want := range map[string]bool{
		"LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/cuda-12.9/compat": true,
		"LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs":                       true,
		"LD_LIBRARY_PATH=/usr/local/nvidia/lib64":                           false,
		"LIBRARY_PATH=/usr/local/cuda/lib64/stubs":                          false,
		"_CUDA_COMPAT_PATH=/usr/local/cuda/compat":                          false,
	} {
		if got := NamesLibcuda([]string{"PATH=/compat", entry}); got != want {
			t.Errorf("%s: %v", entry, got)
		}
	}
}
