package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"

	"gpu-preflight/checks"
	"gpu-preflight/checks/report"
)

var (
	passed  = checks.Result{ID: "driver-loaded", Title: "the driver is loaded", Layer: checks.Kernel, Status: checks.StatusPass, What: "535.183.06", Source: []string{"/proc/driver/nvidia/version"}}
	skipped = checks.Result{ID: "fabric-state", Title: "the fabric is up", Layer: checks.FabricSys, Status: checks.StatusSkip, What: "no NVSwitch"}
	warned  = checks.Result{ID: "gpu-compute-capability", Title: "the GPU can run the image's code", Layer: checks.Hardware, Status: checks.StatusWarn, What: "no code for 8.9", Why: "PTX may serve"}
	unread  = checks.Result{ID: "nvml-responds", Title: "NVML answers", Layer: checks.Libraries, Status: checks.StatusUnknown, What: "not asked"}
	failed  = checks.Result{
		ID: "cuda-requirement", Title: "the driver meets NVIDIA_REQUIRE_*", Layer: checks.Image, Status: checks.StatusFail,
		What: "it needs CUDA 13.0, but driver 535.183.06 gives 12.2", Why: "CUDA would fail with error 35",
		Fix:   []string{"install driver branch 580 or later", "use an image for CUDA 12"},
		Unmet: []string{"cuda>=13.0"}, CUDA: []int{35}, Source: []string{"NVML"},
	}
	coming = checks.Result{ID: "driver-loaded", Title: "the driver is loaded", Status: checks.StatusFail, Transient: true, What: "not loaded"}
	host   = report.Host{
		Driver: "535.183.06", CUDA: "12.2", Kernel: "6.8.0", OS: "Ubuntu 22.04.5 LTS",
		GPUs: []string{"NVIDIA L4", "NVIDIA A100", "NVIDIA L4"},
	}
	container = report.Container{
		ID: strings.Repeat("0a", 32), Image: "pytorch:2.9", Route: "cdi", GPUs: []string{"all"}, CUDAVersion: "13.0.1",
		Requirements: []string{"NVIDIA_REQUIRE_CUDA=cuda>=13.0"},
	}
)

func text(t *testing.T, r report.Report, s report.Style) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Text(&b, r, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	r := report.Report{
		Verdict: "refuse", Mode: "enforce", Host: host, Container: container,
		Results: []checks.Result{passed, unread, failed, warned, skipped},
	}
	const want = `host       driver 535.183.06, CUDA 12.2, 2 x NVIDIA L4, NVIDIA A100, kernel 6.8.0, Ubuntu 22.04.5 LTS
container  0a0a0a0a0a0a, image pytorch:2.9, asks for GPUs all, by cdi, CUDA_VERSION=13.0.1, NVIDIA_REQUIRE_CUDA=cuda>=13.0

? unknown  NVML answers [nvml-responds]
           not asked
✗ fail     the driver meets NVIDIA_REQUIRE_* [cuda-requirement]
           it needs CUDA 13.0, but driver 535.183.06 gives 12.2
           why: CUDA would fail with error 35
           unmet: cuda>=13.0
           fix: install driver branch 580 or later
           fix: use an image for CUDA 12
! warn     the GPU can run the image's code [gpu-compute-capability]
           no code for 8.9
           why: PTX may serve
✓ 1 passed, 1 skipped

refused: it needs CUDA 13.0, but driver 535.183.06 gives 12.2 [cuda-requirement]
`
	if got := text(t, r, report.Style{}); got != want {
		t.Errorf("Text writes\n%s\nwant\n%s", got, want)
	}
	verbose := text(t, r, report.Style{Verbose: true})
	for _, line := range []string{
		"✓ pass     the driver is loaded [driver-loaded]\n           535.183.06\n           source: /proc/driver/nvidia/version\n",
		"- skip     the fabric is up [fabric-state]\n           no NVSwitch\n", "           source: NVML\n",
	} {
		if !strings.Contains(verbose, line) {
			t.Errorf("verbose text lacks %q:\n%s", line, verbose)
		}
	}
	if strings.Contains(verbose, "1 passed") {
		t.Errorf("verbose text counts what it shows:\n%s", verbose)
	}
	colored := text(t, r, report.Style{Color: true})
	if !strings.Contains(colored, "\x1b[31m✗ fail   \x1b[0m") || stripped(colored) != want {
		t.Errorf("colour changes more than colour: %q", colored)
	}
}

func stripped(text string) string {
	for _, code := range []string{"0", "1", "2", "31", "32", "33", "1;31"} {
		text = strings.ReplaceAll(text, "\x1b["+code+"m", "")
	}
	return text
}

