package explain_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"gpu-preflight/checks/explain"
)

// maxAnswer bounds what is written of any text, in bytes.
const maxAnswer = 64 << 10

// written is the answer as people get it; it has to be fit for a terminal.
func written(t *testing.T, text string) string {
	t.Helper()
	a := explain.Text(text)
	var b strings.Builder
	if err := explain.Write(&b, a); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	if len(out) > maxAnswer || !utf8.ValidString(out) {
		t.Errorf("%d bytes, or broken: %.200q", len(out), out)
	}
	for _, r := range out {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%q reaches the terminal of %.200q", r, text)
		}
	}
	data, err := json.Marshal(a)
	if err != nil || len(data) > maxAnswer {
		t.Errorf("%d bytes of JSON, %v", len(data), err)
	}
	return out
}

// TestHostile: control characters are escaped, long texts cut, and many findings named only.
func TestHostile(t *testing.T) {
	out := written(t, "Xid \x1b[31m 79 nvml error: unknown error \x1b]0;title\x07 stat nvidia.com/gpu=\x1b[2J\u202e: no such file or directory")
	if !strings.Contains(out, `\x1b[2J\u202e`) {
		t.Errorf("the escape is not shown:\n%s", out)
	}
	var all strings.Builder
	for _, want := range expectations(t) {
		if text, ok := strings.CutPrefix(want.text, "say: "); ok {
			all.WriteString(text + "\n")
		}
	}
	a := explain.Text(all.String())
	if len(a.Entries) != 12 || len(a.More) < 10 {
		t.Errorf("%d findings told, %d named", len(a.Entries), len(a.More))
	}
	long := strings.Repeat("x", explain.MaxText) + " Xid 79"
	if a = explain.Text(long); !a.Cut || len(a.Entries) != 0 {
		t.Errorf("what is beyond the bound was read: %v, %d findings", a.Cut, len(a.Entries))
	}
	written(t, strings.Repeat("Xid 9 error 803 \\\\\\n\\\"#012", explain.MaxText/20))
}

func FuzzText(f *testing.F) {
	for _, want := range expectations(f) {
		text, _ := strings.CutPrefix(want.text, "say: ")
		f.Add(text)
	}
	f.Add("\xff\x00[803]\u2028")
	f.Fuzz(func(t *testing.T, text string) {
		written(t, text)
		first, again := explain.Text(text), explain.Text(text)
		if keysOf(first) != keysOf(again) {
			t.Errorf("%s and %s of one text", keysOf(first), keysOf(again))
		}
	})
}
