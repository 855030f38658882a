package cuda

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]Version{
		"12": {12, 0}, "12.4": {12, 4}, "v12.4": {12, 4}, "12.4.1": {12, 4}, "13.3.1.008": {13, 3}, "12.6.20241114": {12, 6},
		"12.10": {12, 10}, "012.04": {12, 4}, "0.0": {}, "99": {99, 0}, "999999999.999999999": {999999999, 999999999},
	} {
		if got, err := ParseVersion(in); err != nil || got != want {
			t.Errorf("ParseVersion(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "v", "vv12", "V12", ".", "12.", ".4", "12..4", "12.4.1.0.0", "12.4-rc1", "12,4", " 12.4", "12.4\n", "-12", "+12", "1e3",
		"12.x", "cu124", "1234567890", "12.1234567890", "١٢.٤", strings.Repeat("9", 1<<16), strings.Repeat("1.", 1<<16),
	} {
		if got, err := ParseVersion(in); err == nil || got != (Version{}) || len(err.Error()) > 300 {
			t.Errorf("ParseVersion(%.20q) = %v, %.300v; want a short error", in, got, err)
		}
	}
}

func TestVersionOrder(t *testing.T) {
	ordered := []Version{{}, {9, 2}, {11, 8}, {12, 0}, {12, 4}, {12, 10}, {13, 0}}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := a.Compare(b); got != sign(i-j) || a.Less(b) != (i < j) {
				t.Errorf("%v against %v: Compare %d, Less %t", a, b, got, a.Less(b))
			}
		}
	}
	if !(Version{}).IsZero() || (Version{12, 0}).IsZero() {
		t.Error("IsZero")
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func TestFromNVML(t *testing.T) {
	for in, want := range map[int]Version{
		12040: {12, 4}, 11080: {11, 8}, 13000: {13, 0}, 12100: {12, 10}, 8000: {8, 0}, 0: {}, -1: {}, 999: {}, -12040: {},
	} {
		if got := FromNVML(in); got != want {
			t.Errorf("FromNVML(%d) = %v, want %v", in, got, want)
		}
	}
}

func TestVersionsInJSON(t *testing.T) {
	type both struct {
		CUDA   Version `json:"cuda"`
		Driver Driver  `json:"driver"`
	}
	const text = `{"cuda":"12.4","driver":"550.54.15"}`
	var v both
	if err := json.Unmarshal([]byte(text), &v); err != nil || v.CUDA != (Version{12, 4}) || v.Driver.Branch() != 550 {
		t.Fatalf("%+v, %v", v, err)
	}
	if out, err := json.Marshal(v); err != nil || string(out) != text {
		t.Errorf("%s, %v", out, err)
	}
	out, err := json.Marshal(both{})
	if err != nil || json.Unmarshal(out, &v) != nil || v != (both{}) {
		t.Errorf("the zero values do not survive JSON: %s, %v, %+v", out, err, v)
	}
	for _, bad := range []string{`{"cuda":"x"}`, `{"driver":"x"}`, `{"cuda":12.4}`, `{"driver":550}`} {
		if json.Unmarshal([]byte(bad), &v) == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestParseDriver(t *testing.T) {
	for in, branch := range map[string]int{
		"535.183.06": 535, "580.142": 580, "550.54.15": 550, "384.81": 384, "570.00": 570, "525.60.11": 525, "198.858": 198, "1000.1": 1000,
	} {
		if d, err := ParseDriver(in); err != nil || d.Branch() != branch || d.String() != in || d.IsZero() {
			t.Errorf("ParseDriver(%q) = %v, %v", in, d, err)
		}
	}
	for _, in := range []string{
		"", "535", "535.", ".183", "535..06", "535.183.06.1", "535.183.06-0ubuntu1", "535.183.06 ", "v535.183.06", "R535.1", "35.3.1",
		"34.1.1", "96.43", "10000.1", "535.x", "535,183", "535.1234567890", strings.Repeat("5", 1<<16), "535.183.06\x00",
	} {
		if d, err := ParseDriver(in); err == nil || !d.IsZero() || len(err.Error()) > 300 {
			t.Errorf("ParseDriver(%.20q) = %v, %.300v; want a short error", in, d, err)
		}
	}
}

func TestDriverOrder(t *testing.T) {
	ordered := []string{"418.87.00", "450.51.06", "450.80.02", "535.54.03", "535.183.06", "550.54.14", "550.54.15", "550.120", "550.127.05", "580.65.06", "580.142"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := mustDriver(t, a).Compare(mustDriver(t, b)); got != sign(i-j) {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
	if mustDriver(t, "455.32").Compare(mustDriver(t, "455.32.00")) != 0 {
		t.Error("455.32 is not 455.32.00")
	}
}

func mustDriver(t *testing.T, s string) Driver {
	t.Helper()
	d, err := ParseDriver(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"12.4", "v13.3.1.008", "12.", "999999999.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			if !v.IsZero() {
				t.Fatalf("%q: %v beside %v", s, v, err)
			}
			return
		}
		if strings.Trim(strings.TrimPrefix(s, "v"), "0123456789.") != "" || v.Major < 0 || v.Minor < 0 {
			t.Fatalf("%q gave %v", s, v)
		}
		if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Fatalf("%q -> %v -> %v, %v", s, v, again, err)
		}
	})
}

func FuzzParseDriver(f *testing.F) {
	for _, s := range []string{"535.183.06", "580.142", "35.3.1", "455.32.00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDriver(s)
		if err != nil {
			if !d.IsZero() {
				t.Fatalf("%q: %v beside %v", s, d, err)
			}
			return
		}
		if strings.Trim(s, "0123456789.") != "" || d.Branch() < 100 || d.String() != s || d.Compare(d) != 0 {
			t.Fatalf("%q gave %v of branch %d", s, d, d.Branch())
		}
	})
}
