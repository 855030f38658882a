package report_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"gpu-preflight/checks"
	"gpu-preflight/checks/report"
	"gpu-preflight/testdata/fixture"
)

func written(t testing.TB, format string, r report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Write(&b, format, "check", r, report.Style{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// hostile is a report in which all foreign text is what a hostile GPU name or image environment might be.
func hostile(evil string) report.Report {
	all := []string{evil, evil + "2", evil}
	return report.Report{
		Verdict: "refuse", Mode: "enforce", Reason: evil,
		Host:      report.Host{Driver: evil, CUDA: evil, GPUs: all, Kernel: evil, OS: evil, Root: evil},
		Container: report.Container{ID: evil, Image: evil, GPUs: all, CUDAVersion: evil, Requirements: all},
		Results: []checks.Result{
			{ID: "cuda-requirement", Title: evil, Layer: checks.Image, Status: checks.StatusFail, What: evil, Why: evil, Fix: all},
			{ID: "cuda-requirement", Title: evil, Layer: checks.Image, Status: checks.StatusPass, What: evil},
			{ID: "gpu-present", Title: evil, Layer: checks.Hardware, Status: checks.StatusPass, What: evil},
		},
	}
}

var evilTexts = []string{
	"x\n# TYPE y gauge\ny 1\r\x1b[2J\u009b31m\u202e\xff\x7f", `a"b\c\n`, "OK | fail=0", "a=b\n# +no-label\nc=d", "é\u2028漢字", "", " ", "-_.",
	strings.Repeat("|", 5000), strings.Repeat("漢", 3000), `\`, `"`, "{}", "'", strings.Repeat(`\"`, 100),
}

// families reads what a textfile collector would read.
func families(t testing.TB, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	found, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return found
}

func labels(m *dto.Metric) map[string]string {
	found := map[string]string{}
	for _, pair := range m.GetLabel() {
		found[pair.GetName()] = pair.GetValue()
	}
	return found
}

// TestPrometheus: Prometheus' own reader and linter take the text, no series stands twice or carries a time, and
// labels come out as they went in.
func TestPrometheus(t *testing.T) {
	r := report.Report{Verdict: "refuse", Host: host, Container: container, Results: []checks.Result{passed, unread, failed, warned, skipped}}
	r.Host.GPUs = append(r.Host.GPUs, `"odd" \name`)
	text := written(t, "prometheus", r)
	if problems, err := promlint.New(strings.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	found := families(t, text)
	for series, want := range map[string]float64{
		`gpu_preflight_verdict verdict=refuse`: 1, `gpu_preflight_verdict verdict=allow`: 0,
		`gpu_preflight_check_status id=cuda-requirement layer=image status=fail`: 1, `gpu_preflight_check_status id=cuda-requirement layer=image status=pass`: 0,
		`gpu_preflight_results status=pass`: 1, `gpu_preflight_would_refuse`: 0, `gpu_preflight_gpus gpu=NVIDIA L4`: 2,
		`gpu_preflight_gpus gpu="odd" \name`: 1, `gpu_preflight_host_info driver=535.183.06 cuda=12.2 kernel=6.8.0 os=Ubuntu 22.04.5 LTS`: 1,
	} {
		if got, ok := value(found, series); !ok || got != want {
			t.Errorf("%s is %v, %t; want %v", series, got, ok, want)
		}
	}
	if strings.Contains(text, container.Image) || strings.Contains(text, container.ID) {
		t.Error("container and image would be new series at every launch")
	}
}

// value is the one sample of a family that has these labels and the command's.
func value(found map[string]*dto.MetricFamily, series string) (float64, bool) {
	name, want, _ := strings.Cut(series, " ")
	for _, m := range found[name].GetMetric() {
		all := true
		pairs := labels(m)
		for key, label := range pairs {
			all = all && (key == "command" && label == "check" || strings.Contains(" "+want+" ", " "+key+"="+label+" "))
		}
		if all && len(pairs) == strings.Count(want, "=")+1 && m.TimestampMs == nil {
			return m.GetGauge().GetValue(), true
		}
	}
	return 0, false
}

func checkPrometheus(t *testing.T, evil string) {
	seen := map[string]bool{}
	for name, family := range families(t, written(t, "prometheus", hostile(evil))) {
		if !strings.HasPrefix(name, "gpu_preflight_") || family.GetType() != dto.MetricType_GAUGE || family.GetHelp() == "" {
			t.Errorf("%q: family %s is not ours", evil, name)
		}
		for _, m := range family.GetMetric() {
			if key := m.String(); seen[name+key] {
				t.Errorf("%q: %s %s stands twice", evil, name, key)
			} else {
				seen[name+key] = true
			}
			for key, label := range labels(m) {
				if len(label) > 1024 || strings.ContainsFunc(label, unicode.IsControl) {
					t.Errorf("%q: label %s is %q", evil, key, label)
				}
			}
		}
	}
}

// checkLine: one line of printable ASCII.
func checkLine(t *testing.T, evil, text string, limit int) {
	t.Helper()
	line, ended := strings.CutSuffix(text, "\n")
	if !ended || line == "" || len(line) > limit || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) {
		t.Errorf("%q gives %q, %d bytes", evil, text, len(line))
	}
}

var perfdata = regexp.MustCompile(`^[^|]* \|( (fail|warn|unknown|pass|skip)=\d+;\d*;\d*;0;\d+){5}\n$`)

var featureLine = regexp.MustCompile(`^(# gpu-preflight check|# \+no-label|(feature\.node\.kubernetes\.io/)?gpu-preflight\.[a-z0-9.-]{1,49}=[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)$`)

func checkAll(t *testing.T, evil string) {
	t.Helper()
	checkPrometheus(t, evil)
	checkLine(t, evil, written(t, "npd", hostile(evil)), 80)
	nagios := written(t, "nagios", hostile(evil))
	checkLine(t, evil, nagios, 1000)
	if !perfdata.MatchString(nagios) {
		t.Errorf("%q: performance data: %q", evil, nagios)
	}
	features := written(t, "nfd", hostile(evil))
	if len(features) > 64<<10 {
		t.Errorf("%q: %d bytes of features", evil, len(features))
	}
	for line := range strings.Lines(features) {
		if !featureLine.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("%q: feature %q", evil, line)
		}
	}
}

// TestForeignText: whatever a GPU or an image is called, each format stays what its reader expects.
func TestForeignText(t *testing.T) {
	for _, evil := range evilTexts {
		checkAll(t, evil)
	}
}

// TestUnjudged: an error is one line where a monitor reads one.
func TestUnjudged(t *testing.T) {
	for _, evil := range evilTexts {
		err := errors.New(evil)
		checkLine(t, evil, report.Unjudged("npd", "check", err), 80)
		line := report.Unjudged("nagios", "check", err)
		checkLine(t, evil, line, 1000)
		if strings.Contains(line, "|") {
			t.Errorf("%q begins performance data", line)
		}
		for _, format := range []string{"text", "json", "prometheus", "nfd"} {
			if report.Unjudged(format, "check", err) != "" {
				t.Errorf("%s has no line for an error", format)
			}
		}
	}
}

func FuzzForeignText(f *testing.F) {
	for _, evil := range evilTexts {
		f.Add(evil)
	}
	f.Fuzz(checkAll)
}

// TestLines: what npd and nagios say, and the codes of Nagios.
func TestLines(t *testing.T) {
	other := failed
	other.ID = "cuda-driver-version"
	rows := []struct {
		report      report.Report
		npd, nagios string
		code        int
	}{
		{report.Report{Verdict: "allow", Results: []checks.Result{passed, skipped}}, "allow: 1 passed, 1 skipped", "OK: 1 passed, 1 skipped", report.NagiosOK},
		{report.Report{Verdict: "allow", Results: []checks.Result{passed, unread}}, "unknown nvml-responds: not asked", "UNKNOWN: not asked [nvml-responds]", report.NagiosUnknown},
		{report.Report{Verdict: "warn", Results: []checks.Result{unread, warned}}, "warn gpu-compute-capability: no code for 8.9", "WARNING: no code for 8.9 [gpu-compute-capability]", report.NagiosWarning},
		{
			report.Report{Verdict: "refuse", Results: []checks.Result{coming, warned, unread, failed, other}},
			"fail cuda-requirement: it needs CUDA 13.0, but driver 535.183.06 gives 12.2",
			"CRITICAL: it needs CUDA 13.0, but driver 535.183.06 gives 12.2 [cuda-requirement, cuda-driver-version]", report.NagiosCritical,
		},
		{report.Report{Verdict: "refuse", Results: []checks.Result{warned, unread}}, "unknown nvml-responds: not asked", "CRITICAL: not asked [nvml-responds]", report.NagiosCritical},
		{report.Report{Verdict: "warn", WouldRefuse: true, Results: []checks.Result{failed}}, "fail cuda-requirement: it needs CUDA 13.0, but driver 535.183.06 gives 12.2", "WARNING: it needs CUDA 13.0, but driver 535.183.06 gives 12.2 [cuda-requirement]", report.NagiosWarning},
		{report.Report{Verdict: "warn", Results: []checks.Result{coming}}, "fail driver-loaded: not loaded", "WARNING: not loaded [driver-loaded]", report.NagiosWarning},
		{report.Report{Verdict: "allow", Mode: "off", Results: []checks.Result{failed}}, "fail cuda-requirement: it needs CUDA 13.0, but driver 535.183.06 gives 12.2", "WARNING: it needs CUDA 13.0, but driver 535.183.06 gives 12.2 [cuda-requirement]", report.NagiosWarning},
		{
			report.Report{Verdict: "refuse", Cause: []string{"cuda-driver-version"}, Results: []checks.Result{failed, other}},
			"fail cuda-driver-version: it needs CUDA 13.0, but driver 535.183.06 gives 12.2",
			"CRITICAL: it needs CUDA 13.0, but driver 535.183.06 gives 12.2 [cuda-driver-version, cuda-requirement]", report.NagiosCritical,
		},
		{report.Report{Verdict: "exempt", Reason: "namespace kube-system"}, "exempt: namespace kube-system", "OK: namespace kube-system", report.NagiosOK},
	}
	for _, row := range rows {
		if got := written(t, "npd", row.report); got != row.npd+"\n" {
			t.Errorf("npd of %+v\n%q\nwant %q", row.report, got, row.npd)
		}
		if got := written(t, "nagios", row.report); !strings.HasPrefix(got, "GPU CHECK "+row.nagios+" | fail=") {
			t.Errorf("nagios of %+v\n%q\nwant %q", row.report, got, row.nagios)
		}
		if got := report.NagiosCode(row.report); got != row.code {
			t.Errorf("NagiosCode of %+v is %d, want %d", row.report, got, row.code)
		}
	}
}

// TestFormatGolden: what monitors were set up for stays as it is.
func TestFormatGolden(t *testing.T) {
	r := report.Report{Verdict: "refuse", Host: host, Container: container, Results: []checks.Result{passed, unread, failed, warned, skipped}}
	for _, format := range []string{"prometheus", "npd", "nagios", "nfd"} {
		path := filepath.Join(fixture.Root(), "testdata", "formats", format+".golden")
		got := written(t, format, r)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not %s (go test ./checks/report -update writes it):\n%s", format, path, got)
		}
	}
}

// TestFormats: each format has its writer, an unknown one is an error.
func TestFormats(t *testing.T) {
	for _, format := range report.Formats {
		if written(t, format, report.Report{Verdict: "allow"}) == "" {
			t.Errorf("%s: nothing", format)
		}
		if err := report.Write(full{}, format, "check", report.Report{}, report.Style{}); err == nil || !strings.HasPrefix(err.Error(), "write report: no space") {
			t.Errorf("%s on a full disk: %v", format, err)
		}
	}
	if err := report.Write(&bytes.Buffer{}, "xml", "check", report.Report{}, report.Style{}); err == nil {
		t.Error("xml is no format")
	}
}
