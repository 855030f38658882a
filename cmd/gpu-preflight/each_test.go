package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"gpu-preflight/checks"
	"gpu-preflight/testdata/fixture"
)

// TestEveryCheckHasItsStory: each check is seen through the program where it holds, where it does not, and where
// nobody knows.
func TestEveryCheckHasItsStory(t *testing.T) {
	for _, check := range checks.All() {
		name := "each-" + check.ID + ".txtar"
		story, err := os.ReadFile(filepath.Join(fixture.Root(), "testdata", "cases", name))
		if err != nil {
			t.Errorf("testdata/cases/%s is missing: %s has no story of pass, unknown, and warn or fail", name, check.ID)
			continue
		}
		for _, status := range []string{"pass", "unknown", "(warn|fail)"} {
			if withoutStatus[check.ID+" "+status] != "" {
				continue
			}
			shows := regexp.MustCompile(`(?m)^stdout '\S+ ` + status + ` .*` + regexp.QuoteMeta(`\[`+check.ID+`\]`) + `'`)
			if !shows.Match(story) {
				t.Errorf("testdata/cases/%s shows no host or launch where %s is %s", name, check.ID, status)
			}
		}
	}
}

// withoutStatus are the statuses that a check cannot have, with the reason.
var withoutStatus = map[string]string{
	"gpu-injected unknown": "it judges the launch's own configuration, which is read or the launch is not judged at all",
}
