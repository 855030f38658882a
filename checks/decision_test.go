package checks

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gpu-preflight/checks/cuda"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
	"gpu-preflight/testdata/fixture"
)

// The questions that testdata/decision.tsv answers.
var (
	askedCUDA = strings.Fields("10.2 11.0 11.1 11.2 11.3 11.4 11.5 11.6 11.7 11.8 12.0 12.1 12.2 12.3 12.4 12.5 12.6 12.8 12.9 13.0 13.1 13.2 13.3 13.4")
	hosts     = strings.Fields("418=10.1 440=10.2 450=11.0 455=11.1 460=11.2 465=11.3 470=11.4 495=11.5 510=11.6 515=11.7 520=11.8 " +
		"525=12.0 530=12.1 535=12.2 545=12.3 550=12.4 555=12.5 560=12.6 565=12.7 570=12.8 575=12.9 580=13.0 590=13.1 595=13.2 610=13.3 615=13.4 620=13.5")
	classes = map[string][]string{"data": {"TESLA", "NVIDIA"}, "geforce": {"GEFORCE", "GEFORCE_RTX", "TITAN"}, "workstation": {"QUADRO"}}
)

// decision is a line of testdata/decision.tsv.
type decision struct {
	cudaFrom, cudaTo     cuda.Version
	branchFrom, branchTo int
	class, compat, route string // *: any; route: several with commas
	answer               answer
}

func readDecisions(t *testing.T) []decision {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fixture.Root(), "testdata/decision.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]answer{"native": native, "limited": limited, "forward": forward, "cannot": cannot, "unknown": undecided}
	var list []decision
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSpace(line), "\t")
		a, ok := answers[f[7]]
		if len(f) != 9 || !ok {
			t.Fatalf("line %q", line)
		}
		list = append(list, decision{version(t, f[0]), version(t, f[1]), number(t, f[2]), number(t, f[3]), f[4], f[5], f[6], a})
	}
	return list
}

func version(t *testing.T, text string) cuda.Version {
	t.Helper()
	v, err := cuda.ParseVersion(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (d decision) covers(need cuda.Version, branch int, class, compat, route string) bool {
	return !need.Less(d.cudaFrom) && !d.cudaTo.Less(need) && branch >= d.branchFrom && branch <= d.branchTo &&
		(d.class == "*" || d.class == class) && (d.compat == "*" || d.compat == compat) &&
		(d.route == "*" || slices.Contains(strings.Split(d.route, ","), route))
}

// TestDecisions: every CUDA from 10.2 to 13.4 on every branch from 418 to 620, for each class of GPU, with and without
// the compatibility library of that CUDA, by each route, is answered as testdata/decision.tsv says, whether NVML tells the host's CUDA or only
// the driver's branch does.
func TestDecisions(t *testing.T) {
	decisions := readDecisions(t)
	for _, text := range askedCUDA {
		need := version(t, text)
		for _, h := range hosts {
			branchText, hostCUDA, _ := strings.Cut(h, "=")
			branch := number(t, branchText)
			for class, brands := range classes {
				for _, route := range routes {
					for _, compat := range []string{"own", "none", "unread"} {
						want := answerIn(t, decisions, need, branch, class, compat, route)
						for _, brand := range brands {
							f := healthy()
							gpus(1, board{"a GPU", brand, "8.0", "20b0"})(&f)
							driver(branchText+".99.01", hostCUDA)(&f)
							takeRoute(&f, route, compat, libraryOf(t, text))
							if got := f.answerFor(need); got.answer != want {
								t.Errorf("CUDA %s, driver %d, %s, library %s, %s: answer %d (%s), want %d", text, branch, brand, compat, route, got.answer, got.why, want)
							}
							f.Host.NVML.CUDA, f.Host.NVML.Init = missing[string](), missing[int]()
							if got := f.answerFor(need); got.answer != want {
								t.Errorf("CUDA %s, driver %d without NVML, %s, library %s, %s: answer %d (%s), want %d", text, branch, brand, compat, route, got.answer, got.why, want)
							}
						}
					}
				}
			}
		}
	}
}

// routes are the ways by which the image's library may come before the driver's.
var routes = []string{"legacy", "hook", "path", "plain"}

// takeRoute makes a launch of a Python whose image has a compatibility library, or none, on a route.
func takeRoute(f *Facts, route, compat, version string) {
	own := image.CompatLibrary{Path: "/usr/local/cuda/compat/libcuda.so." + version, Version: version}
	loader := image.Loader{Cache: true}
	f.Launch.Needs.Compat = image.Compat{Read: compat != "unread", Loader: &loader}
	if compat == "own" {
		f.Launch.Needs.Compat.Libraries, loader.Toolkit = []image.CompatLibrary{own}, []image.CompatLibrary{own}
	}
	f.Launch.GPUs.Forward = oci.Forward{UpdatesCache: true}
	switch route {
	case "legacy":
		legacyHook(f)
		f.Launch.GPUs.Forward = oci.Forward{Mode: "ldconfig"}
	case "hook":
		f.Launch.GPUs.Forward.Hook, f.Launch.GPUs.Forward.HostDriver = true, f.Host.Driver.Version.Value
	case "path":
		loader.Path = []image.Candidate{{Folder: "/usr/local/cuda/compat"}}
		if compat == "own" {
			loader.Path[0].Library = &own
		}
	}
}

// answerIn is the one line for a question.
func answerIn(t *testing.T, decisions []decision, need cuda.Version, branch int, class, compat, route string) answer {
	t.Helper()
	var found []answer
	for _, d := range decisions {
		if d.covers(need, branch, class, compat, route) {
			found = append(found, d.answer)
		}
	}
	if len(found) != 1 {
		t.Fatalf("CUDA %s, branch %d, %s, library %s, route %s: %d lines", need, branch, class, compat, route, len(found))
	}
	return found[0]
}

// libraryOf is the version of the compatibility library of a CUDA version: it comes with the driver that brings it.
func libraryOf(t *testing.T, cudaVersion string) string {
	t.Helper()
	for _, h := range hosts {
		if branch, brings, _ := strings.Cut(h, "="); brings == cudaVersion {
			return branch + ".88.01"
		}
	}
	t.Fatalf("no branch brings CUDA %s", cudaVersion)
	return ""
}
