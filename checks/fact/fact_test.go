package fact_test

import (
	"encoding/json"
	"testing"

	"gpu-preflight/checks/fact"
)

func TestFactSurvivesJSON(t *testing.T) {
	for name, want := range map[string]fact.Fact[[]string]{
		"known":        fact.Of([]string{"a"}, "/proc/x"),
		"known absent": fact.Of([]string{}, "/proc/x"),
		"unknown":      fact.Missing[[]string]("", "time-out"),
		"zero":         {},
	} {
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got fact.Fact[[]string]
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if got.Known() != want.Known() || len(got.Value) != len(want.Value) || got.Why() != want.Why() {
			t.Errorf("%s: %s became %+v", name, data, got)
		}
	}
}

func TestZeroFactIsUnknown(t *testing.T) {
	var zero fact.Fact[int]
	if zero.Known() || zero.Why() != "not read" {
		t.Errorf("zero fact: known %v, why %q", zero.Known(), zero.Why())
	}
	if f := (fact.Fact[int]{Value: 3, Source: "x", Unknown: "stale"}); f.Known() {
		t.Error("a fact with a reason for being unknown counts as known")
	}
}

func TestGivenValueWithoutSource(t *testing.T) {
	var f fact.Fact[bool]
	if err := json.Unmarshal([]byte(`{"value": false}`), &f); err != nil {
		t.Fatal(err)
	}
	if !f.Known() || f.Value {
		t.Errorf("got %+v, want a known false", f)
	}
	if err := json.Unmarshal([]byte(`{"value": "yes"}`), &f); err == nil {
		t.Error("a value of the wrong type was accepted")
	}
}
