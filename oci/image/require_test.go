package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gpu-preflight/testdata/fixture"
)

func factors(terms []Term) [][]string {
	var all [][]string
	for _, term := range terms {
		var texts []string
		for _, f := range term.Factors {
			text := f.Text
			if f.Invalid != "" {
				text += "?"
			}
			texts = append(texts, text)
		}
		all = append(all, texts)
	}
	return all
}

// A question mark after a factor stands for "invalid".
func TestParseRequirementSplits(t *testing.T) {
	for _, tt := range []struct {
		expression string
		want       [][]string
	}{
		{"", nil},
		{"   ", nil},
		{",", nil},
		{" ,, ", nil},
		{"cuda>=12.4", [][]string{{"cuda>=12.4"}}},
		{"  cuda>=12.4  ", [][]string{{"cuda>=12.4"}}},
		{"cuda>=11.0 driver>=450", [][]string{{"cuda>=11.0"}, {"driver>=450"}}},
		{"cuda<13.6 cuda>=11.6,arch=5.3", [][]string{{"cuda<13.6"}, {"cuda>=11.6", "arch=5.3"}}},
		{"cuda>=12.4,,driver>=1,", [][]string{{"cuda>=12.4", "driver>=1"}}},
		{"cuda>=99 , driver>=1", [][]string{{"cuda>=99"}}},
		{", cuda>=99", nil},
		{"cuda>=99 foo=bar", [][]string{{"cuda>=99"}, {"foo=bar?"}}},
		{"cuda>=99\tdriver>=550", [][]string{{"cuda>=99\tdriver>=550?"}}},
	} {
		r := ParseRequirement("NVIDIA_REQUIRE_CUDA", tt.expression)
		if got := factors(r.Terms); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.expression, got, tt.want)
		}
		if r.Name != "NVIDIA_REQUIRE_CUDA" || r.Expression != tt.expression {
			t.Errorf("%q: kept as %q %q", tt.expression, r.Name, r.Expression)
		}
	}
}

