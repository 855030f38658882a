package checks_test

import (
	"encoding/json"
	"strings"
	"testing"

	"gpu-preflight/checks"
)

func TestPrintable(t *testing.T) {
	rows := []struct{ text, want string }{
		{"torch 2.9.1+cu130", "torch 2.9.1+cu130"},
		{"Größe ✓ 日本", "Größe ✓ 日本"},
		{"\x1b[2J\x1b]0;owned\a", `\x1b[2J\x1b]0;owned\a`},
		{"a\nrefused: b\r", `a\nrefused: b\r`},
		{"\u009b31m", `\u009b31m`},
		{"\u202egnp", `\u202egnp`},
		{"\xff\xfe\x00", `\xff\xfe\x00`},
		{"\ufffd", "\ufffd"},
		{"\U000e0041", `\U000e0041`},
	}
	for _, row := range rows {
		if got := checks.Printable(row.text); got != row.want {
			t.Errorf("Printable(%q) = %q, want %q", row.text, got, row.want)
		}
	}
	if got := checks.Printable(strings.Repeat("é", 1<<20)); len(got) > 5000 || !strings.HasSuffix(got, "é…") {
		t.Errorf("a text of 2 MiB became one of %d bytes", len(got))
	}
}

func TestEscapeJSON(t *testing.T) {
	plain, err := json.Marshal("a ü ✓ cuda>=12")
	if err != nil {
		t.Fatal(err)
	}
	if got := checks.EscapeJSON(plain); string(got) != string(plain) {
		t.Errorf("EscapeJSON changed %s to %s", plain, got)
	}
	text := "ü\u009b31m\x7f\u202e\ufeff\x1b日"
	data, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	got := checks.EscapeJSON(data)
	if strings.ContainsAny(string(got), "\u009b\x7f\u202e\ufeff\x1b") {
		t.Errorf("EscapeJSON left %q", got)
	}
	var back string
	if err := json.Unmarshal(got, &back); err != nil || back != text {
		t.Errorf("read again: %q, %v, want %q", back, err, text)
	}
}
