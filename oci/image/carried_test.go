package image_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
)

// TestCarriedBy: what unpacked images carry of their environment, as Apptainer and enroot write it.
func TestCarriedBy(t *testing.T) {
	const docker = "#!/bin/sh\nexport PATH=\"/usr/local/cuda/bin:/usr/bin\"\nexport CUDA_VERSION=\"${CUDA_VERSION:-\"12.4.1\"}\"\n" +
		"export NVIDIA_REQUIRE_CUDA=\"${NVIDIA_REQUIRE_CUDA:-\"cuda>=12.4 brand=tesla,driver>=470,driver<471\"}\"\n"
	const dir = ".singularity.d/env/"
	for _, test := range []struct {
		name   string
		files  map[string]string
		env    []string
		unsure string
	}{
		{"a folder that carries nothing", map[string]string{"etc/environment": "CUDA_VERSION=9.0\n"}, nil, ""},
		{
			"a sandbox of Apptainer",
			map[string]string{dir + "10-docker2singularity.sh": docker, dir + "90-environment.sh": "#!/bin/sh\n# Custom environment shell code should follow\n\n", dir + "99-base.sh": "if true; then X=1; fi\n"},
			[]string{"PATH=/usr/local/cuda/bin:/usr/bin", "CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA=cuda>=12.4 brand=tesla,driver>=470,driver<471"},
			"",
		},
		{
			"its own script may change it",
			map[string]string{dir + "10-docker2singularity.sh": docker, dir + "90-environment.sh": "if test -d /opt; then\n export PATH=/opt/bin:$PATH\nfi\n"},
			[]string{"CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA=cuda>=12.4 brand=tesla,driver>=470,driver<471"},
			"90-environment.sh",
		},
		{"a script that sets only", map[string]string{dir + "90-environment.sh": "export CUDA_VERSION=12.8.0\nA='x y'\n"}, []string{"CUDA_VERSION=12.8.0", "A=x y"}, ""},
		{"a command in a value", map[string]string{dir + "90-environment.sh": "export CUDA_VERSION=\"$(cat /x)\"\n"}, nil, "90-environment.sh"},
		{"a script that is not one line each", map[string]string{dir + "90-environment.sh": "export CUDA_VERSION=12.8; rm x\n"}, nil, "90-environment.sh"},
		{
			"a container of enroot",
			map[string]string{"etc/environment": "PATH=/usr/bin\nCUDA_VERSION=12.6.3\nNVIDIA_REQUIRE_CUDA=cuda>=9.0\nnot a line\n", "etc/rc": "if [ $# -gt 0 ]; then\n exec \"$@\"\nfi\n"},
			[]string{"PATH=/usr/bin", "CUDA_VERSION=12.6.3", "NVIDIA_REQUIRE_CUDA=cuda>=9.0"},
			"/etc/rc",
		},
	} {
		root := t.TempDir()
		for name, text := range test.files {
			file := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		rootfs, err := oci.OpenRootfs(root)
		if err != nil {
			t.Fatal(err)
		}
		got := image.CarriedBy(rootfs)
		if !slices.Equal(got.Env, test.env) {
			t.Errorf("%s: %q, want %q", test.name, got.Env, test.env)
		}
		if unsure := strings.Join(got.Unsure, "; "); (unsure == "") != (test.unsure == "") || !strings.Contains(unsure, test.unsure) {
			t.Errorf("%s: not sure of %q, want %q", test.name, unsure, test.unsure)
		}
		rootfs.Close()
	}
}
