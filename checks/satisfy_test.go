package checks

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/oci/image"
	"gpu-preflight/testdata/fixture"
)

func (o outcome) String() string {
	return [...]string{satisfied: "pass", unsatisfied: "fail", invalid: "invalid"}[o]
}

func requirement(expression string) image.Requirement {
	return image.ParseRequirement("NVIDIA_REQUIRE_CUDA", expression)
}

// TestSatisfy has at least one row for each rule of the language.
func TestSatisfy(t *testing.T) {
	h100 := requireFacts{CUDA: "12.4", Driver: "550.54.15", Arch: "9.0", Brand: "NVIDIA"}
	long := strings.Repeat("0", 130)
	for _, tt := range []struct {
		expression string
		facts      requireFacts
		want       string
	}{
		// Nothing required.
		{"", h100, "pass"},
		{"  ", h100, "pass"},
		{",", h100, "pass"},
		// Versions, component by component.
		{"cuda>=12.4", h100, "pass"},
		{"cuda>=12.10", h100, "fail"},
		{"cuda>=9.0", h100, "pass"},
		{"cuda>=12.4.0", h100, "pass"},
		{"cuda=12.4.0.0", h100, "pass"},
		{"cuda=12", h100, "fail"},
		{"cuda>12", h100, "pass"},
		{"cuda<12.4.1", h100, "pass"},
		{"cuda<=12.3", h100, "fail"},
		{"cuda!=12.4", h100, "fail"},
		{"cuda>=012..4.", h100, "pass"},
		{"driver>=550.54.9", h100, "pass"},
		{"driver=550.054.15", h100, "pass"},
		{"driver>550", requireFacts{Driver: "550.00"}, "fail"},
		{"arch=9", h100, "pass"},
		{"arch>=10.0", h100, "fail"},
		// Operators.
		{"cuda!12", h100, "pass"},
		{"cuda==12.4", h100, "invalid"},
		{"cuda=>12.4", h100, "invalid"},
		// Names and brands in any case; the brand is libnvidia-container's.
		{"CUDA>=12.4", h100, "pass"},
		{"brand=UNKNOWN", h100, "pass"},
		{"brand=nvidia", h100, "fail"},
		{"brand=tesla", requireFacts{Brand: "TESLA"}, "pass"},
		{"brand!=tesla", requireFacts{Brand: "Tesla"}, "fail"},
		{"brand=geforce", requireFacts{Brand: "GEFORCE_RTX"}, "fail"},
		{"brand=teſla", requireFacts{Brand: "Tesla"}, "fail"},
		{"brand>=tesla", h100, "invalid"},
		// OR and AND.
		{"cuda>=99 driver>=550,driver<551", h100, "pass"},
		{"cuda>=99 brand=tesla,driver>=550,driver<551", h100, "fail"},
		{"cuda>=99,driver>=1", h100, "fail"},
		{"cuda>=12.4,,driver>=1", h100, "pass"},
		// An invalid factor counts when it is reached.
		{"cuda>=12.4 foo=bar", h100, "pass"},
		{"foo=bar cuda>=12.4", h100, "invalid"},
		{"cuda>=99 foo=bar", h100, "invalid"},
		{"cuda>=99,foo=bar", h100, "fail"},
		{"cuda>=12.4\tdriver>=550", h100, "invalid"},
		{"cuda>=12.4-rc1", h100, "invalid"},
		// A token of commas ends the expression.
		{"cuda>=99 , driver>=1", h100, "fail"},
		{", cuda>=99", h100, "pass"},
		// An unknown fact holds, even beside a value that no host could compare; an unknown name never does.
		{"driver>=999", requireFacts{CUDA: "12.4"}, "pass"},
		{"driver>=x,brand>=tesla", requireFacts{}, "pass"},
		{"foo=bar", requireFacts{}, "invalid"},
		// Numbers of 64 bits, looked at only when they decide.
		{"cuda>=12.18446744073709551615", h100, "invalid"},
		{"cuda>=13.18446744073709551615", h100, "fail"},
		{"driver>=550", requireFacts{Driver: "550.54-custom"}, "invalid"},
		// The length of a factor counts only when it is not met.
		{"cuda=12." + long + "4", h100, "pass"},
		{"cuda=12." + long + "5", h100, "invalid"},
		{"cuda=12." + long[:116] + "5", h100, "fail"},
		{"cuda=12." + long[:117] + "5", h100, "invalid"},
		{strings.Repeat("cuda>=1 ", 10_000), h100, "invalid"},
	} {
		r := requirement(tt.expression)
		got, unmet, why := satisfy(r, tt.facts)
		if got.String() != tt.want {
			t.Errorf("%.80q with %+v: %s, want %s", tt.expression, tt.facts, got, tt.want)
		}
		if (why != "") != (got == invalid) || (got == satisfied) != (unmet == nil && got != invalid) {
			t.Errorf("%.80q: %s with unmet %q and why %q", tt.expression, got, unmet, why)
		}
	}
}