func TestSentence(t *testing.T) {
	other := failed
	other.ID = "cuda-driver-version"
	rows := []struct {
		report report.Report
		want   string
	}{
		{report.Report{Verdict: "allow"}, "starts"},
		{report.Report{Verdict: "allow", Results: []checks.Result{passed, skipped}}, "starts"},
		{report.Report{Verdict: "allow", Results: []checks.Result{unread}}, "starts, with 1 unknown"},
		{report.Report{Verdict: "warn", Results: []checks.Result{warned, warned, unread}}, "starts, with 2 warnings, 1 unknown"},
		{report.Report{Verdict: "warn", Results: []checks.Result{coming}}, "starts, with 1 failure that does not refuse"},
		{report.Report{Verdict: "allow", Mode: "off", Results: []checks.Result{failed}, Reason: "mode off"}, "starts, with 1 failure that does not refuse: mode off"},
		{report.Report{Verdict: "refuse", Results: []checks.Result{coming, warned, unread, failed, other}}, "refused: " + failed.What + " [cuda-requirement, cuda-driver-version]"},
		{report.Report{Verdict: "refuse", Results: []checks.Result{warned, unread}}, "refused: the policy refuses what is unknown: whether " + unread.Title + " (not asked) [nvml-responds]"},
		{report.Report{Verdict: "refuse", Refusing: []string{"cuda-driver-version"}, Results: []checks.Result{unread, failed, other}}, "refused: " + failed.What + " [cuda-driver-version]"},
		{report.Report{Verdict: "refuse", Reason: "said so"}, "refused: said so"},
		{
			report.Report{Verdict: "warn", Mode: "warn", WouldRefuse: true, Results: []checks.Result{failed}},
			"starts, only because of mode warn; mode enforce would refuse it: " + failed.What + " [cuda-requirement]",
		},
		{report.Report{Verdict: "not-gpu"}, "starts: not a GPU launch"},
		{report.Report{Verdict: "exempt", Reason: "namespace kube-system"}, "starts, not judged: namespace kube-system"},
	}
	for _, row := range rows {
		if got := report.Sentence(row.report); got != row.want {
			t.Errorf("Sentence(%+v)\n= %q\nwant %q", row.report, got, row.want)
		}
		if got := text(t, row.report, report.Style{}); !strings.HasSuffix(got, row.want+"\n") {
			t.Errorf("the last line of %q is not %q", got, row.want)
		}
	}
}

// TestHostile: whatever stands in a report, one line stays one line and no terminal is commanded.
func TestHostile(t *testing.T) {
	evil := "x\n✓ pass     all is well\r\x1b[2J\x1b]0;t\a\u009b31m\u202e\xff\x7f"
	all := []string{evil}
	r := report.Report{
		Verdict: "refuse", Mode: evil, Reason: evil, WouldRefuse: true,
		Host:      report.Host{Driver: evil, CUDA: evil, GPUs: all, Kernel: evil, OS: evil, Root: evil},
		Container: report.Container{ID: evil, Image: evil, Route: evil, GPUs: all, CUDAVersion: evil, Requirements: all},
		Results: []checks.Result{
			{ID: evil, Title: evil, Layer: checks.Layer(evil), Status: checks.StatusFail, What: evil, Why: evil, Fix: all, Source: all, Unmet: all},
			{ID: evil, Title: evil, Status: checks.Status(evil), What: evil},
		},
	}
	for _, style := range []report.Style{{}, {Verbose: true}, {Color: true}} {
		got := text(t, r, style)
		if n := strings.Count(got, "\n"); n > 16 {
			t.Errorf("%d lines:\n%s", n, got)
		}
		printableOnly(t, stripped(got))
	}
	var b bytes.Buffer
	if err := report.JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	printableOnly(t, b.String())
	var back report.Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Host.Driver != strings.ToValidUTF8(evil, "\ufffd") {
		t.Errorf("read again: %q, %v", back.Host.Driver, err)
	}
}

func printableOnly(t *testing.T, text string) {
	t.Helper()
	for _, c := range text {
		if c != '\n' && !unicode.IsPrint(c) {
			t.Errorf("%U stands in %q", c, text)
			return
		}
	}
}

// TestTerminal: a file, a pipe and a buffer get no colour.
func TestTerminal(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	env := func(string) string { return "" }
	if report.Terminal(f, env) || report.Terminal(&bytes.Buffer{}, env) {
		t.Error("colour without a terminal")
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if !report.Terminal(terminal, env) {
		t.Error("no colour on a terminal")
	}
	for _, name := range []string{"NO_COLOR", "TERM"} {
		if report.Terminal(terminal, func(asked string) string {
			if asked == name {
				return "dumb"
			}
			return ""
		}) {
			t.Errorf("colour in spite of %s", name)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestWriteErrors(t *testing.T) {
	for name, err := range map[string]error{
		"Text":      report.Text(full{}, report.Report{}, report.Style{}),
		"JSON":      report.JSON(full{}, report.Report{}),
		"FleetText": report.FleetText(full{}, report.Fleet{}, report.Style{}),
		"FleetJSON": report.FleetJSON(full{}, report.Fleet{}),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "write re") {
			t.Errorf("%s on a full disk: %v", name, err)
		}
	}
}
