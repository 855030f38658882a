package explain

import (
	"regexp"
	"strings"
)

// quoting is what wrappers put around a message: old docker escapes once more on each level, syslog writes a line
// end as #012, and people paste typographic quotes.
var (
	quoting     = strings.NewReplacer("#012", "\n", "’", "'", "‘", "'", "“", `"`, "”", `"`)
	escapedEnd  = regexp.MustCompile(`\\+n([^A-Za-z]|$)`)
	escapedMark = regexp.MustCompile(`\\+(["'])`)
)

// lineHead is what syslog, journald and the kernel put before a message, on continuation lines too.
var lineHead = regexp.MustCompile(`^(?i)\s*(?:(?:[a-z]{3} +\d+ [\d:]+|\d{4}-\d\d-\d\dt\S+) \S+ )?(?:kernel: ?)?(?:\[ *\d+\.\d+\] *)?(?:nvrm: *)?`)

// normal makes one line of a text: without the marks of logs and quoting, one space between words. The patterns look
// at lower(normal(text)), which has the same length.
func normal(text string) string {
	text = escapedEnd.ReplaceAllString(quoting.Replace(text), "\n$1")
	text = escapedMark.ReplaceAllString(text, "$1")
	var words []string
	for line := range strings.Lines(text) {
		words = append(words, strings.Fields(lineHead.ReplaceAllString(line, ""))...)
	}
	return strings.Join(words, " ")
}

// lower makes ASCII letters small and keeps every offset.
func lower(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
