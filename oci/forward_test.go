package oci

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestFindForward(t *testing.T) {
	for _, tt := range []struct {
		about string
		hooks []specs.Hook
		want  Forward
	}{
		{"none", nil, Forward{}},
		{
			"toolkit 1.17.5 in legacy mode (config/hooks-ctk-1.17.5-legacy.json)",
			[]specs.Hook{
				{Path: "/usr/bin/nvidia-ctk", Args: []string{"nvidia-ctk", "hook", "enable-cuda-compat", "--host-driver-version=575.57.08"}},
				{Path: "/usr/bin/nvidia-ctk", Args: []string{"nvidia-ctk", "hook", "update-ldcache"}},
			},
			Forward{Hook: true, HostDriver: "575.57.08", UpdatesCache: true},
		},
		{
			"toolkit 1.16 has no such hook",
			[]specs.Hook{{Path: "/usr/bin/nvidia-cdi-hook", Args: []string{"nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib64"}}},
			Forward{UpdatesCache: true},
		},
		{
			"values apart, and the other options",
			[]specs.Hook{{Args: []string{"x", "enable-cuda-compat", "--host-driver-version", "580.95.05", "--host-cuda-version=13.0", "-cuda-compat-container-root=/opt/compat"}}},
			Forward{Hook: true, HostDriver: "580.95.05", HostCUDA: "13.0", Folder: "/opt/compat"},
		},
		{"a hook without a version", []specs.Hook{{Args: []string{"enable-cuda-compat", "--host-driver-version"}}}, Forward{Hook: true}},
	} {
		if got := findForward(tt.hooks); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.about, got, tt.want)
		}
	}
}