func TestSatisfyNamesWhatIsUnmet(t *testing.T) {
	facts := requireFacts{CUDA: "12.2", Driver: "535.183.06", Brand: "GEFORCE"}
	result, unmet, why := satisfy(requirement("cuda>=12.9 brand=tesla,driver>=535 driver>=570,,"), facts)
	if want := []string{"cuda>=12.9", "brand=tesla,driver>=535", "driver>=570,,"}; result != unsatisfied || !slices.Equal(unmet, want) || why != "" {
		t.Errorf("%s %q %q, want %q", result, unmet, why, want)
	}
	result, unmet, why = satisfy(requirement("cuda>=12.9 cuda driver>=535"), facts)
	if result != invalid || !slices.Equal(unmet, []string{"cuda>=12.9"}) || why != `no operator in "cuda"` {
		t.Errorf("%s %q %q", result, unmet, why)
	}
}

func TestNearest(t *testing.T) {
	facts := requireFacts{CUDA: "12.2", Driver: "535.183.06", Arch: "8.9", Brand: "GEFORCE"}
	for _, tt := range []struct{ expression, term, lowest string }{
		{"", "", ""},
		{"cuda>=12.9 brand=tesla,driver>=535,driver<536", "cuda>=12.9", "12.9"},
		{"brand=tesla,driver>=535 cuda>=13.0 CUDA>=12.10, cuda>=12.10.0", "CUDA>=12.10,", "12.10"},
		{"brand=tesla,driver>=570 brand=tesla,driver>=535 brand=nvs,driver>=535", "brand=tesla,driver>=535", ""},
		{"cuda>=13.0,driver>=580 driver>=580", "driver>=580", ""},
		{"cuda>13.0 cuda=13.0", "cuda>13.0", ""},
		{"cuda>=x cuda>=18446744073709551616 driver>=600", "cuda>=x", ""},
	} {
		r := requirement(tt.expression)
		if got := nearest(r, facts); got != tt.term {
			t.Errorf("%q: nearest %q, want %q", tt.expression, got, tt.term)
		}
		if got, ok := lowestLoneCUDA(r); got != tt.lowest || ok != (tt.lowest != "") {
			t.Errorf("%q: lowest %q %v, want %q", tt.expression, got, ok, tt.lowest)
		}
	}
}

func TestLibnvidiaBrand(t *testing.T) {
	for brand, want := range map[string]string{
		"": "", "GEFORCE": "GeForce", "geforce": "GeForce", "TESLA": "Tesla", "Quadro": "Quadro", "NVS": "NVS",
		"GRID": "GRID", "Titan": "TITAN", "UNKNOWN": "Unknown", "NVIDIA": "Unknown", "GEFORCE_RTX": "Unknown",
		"QUADRO_RTX": "Unknown", "NVIDIA_RTX": "Unknown", "TITAN_RTX": "Unknown", "NVIDIA_VWS": "Unknown",
	} {
		if got := libnvidiaBrand(brand); got != want {
			t.Errorf("%q: %q, want %q", brand, got, want)
		}
	}
}

// The verdicts of libnvidia-container's own code, run on facts and expressions.
func TestCorpusRequireVectors(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(fixture.Corpus(t), "compat", "10_require_grammar.json"))
	if err != nil {
		t.Fatal(err)
	}
	var grammar struct {
		Vectors []struct {
			Facts struct{ CUDA, Driver, Arch, Brand string } `json:"facts"`
			Expr  string                                     `json:"expr"`
			Want  string                                     `json:"libnvidia_container"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(data, &grammar); err != nil {
		t.Fatal(err)
	}
	if len(grammar.Vectors) != 104 {
		t.Errorf("%d vectors, want 104", len(grammar.Vectors))
	}
	for i, v := range grammar.Vectors {
		got, _, why := satisfy(requirement(v.Expr), requireFacts(v.Facts))
		if got.String() != v.Want {
			t.Errorf("vector %d: %.120q with %+v: %s (%s), want %s", i, v.Expr, v.Facts, got, why, v.Want)
		}
	}
}

// FuzzSatisfy: what is judged from the terms joined again is what was judged first, and a message is at hand.
func FuzzSatisfy(f *testing.F) {
	f.Add("cuda>=99 , driver>=1", "12.4", "550.54.15", "Tesla")
	f.Add("brand=tesla,driver>=535,driver<536 cuda==1", "12..4.", ".5", "NVIDIA")
	f.Add("cuda!18446744073709551615,arch<9 x", "18446744073709551615", "", "")
	f.Fuzz(func(t *testing.T, expression, cuda, driver, brand string) {
		facts := requireFacts{CUDA: cuda, Driver: driver, Arch: driver, Brand: brand}
		r := requirement(expression)
		result, unmet, why := satisfy(r, facts)
		if result == unsatisfied && nearest(r, facts) == "" || (result == invalid) != (why != "") {
			t.Errorf("%q: %s without a word", expression, result)
		}
		texts := make([]string, 0, len(r.Terms))
		for _, term := range r.Terms {
			texts = append(texts, term.Text)
		}
		again, unmetAgain, _ := satisfy(requirement(strings.Join(texts, " ")), facts)
		if again != result || !slices.Equal(unmet, unmetAgain) {
			t.Errorf("%q: %s %q, joined again %s %q", expression, result, unmet, again, unmetAgain)
		}
	})
}
