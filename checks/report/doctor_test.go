package report_test

import (
	"bytes"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/checks/report"
)

// TestDoctor: the machine, the layers in their order, the questions, and the verdict last.
func TestDoctor(t *testing.T) {
	r := report.Report{
		Host:      report.Host{GPUs: []string{"NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"}, Driver: "550.54.15", CUDA: "12.4", OS: "Ubuntu 22.04", Kernel: "5.15.0-91"},
		Use:       "an NVSwitch system",
		Results:   []checks.Result{passed, skipped, unread},
		Questions: []checks.Answer{{Question: "which kernel runs?", Answer: "5.15.0-91\x1b[31m", Command: "uname -r"}},
	}
	write := func(s report.Style) string {
		var b bytes.Buffer
		if err := report.Doctor(&b, r, "", s); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	text := write(report.Style{})
	inOrder(t, text, "2x NVIDIA H100 80GB HBM3, driver 550.54.15, CUDA 12.4, Ubuntu 22.04, kernel 5.15.0-91\n", "used as an NVSwitch system\n",
		"hardware", "kernel modules", "1 passed", "libraries", "[nvml-responds]", "utilities", "packages", "fabric", "1 does not apply", "container side",
		"which kernel runs?", `5.15.0-91\x1b[31m (uname -r)`, "nothing is wrong in what could be read; 1 check is unknown\n")
	if strings.Contains(text, "\x1b") || strings.Contains(text, "[driver-loaded]") {
		t.Errorf("an escape, or a passed check:\n%s", text)
	}
	inOrder(t, write(report.Style{Verbose: true}), "[driver-loaded]", "source: /proc/driver/nvidia/version", "[fabric-state]")
	for want, results := range map[string][]checks.Result{
		"healthy: GPU containers can run here":                            {passed, skipped},
		"nothing stops GPU containers; 1 warning, first [gpu-compute-cap": {passed, warned},
		"GPU containers cannot run here: it needs CUDA 13.0":              {warned, failed},
	} {
		r.Results = results
		if got := report.Diagnosis(r); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	// What is unknown for one reason is told with it once; --verbose keeps each with its own.
	other := unread
	other.ID, other.Title = "library-copies", "no copies"
	r.Results = []checks.Result{unread, passed, other}
	if text = write(report.Style{}); strings.Count(text, unread.What) != 1 {
		t.Errorf("the same reason twice:\n%s", text)
	}
	inOrder(t, text, "[nvml-responds]", "[library-copies]", unread.What)
	if text = write(report.Style{Verbose: true}); strings.Count(text, unread.What) != 2 {
		t.Errorf("a reason is missing:\n%s", text)
	}
	var b bytes.Buffer
	if err := report.Doctor(&b, report.Report{}, "why", report.Style{}); err != nil || b.String() != "no NVIDIA GPU\nwhy\nnothing to judge\n" {
		t.Errorf("nothing to judge, %v: %q", err, b.String())
	}
}

func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			t.Fatalf("no %q after what comes before it in\n%s", part, text)
		}
		rest = after
	}
}
