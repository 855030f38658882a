package hook

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/checks"
	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
	"gpu-preflight/testdata/fixture"
)

// factsOf visits every fact below v: those of lists too, and not what a fact holds.
func factsOf(v reflect.Value, path string, visit func(path string, f reflect.Value)) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type().PkgPath() == reflect.TypeFor[fact.Fact[int]]().PkgPath() {
			visit(path, v)
			return
		}
		for i := range v.NumField() {
			factsOf(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			factsOf(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	default:
	}
}

// known are the facts of a host that are known, by where they stand.
func known(f *host.Facts) (paths []string, facts []reflect.Value) {
	factsOf(reflect.ValueOf(f).Elem(), "", func(path string, v reflect.Value) {
		if v.FieldByName("Source").String() != "" && v.FieldByName("Unknown").String() == "" {
			paths, facts = append(paths, path), append(facts, v)
		}
	})
	return paths, facts
}

// forgotten makes facts unknown while run runs.
func forgotten(facts []reflect.Value, run func()) {
	for _, v := range facts {
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		defer v.Set(before)
		v.SetZero()
		v.FieldByName("Source").SetString("the place")
		v.FieldByName("Unknown").SetString("no answer within 2s")
	}
	run()
}

// launchesOn are launches of the usual kinds.
func launchesOn(env []string) map[string]checks.Launch {
	needs := image.FromContainer(&oci.Container{Env: env})
	compute := image.FromContainer(&oci.Container{Env: append([]string{"CUDA_VERSION=12.4.1"}, env...)})
	nodes := []specs.LinuxDevice{
		{Path: "/dev/nvidia0", Type: "c", Major: 195},
		{Path: "/dev/nvidiactl", Type: "c", Major: 195, Minor: 255},
		{Path: "/dev/nvidia-uvm", Type: "c"},
	}
	request := oci.GPURequest{GPU: true, Injected: true, Route: oci.RouteCDI}
	all, first, named, hook, both := request, request, request, request, request
	all.All, hook.All, hook.Route, hook.NVIDIAHook = true, true, oci.RouteLegacy, true
	first.Minors, named.Devices, both.Minors = []int{0}, []string{"0"}, []int{0, 1}
	return map[string]checks.Launch{
		"all":        {GPUs: all, Needs: needs},
		"first node": {GPUs: first, Needs: compute, Container: &oci.Container{Devices: nodes}},
		"two nodes":  {GPUs: both, Needs: compute, Container: &oci.Container{Devices: nodes}},
		"index 0":    {GPUs: named, Needs: compute},
		"hook":       {GPUs: hook, Needs: compute},
	}
}

// neverRefuses makes facts unknown, each alone and many at random, and wants no refusal that was not there.
func neverRefuses(t *testing.T, name string, facts host.Facts, judge func(host.Facts) Verdict) {
	t.Helper()
	if judge(facts).Verdict == Refuse {
		return
	}
	paths, all := known(&facts)
	try := func(chosen []int) {
		some, where := make([]reflect.Value, len(chosen)), make([]string, len(chosen))
		for i, at := range chosen {
			some[i], where[i] = all[at], paths[at]
		}
		forgotten(some, func() {
			if v := judge(facts); v.Verdict == Refuse {
				t.Fatalf("%s: refused since these are not known: %s\n%s", name, strings.Join(where, " "), Message(v))
			}
		})
	}
	for i := range all {
		try([]int{i})
	}
	random := rand.New(rand.NewPCG(uint64(len(all)), 1))
	for range 10 {
		try(random.Perm(len(all))[:random.IntN(len(all)+1)])
	}
}

// TestUnknownNeverRefuses: what starts on a host starts as well where some of the host's facts could not be read, and
// doctor fails no host for what it could not read.
func TestUnknownNeverRefuses(t *testing.T) {
	for _, folder := range []string{"hosts", "platforms"} {
		files, err := filepath.Glob(filepath.Join(fixture.Root(), "testdata", folder, "*.json"))
		if err != nil || len(files) < 16 {
			t.Fatalf("%d fixtures: %v", len(files), err)
		}
		for _, file := range files {
			if filepath.Base(file) == "stack.json" {
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
				t.Parallel()
				var p platform
				readJSON(t, file, &p)
				reported := p.reportedHost
				if reported.Reverse != nil {
					reported = reported.reversed()
				}
				facts := reported.gather(t, reported.tree(t), true)
				if p.Config != nil {
					launch := p.launch(t, reported.tree(t))
					neverRefuses(t, "its own launch", facts, judging(launch))
				}
				launches := launchesOn(reported.Launch.Env)
				for _, name := range []string{"all", "two nodes", "hook"} {
					if name == "hook" && facts.NVML.Init.Value == 0 && !facts.NVML.CUDA.Known() {
						continue // that NVML tells no CUDA is believed; without NVML a table tells it
					}
					neverRefuses(t, name, facts, judging(launches[name]))
				}
				neverRefuses(t, "doctor", facts, func(f host.Facts) Verdict { return JudgeHost(f, DefaultPolicy()) })
			})
		}
	}
}

func judging(launch checks.Launch) func(host.Facts) Verdict {
	return func(f host.Facts) Verdict { return Judge(f, launch, DefaultPolicy()) }
}