func TestParseRequirementKeepsTheTermAsWritten(t *testing.T) {
	r := ParseRequirement("X", "CUDA>=12.3,, brand!Tesla,")
	if len(r.Terms) != 2 || r.Terms[0].Text != "CUDA>=12.3,," || r.Terms[1].Text != "brand!Tesla," {
		t.Fatalf("terms %+v", r.Terms)
	}
	want := Factor{Text: "brand!Tesla", Name: "brand", Op: "!=", Value: "Tesla"}
	if got := r.Terms[1].Factors[0]; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestParseFactor(t *testing.T) {
	for _, tt := range []struct{ text, name, op, value, invalid string }{
		{"cuda>=12.4", "cuda", ">=", "12.4", ""},
		{"CUDA>=12.3", "cuda", ">=", "12.3", ""},
		{"Driver<551", "driver", "<", "551", ""},
		{"arch=9", "arch", "=", "9", ""},
		{"cuda<=12.", "cuda", "<=", "12.", ""},
		{"cuda>12", "cuda", ">", "12", ""},
		{"cuda!12", "cuda", "!=", "12", ""},
		{"cuda!=12", "cuda", "!=", "12", ""},
		{"brand=a=b", "brand", "=", "a=b", ""},
		{"cuda==12.4", "", "", "12.4", "unknown operator"},
		{"cuda=>12.4", "", "", "12.4", "unknown operator"},
		{"cuda=<12.4", "", "", "12.4", "unknown operator"},
		{"cuda<>12", "", "", "12", "unknown operator"},
		{"cuda!!12", "", "", "12", "unknown operator"},
		{"cuda~12", "", "", "", "no operator"},
		{"cuda", "", "", "", "no operator"},
		{">=12", "", "", "", "no name"},
		{"cuda>=", "", ">=", "", "no value"},
		{"foo=bar", "", "=", "bar", "unknown name"},
		{"drİver>1", "", ">", "1", "unknown name"},
		{"brand>=tesla", "brand", ">=", "tesla", "compared with = and !="},
		{"cuda>=12.4-rc1", "cuda", ">=", "12.4-rc1", "no version"},
		{"cuda>=.5", "cuda", ">=", ".5", "no version"},
		{"driver>=535=1", "driver", ">=", "535=1", "no version"},
	} {
		got := parseFactor(tt.text)
		if got.Text != tt.text || got.Name != tt.name || got.Op != tt.op || got.Value != tt.value {
			t.Errorf("%q: %+v", tt.text, got)
		}
		if (got.Invalid == "") != (tt.invalid == "") || !strings.Contains(got.Invalid, tt.invalid) {
			t.Errorf("%q: invalid %q, want %q", tt.text, got.Invalid, tt.invalid)
		}
	}
}

func TestInvalidTextIsQuotedAndCut(t *testing.T) {
	f := parseFactor("\x1b[31m\n" + strings.Repeat("é", 5000) + "=1")
	if strings.ContainsAny(f.Invalid, "\x1b\n") || len(f.Invalid) > 300 {
		t.Errorf("not fit for a message: %q", f.Invalid)
	}
}

func TestParseRequirementBoundsTheExpression(t *testing.T) {
	long := strings.Repeat("cuda<1 ", 20_000)
	r := ParseRequirement("X", long)
	if len(r.Terms) != 1 || len(r.Terms[0].Factors) != 1 {
		t.Fatalf("%d terms", len(r.Terms))
	}
	if got := r.Terms[0].Factors[0].Invalid; got != "expression of 140000 bytes, more than 65536" {
		t.Errorf("invalid %q", got)
	}
	if fits := ParseRequirement("X", long[:maxExpression]); len(fits.Terms) < 9000 {
		t.Errorf("an expression of the greatest length has %d terms", len(fits.Terms))
	}
}

func TestRequirementJSON(t *testing.T) {
	data, err := json.Marshal(ParseRequirement("N", "cuda>=12 x"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"N","expression":"cuda\u003e=12 x","terms":[` +
		`{"text":"cuda\u003e=12","factors":[{"text":"cuda\u003e=12","name":"cuda","op":"\u003e=","value":"12"}]},` +
		`{"text":"x","factors":[{"text":"x","invalid":"no operator in \"x\""}]}]}`
	if string(data) != want {
		t.Errorf("%s\nwant %s", data, want)
	}
}

// Every string of a published image is in the language.
func TestCorpusImageStringsAreValid(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(fixture.Corpus(t), "compat", "09_image_env.json"))
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ ID, Value string }
	var table struct {
		Rows  []row `json:"rows"`
		Extra []row `json:"extra_rows"`
	}
	if err := json.Unmarshal(data, &table); err != nil {
		t.Fatal(err)
	}
	rows := append(table.Rows, table.Extra...)
	if len(rows) != 54 {
		t.Errorf("%d strings, want 54", len(rows))
	}
	for _, row := range rows {
		value := strings.Trim(row.Value, `"`) // X11 is quoted as in a shell
		r := ParseRequirement("NVIDIA_REQUIRE_CUDA", value)
		if len(r.Terms) != len(strings.Fields(value)) {
			t.Errorf("%s: %d terms", row.ID, len(r.Terms))
		}
		for _, term := range r.Terms {
			for _, f := range term.Factors {
				if f.Invalid != "" {
					t.Errorf("%s: %q: %s", row.ID, f.Text, f.Invalid)
				}
			}
		}
	}
}

func FuzzParseRequirement(f *testing.F) {
	for _, seed := range []string{
		"", ",", "cuda>=12.4", "cuda>=99 , driver>=1", "cuda>=12.4,,brand=tesla driver!1", "a=b\tc", "=\x00,\xff<>1 İ=1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		if len(expression) > maxExpression {
			expression = expression[:maxExpression]
		}
		r := ParseRequirement("X", expression)
		texts := make([]string, 0, len(r.Terms))
		for _, term := range r.Terms {
			texts = append(texts, term.Text)
			if len(term.Factors) == 0 {
				t.Errorf("%q: a term without factors", expression)
			}
			for _, factor := range term.Factors {
				valid := factor.Name != "" && factor.Op != "" && factor.Value != ""
				if factor.Invalid == "" && !valid || len(factor.Invalid) > 600 {
					t.Errorf("%q: %+v", expression, factor)
				}
			}
		}
		if again := ParseRequirement("X", strings.Join(texts, " ")); !reflect.DeepEqual(again.Terms, r.Terms) {
			t.Errorf("%q: joined again it reads %+v, not %+v", expression, again.Terms, r.Terms)
		}
	})
}
