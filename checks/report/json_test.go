package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/checks/explain"
	hostfacts "gpu-preflight/checks/host"
	"gpu-preflight/checks/plan"
	"gpu-preflight/checks/report"
	"gpu-preflight/hook/record"
	"gpu-preflight/hook/register"
	"gpu-preflight/testdata/fixture"
)

var update = flag.Bool("update", false, "write testdata/json/*.golden")

// documents are the JSON forms that docs/json.md promises, each with every field set.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	var facts hostfacts.Facts
	fill(reflect.ValueOf(&facts).Elem(), "")
	facts.Schema = hostfacts.Schema
	var r record.Record
	fill(reflect.ValueOf(&r).Elem(), "")
	r.Schema, r.Verdict, r.Time = record.Schema, "refuse", time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var rep report.Report
	fill(reflect.ValueOf(&rep).Elem(), "")
	rep.Verdict = "refuse"
	for _, results := range [][]checks.Result{r.Results, rep.Results} {
		results[0].Status, results[0].Layer = checks.StatusFail, checks.Image
	}
	var b bytes.Buffer
	if err := report.JSON(&b, rep); err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{"report": bytes.Clone(b.Bytes())}
	var fleet report.Fleet
	fill(reflect.ValueOf(&fleet).Elem(), "")
	fleet.Hosts[0].Verdict = "refuse"
	b.Reset()
	if err := report.FleetJSON(&b, fleet); err != nil {
		t.Fatal(err)
	}
	out["fleet"] = b.Bytes()
	var status register.Status
	fill(reflect.ValueOf(&status).Elem(), "")
	status.Schema, status.Paths[0].State, status.Engines[0].State = register.StatusSchema, register.Judged, register.Registered
	var answer explain.Answer
	fill(reflect.ValueOf(&answer).Elem(), "")
	answer.Schema = explain.Schema
	var runbook plan.Plan
	fill(reflect.ValueOf(&runbook).Elem(), "")
	runbook.Schema, runbook.Answer = plan.Schema, plan.Upgrade
	for name, v := range map[string]any{"facts": facts, "record": r, "status": status, "explain": answer, "plan": runbook} {
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		out[name] = append(data, '\n')
	}
	return out
}

// fill sets every field: texts to the field's name, numbers to 1, lists to one entry, facts to known ones.
func fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.ToLower(name))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, name)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("name"), value)
	case reflect.Struct:
		fillStruct(v)
	default:
		panic("a field of kind " + v.Kind().String() + ": " + name)
	}
}

func fillStruct(v reflect.Value) {
	for i := range v.NumField() {
		if field := v.Type().Field(i); field.IsExported() && field.Name != "Unknown" {
			fill(v.Field(i), field.Name)
		}
	}
}

// TestGolden: the JSON forms change only by intent, and only by additions.
func TestGolden(t *testing.T) {
	for name, got := range documents(t) {
		path := filepath.Join(fixture.Root(), "testdata", "json", name+".golden")
		if *update {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s/v1 is not %s (go test ./checks/report -update writes it; fields may be added only):\n%s", name, path, got)
		}
	}
}

// TestReadAgain: what is written is read back with nothing lost.
func TestReadAgain(t *testing.T) {
	documents := documents(t)
	for name, v := range map[string]any{
		"facts": &hostfacts.Facts{}, "record": &record.Record{}, "report": &report.Report{}, "explain": &explain.Answer{}, "plan": &plan.Plan{}, "fleet": &report.Fleet{},
	} {
		decoder := json.NewDecoder(bytes.NewReader(documents[name]))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(v); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := json.MarshalIndent(v, "", "  ")
		if err != nil || !bytes.Equal(append(again, '\n'), documents[name]) {
			t.Errorf("%s read and written again, %v:\n%s\nwas\n%s", name, err, again, documents[name])
		}
	}
}

// TestDocumented: docs/json.md names every field, in the section of its document.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(fixture.Root(), "docs", "json.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, document := range documents(t) {
		_, section, found := strings.Cut(string(data), "\n## gpu-preflight."+name+"/v1\n")
		if !found {
			t.Errorf("docs/json.md has no section for %s/v1", name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		var tree any
		if err := json.Unmarshal(document, &tree); err != nil {
			t.Fatal(err)
		}
		if name == "record" { // its results are those of a report
			delete(tree.(map[string]any), "results")
		}
		if name == "fleet" { // container and host are those of a report
			delete(tree.(map[string]any), "container")
			delete(tree.(map[string]any)["hosts"].([]any)[0].(map[string]any), "host")
		}
		for _, key := range keys(tree, nil) {
			if !strings.Contains(section, "`"+key+"`") {
				t.Errorf("docs/json.md, %s/v1: no word on `%s`", name, key)
			}
		}
	}
}

func keys(tree any, found []string) []string {
	switch tree := tree.(type) {
	case map[string]any:
		for key, value := range tree {
			if key != "name" || value == "name" { // not the key of a map of ours
				found = append(found, key)
			}
			found = keys(value, found)
		}
	case []any:
		for _, value := range tree {
			found = keys(value, found)
		}
	}
	return found
}

// TestEmpty: lists are lists, and the host alone has no container.
func TestEmpty(t *testing.T) {
	var b bytes.Buffer
	if err := report.JSON(&b, report.Report{Verdict: "allow"}); err != nil {
		t.Fatal(err)
	}
	const want = `{
  "schema": "gpu-preflight.report/v1",
  "verdict": "allow",
  "would_refuse": false,
  "host": {},
  "results": []
}
`
	if b.String() != want {
		t.Errorf("JSON writes %s, want %s", b.String(), want)
	}
}
