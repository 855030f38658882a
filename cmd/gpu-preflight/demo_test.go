package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/hook"
	"gpu-preflight/testdata/fixture"
)

// TestDemoStories: each story ends as it says, and stands for a host that is in testdata/hosts under that report.
func TestDemoStories(t *testing.T) {
	stories, err := readStories()
	if err != nil {
		t.Fatal(err)
	}
	if len(stories) < 6 {
		t.Errorf("%d stories", len(stories))
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			j, err := s.judge(t.Context(), hook.DefaultPolicy())
			if err != nil {
				t.Fatal(err)
			}
			if j.verdict.Verdict != s.Verdict {
				t.Errorf("verdict %s, want %s: %+v", j.verdict.Verdict, s.Verdict, j.verdict.Results)
			}
			if got := reportOf(t, s.StandsFor); got != s.Report {
				t.Errorf("the host was reported in %q, not in %q", got, s.Report)
			}
			if want := expectedCheck(t, s.StandsFor); s.Verdict == hook.Refuse && want != "-" && want != firstFailure(j.verdict) {
				t.Errorf("refused by %s; the report wants %s", firstFailure(j.verdict), want)
			}
			if strings.TrimSpace(s.Added) == "" {
				t.Error("it does not say what was added")
			}
		})
	}
}

func reportOf(t *testing.T, id string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(fixture.Root(), "testdata", "hosts", id+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var host struct{ Source string }
	if err := json.Unmarshal(text, &host); err != nil {
		t.Fatal(err)
	}
	return host.Source
}

// expectedCheck is the check that has to refuse on this host.
func expectedCheck(t *testing.T, id string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(fixture.Root(), "testdata", "hosts", "expected.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(line, "\t"); fields[0] == id {
			return fields[3]
		}
	}
	t.Fatalf("%s is not in expected.tsv", id)
	return ""
}

func firstFailure(v hook.Verdict) string {
	for _, r := range v.Results {
		if r.Status == checks.StatusFail {
			return r.ID
		}
	}
	return ""
}
