package oci_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gpu-preflight/oci"
	"gpu-preflight/testdata/fixture"
)

// redacted stands for the UUIDs that the corpus shows only as <uuid>, in the files and in the expectations alike.
const redacted = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"

// expectation is one row of testdata/corpus.tsv.
type expectation struct{ file, judgedAs, gpu, route, gpus, words string }

func expectations(t *testing.T) []expectation {
	t.Helper()
	f, err := os.Open(filepath.Join(fixture.Root(), "testdata", "corpus.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, 6
	records, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]expectation, 0, len(records))
	for _, x := range records[1:] {
		rows = append(rows, expectation{x[0], x[1], x[2], x[3], strings.ReplaceAll(x[4], "<uuid>", redacted), x[5]})
	}
	return rows
}

// TestCorpusIsJudgedAsWrittenDown compares the judge with what was written down by hand before it existed.
func TestCorpusIsJudgedAsWrittenDown(t *testing.T) {
	bundles := filepath.Join(fixture.Corpus(t), "bundles")
	for _, want := range expectations(t) {
		if want.judgedAs == "none" {
			continue
		}
		t.Run(want.file, func(t *testing.T) {
			config := configFor(t, bundles, want)
			compare(t, want, judge(t, config))
			if want.gpu == "undecidable" && want.route == string(oci.RouteLegacy) {
				addEnv(config, "NVIDIA_VISIBLE_DEVICES=all")
				compare(t, expectation{gpu: "yes", route: want.route, gpus: "all"}, judge(t, config))
				addEnv(config, "NVIDIA_VISIBLE_DEVICES=void")
				compare(t, expectation{gpu: "no"}, judge(t, config))
			}
		})
	}
}

// TestEveryFileOfTheCorpusHasAnExpectation keeps a new file from being left out in silence.
func TestEveryFileOfTheCorpusHasAnExpectation(t *testing.T) {
	bundles := filepath.Join(fixture.Corpus(t), "bundles")
	written := map[string]bool{}
	for _, e := range expectations(t) {
		file, _, _ := strings.Cut(e.file, "#")
		written[file] = true
	}
	for _, dir := range []string{"config", "cdi"} {
		entries, err := os.ReadDir(filepath.Join(bundles, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := dir + "/" + e.Name(); !strings.HasSuffix(name, ".source") && !written[name] {
				t.Errorf("%s: no row in testdata/corpus.tsv", name)
			}
		}
	}
}

// judge runs config through the product's own reader. The toolkit has its default configuration and the
// host gave uvm and the capabilities the majors that numbered uses.
func judge(t *testing.T, config map[string]any) oci.GPURequest {
	t.Helper()
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	bundle := t.TempDir()
	if err = os.WriteFile(filepath.Join(bundle, "config.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := oci.LoadContainer(bundle)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	return oci.FindGPUs(c, oci.Host{
		Majors: func() (map[string]int, error) {
			return map[string]int{"nvidia": 195, "nvidia-uvm": 511, "nvidia-caps": 239}, nil
		},
		Toolkit: func() (oci.Toolkit, error) { return oci.ReadToolkit(root) },
	})
}

// compare holds the answer against the row. Undecidable parts must not be taken for a GPU launch: nothing in
// them proves one.
func compare(t *testing.T, want expectation, got oci.GPURequest) {
	t.Helper()
	if judged := got.GPU && got.NotJudged == ""; judged != (want.gpu == "yes") {
		t.Fatalf("GPU launch = %t (not judged: %q, reasons %q), want %s: %s",
			judged, got.NotJudged, got.Reasons, want.gpu, want.words)
	}
	if want.gpu != "yes" {
		return
	}
	route := got.Route
	if route == oci.RouteJITCDI { // The final configuration does not tell the two apart.
		route = oci.RouteCDI
	}
	if wanted := oci.Route(strings.TrimPrefix(want.route, "-")); route != wanted {
		t.Errorf("route = %q, want %q: %s", route, wanted, want.words)
	}
	if got.Injected != (want.route != "-") {
		t.Errorf("injected = %t, want %t: %s", got.Injected, want.route != "-", want.words)
	}
	if names := named(got); names != want.gpus && (want.gpus != "-" || names != "all") {
		t.Errorf("GPUs = %s, want %s: %s", names, want.gpus, want.words)
	}
}

// named writes the GPUs of a request as the column gpus does; "all" and "-" (none named) are one where nothing
// in a configuration names a GPU.
func named(r oci.GPURequest) string {
	if r.All {
		return "all"
	}
	var names []string
	for _, d := range r.Devices {
		if isGPUName(d) {
			names = append(names, d)
		} else {
			names = append(names, "unknown:"+d)
		}
	}
	for _, m := range r.Minors {
		names = append(names, "minor:"+strconv.Itoa(m))
	}
	for _, c := range r.MIGCaps {
		names = append(names, "cap:"+strconv.Itoa(c))
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ",")
}

// isGPUName tells the forms by which NVIDIA's tools name a GPU: an index, MIG by index, or a UUID's beginning.
func isGPUName(s string) bool {
	return strings.HasPrefix(s, "GPU-") || strings.HasPrefix(s, "MIG-") || strings.Trim(s, "0123456789:") == ""
}
