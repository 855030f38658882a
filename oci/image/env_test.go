package image

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

// TestFromEnvRequirements writes requirements as NAME:EXPRESSION; a legacy requirement is marked with "legacy".
func TestFromEnvRequirements(t *testing.T) {
	for _, tt := range []struct {
		about string
		env   []string
		want  []string
	}{
		{"nothing", nil, nil},
		{
			"CUDA first, then by name",
			[]string{"NVIDIA_REQUIRE_BRAND=brand=tesla", "NVIDIA_REQUIRE_ARCH=arch>=7", "NVIDIA_REQUIRE_CUDA=cuda>=11.6"},
			[]string{"NVIDIA_REQUIRE_CUDA:cuda>=11.6", "NVIDIA_REQUIRE_ARCH:arch>=7", "NVIDIA_REQUIRE_BRAND:brand=tesla"},
		},
		{
			"the last value counts",
			[]string{"NVIDIA_REQUIRE_CUDA=cuda>=99", "NVIDIA_REQUIRE_CUDA=cuda>=9.0"},
			[]string{"NVIDIA_REQUIRE_CUDA:cuda>=9.0"},
		},
		{
			"a last value that is empty takes the requirement away",
			[]string{"NVIDIA_REQUIRE_X=cuda>=99", "NVIDIA_REQUIRE_X="},
			nil,
		},
		{
			"Jetpack is ignored",
			[]string{"NVIDIA_REQUIRE_JETPACK=csv-mounts=all", "NVIDIA_REQUIRE_JETPACK_HOST_MOUNTS="},
			nil,
		},
		{"names in other case are other variables", []string{"nvidia_require_cuda=cuda>=99"}, nil},
		{"no assignment", []string{"NVIDIA_REQUIRE_CUDA", ""}, nil},
		{"legacy image", []string{"CUDA_VERSION=9.0.116"}, []string{"legacy CUDA_VERSION:cuda>=9.0"}},
		{
			"legacy image with an empty requirement",
			[]string{"CUDA_VERSION=11.6", "NVIDIA_REQUIRE_CUDA="},
			[]string{"legacy CUDA_VERSION:cuda>=11.6"},
		},
		{
			"legacy image beside another requirement",
			[]string{"CUDA_VERSION=11.6", "NVIDIA_REQUIRE_ARCH=arch>=7"},
			[]string{"NVIDIA_REQUIRE_ARCH:arch>=7", "legacy CUDA_VERSION:cuda>=11.6"},
		},
		{
			"no legacy image",
			[]string{"CUDA_VERSION=12.9.1", "NVIDIA_REQUIRE_CUDA=cuda>=12.9"},
			[]string{"NVIDIA_REQUIRE_CUDA:cuda>=12.9"},
		},
	} {
		t.Run(tt.about, func(t *testing.T) {
			d := FromEnv(tt.env)
			var got []string
			for _, r := range d.Requirements {
				got = append(got, r.Name+":"+r.Expression)
			}
			if d.LegacyRequirement != nil {
				got = append(got, "legacy "+d.LegacyRequirement.Name+":"+d.LegacyRequirement.Expression)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestFromEnvDisable(t *testing.T) {
	for _, tt := range []struct {
		env      string
		disabled bool
		misspelt string
	}{
		{"NVIDIA_DISABLE_REQUIRE=true", true, ""},
		{"NVIDIA_DISABLE_REQUIRE=1", true, ""},
		{"NVIDIA_DISABLE_REQUIRE=T", true, ""},
		{"NVIDIA_DISABLE_REQUIRE=false", false, ""},
		{"NVIDIA_DISABLE_REQUIRE=yes", false, ""},
		{"NVIDIA_DISABLE_REQUIRE=", false, ""},
		{"NVIDIA_DISABLE_REQUIRES=1", false, "NVIDIA_DISABLE_REQUIRES=1"},
		{"NVIDIA_DISABLE_REQUIRES=yes", false, "NVIDIA_DISABLE_REQUIRES=yes"},
		{"NVIDIA_DISABLE_REQUIRES=0", false, ""},
		{"NVIDIA_DISABLE_REQUIRES=", false, ""},
		{"NVIDIA_DISABLE_REQUIRES=" + strings.Repeat("x", 99), false, "NVIDIA_DISABLE_REQUIRES=xxxxxxxxxxxxxxxx"},
	} {
		d := FromEnv([]string{tt.env})
		if d.Disabled != tt.disabled || d.MisspelledDisable != tt.misspelt {
			t.Errorf("%s: %v %q", tt.env, d.Disabled, d.MisspelledDisable)
		}
	}
	if d := FromEnv([]string{"NVIDIA_DISABLE_REQUIRE=1", "NVIDIA_DISABLE_REQUIRE=0"}); d.Disabled {
		t.Error("the last value must count")
	}
}

// The environment of an NGC image: its four-part CUDA_VERSION is never parsed.
func TestFromEnvNGC(t *testing.T) {
	d := FromEnv([]string{
		"NVIDIA_REQUIRE_CUDA=cuda>=9.0", "CUDA_VERSION=13.1.1.006", "CUDA_DRIVER_VERSION=580.65.06",
		"_CUDA_COMPAT_PATH=/usr/local/cuda/compat", "NVIDIA_REQUIRE_JETPACK_HOST_MOUNTS=",
	})
	want := Declared{
		Requirements:  []Requirement{ParseRequirement("NVIDIA_REQUIRE_CUDA", "cuda>=9.0")},
		CUDAVersion:   "13.1.1.006",
		DriverVersion: "580.65.06",
		CompatPath:    "/usr/local/cuda/compat",
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("%+v\nwant %+v", d, want)
	}
	d = FromEnv([]string{"CUDA_VERSION=13.1.1.006"})
	if !d.Legacy || d.LegacyRequirement != nil {
		t.Errorf("four parts without a requirement: legacy %v, %+v", d.Legacy, d.LegacyRequirement)
	}
}

func TestFromEnvBoundsTheRequirements(t *testing.T) {
	env := []string{"NVIDIA_REQUIRE_CUDA=cuda>=1"}
	for i := range 40 {
		env = append(env, fmt.Sprintf("NVIDIA_REQUIRE_A%02d=cuda>=1", i))
	}
	d := FromEnv(env)
	if len(d.Requirements) != 32 || d.Excess != 9 || d.Requirements[0].Name != "NVIDIA_REQUIRE_CUDA" {
		t.Errorf("%d requirements, %d over, first %s", len(d.Requirements), d.Excess, d.Requirements[0].Name)
	}
}

func TestLegacyCUDA(t *testing.T) {
	for version, want := range map[string]string{
		"12.9.1": "12.9", "v11.6": "11.6", "8": "8.0", "0": "0.0", "4294967295.0": "4294967295.0",
		"9.0.116-rc.1": "9.0", "9.0.116+build.007": "9.0", "9.0.116-rc-1+b": "9.0", "9.0.99999999999999999999": "9.0",
		"": "", "v": "", "vv9": "", "011.6": "", "11.06": "", "11.6.00": "", "9.0-rc1": "", "9.0.116-": "", "9.0.116+": "",
		"9.0.116-rc..1": "", "9.0.116-01": "", "9.0.116+a..b": "", "9.0.116-é": "", "4294967296": "", "13.1.1.006": "", " 9": "",
	} {
		got, ok := legacyCUDA(version)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", version, got, ok, want)
		}
	}
}

func TestCorpusLegacyCUDA(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(fixture.Corpus(t), "compat", "10_require_grammar.json"))
	if err != nil {
		t.Fatal(err)
	}
	var grammar struct {
		Env struct {
			Parse struct {
				Valid   map[string]string `json:"valid"`
				Invalid []string          `json:"invalid"`
			} `json:"cuda_version_parse"`
		} `json:"env"`
	}
	if err := json.Unmarshal(data, &grammar); err != nil {
		t.Fatal(err)
	}
	parse := grammar.Env.Parse
	if len(parse.Valid) != 5 || len(parse.Invalid) != 11 {
		t.Errorf("%d valid and %d invalid versions, want 5 and 11", len(parse.Valid), len(parse.Invalid))
	}
	for version, want := range parse.Valid {
		if got, ok := legacyCUDA(version); !ok || got != want {
			t.Errorf("%q: %q %v, want %q", version, got, ok, want)
		}
	}
	for _, version := range parse.Invalid {
		if got, ok := legacyCUDA(version); ok {
			t.Errorf("%q: %q, want none", version, got)
		}
	}
}

func FuzzFromEnv(f *testing.F) {
	f.Add("NVIDIA_REQUIRE_CUDA=cuda>=12.4\nNVIDIA_DISABLE_REQUIRE=1")
	f.Add("CUDA_VERSION=9.0.116-a+b\nNVIDIA_REQUIRE_CUDA=")
	f.Add("NVIDIA_REQUIRE_=\nNVIDIA_REQUIRE_=a,b\n=\nNVIDIA_DISABLE_REQUIRES=\xff")
	f.Fuzz(func(t *testing.T, lines string) {
		env := strings.Split(lines, "\n")
		d := FromEnv(env)
		if !reflect.DeepEqual(d, FromEnv(env)) {
			t.Errorf("%q: read twice with two answers", lines)
		}
		if len(d.Requirements) > maxRequirements || len(d.MisspelledDisable) > 100 {
			t.Errorf("%q: not bounded", lines)
		}
		if d.LegacyRequirement == nil {
			return
		}
		factor := d.LegacyRequirement.Terms[0].Factors[0]
		if !d.Legacy || factor.Invalid != "" || factor.Name != "cuda" || factor.Op != ">=" {
			t.Errorf("%q: legacy requirement %+v", lines, factor)
		}
	})
}
