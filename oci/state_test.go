package oci

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadState(t *testing.T) {
	for _, tt := range []struct {
		about, stdin string
		want         State
		err          string
	}{
		{
			"runc 1.1.5",
			`{"ociVersion":"1.0.2-dev","id":"ok","status":"creating","pid":15118,"bundle":"/b1","annotations":{"com.example.a":"b"}}`,
			State{ID: "ok", Status: "creating", Pid: 15118, Bundle: "/b1"},
			"",
		},
		{
			"crun 1.8.1: two-part version, root, created",
			`{"ociVersion":"1.0","id":"crA","pid":19660,"root":"rootfs","bundle":"/b1","status":"created","annotations":{}}`,
			State{ID: "crA", Status: "created", Pid: 19660, Bundle: "/b1", Root: "rootfs"},
			"",
		},
		{
			"docker: no annotations",
			`{"ociVersion":"1.3.0","id":"d","status":"creating","pid":7,"bundle":"/run/b"}`,
			State{ID: "d", Status: "creating", Pid: 7, Bundle: "/run/b"},
			"",
		},
		{"runc before Docker 17.06", `{"id":"o","bundlePath":"/old"}`, State{ID: "o", Bundle: "/old"}, ""},
		{"annotations null, pid missing", `{"bundle":"/b","annotations":null}`, State{Bundle: "/b"}, ""},
		{"a pid that is no number", `{"pid":"7","bundle":"/b"}`, State{Bundle: "/b"}, ""},
		{"text after the object", `{"bundle":"/b"} and more`, State{Bundle: "/b"}, ""},
		{"nothing", "", State{}, "state on stdin: it is empty"},
		{"no bundle", `{"id":"x"}`, State{}, "state on stdin: it names no bundle"},
		{"cut off", `{"id":"x","bundle":"/b`, State{}, "state on stdin: unexpected EOF"},
		{"no JSON", `{"id":x}`, State{}, "state on stdin: offset 7: "},
		{"a list", `["/b"]`, State{}, "state on stdin: offset 1: "},
		{"a bundle that is no string", `{"bundle":["/b"]}`, State{}, "state on stdin: offset "},
	} {
		t.Run(tt.about, func(t *testing.T) {
			got, err := ReadState(strings.NewReader(tt.stdin))
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
					t.Fatalf("error %v, want %s…", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got.Annotations = nil
			if got.ID != tt.want.ID || got.Status != tt.want.Status || got.Bundle != tt.want.Bundle ||
				got.Root != tt.want.Root || got.Pid != tt.want.Pid {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestReadStateIsBounded(t *testing.T) {
	stdin := io.MultiReader(strings.NewReader(`{"bundle":"/b","id":"`), endless{})
	_, err := ReadState(stdin)
	var tooLarge *TooLargeError
	if !errors.As(err, &tooLarge) || tooLarge.Limit != maxState {
		t.Errorf("error %v", err)
	}
}

// A runtime that leaves the pipe open must not hold the hook.
func TestReadStateDoesNotWaitForTheEnd(t *testing.T) {
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	go func() { _, _ = io.WriteString(w, `{"bundle":"/b"}`) }()
	if state, err := ReadState(r); err != nil || state.Bundle != "/b" {
		t.Errorf("%+v, %v", state, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func FuzzReadState(f *testing.F) {
	f.Add(`{"ociVersion":"1.0","id":"crA","pid":19660,"root":"rootfs","bundle":"/b1","status":"created"}`)
	f.Add(`{"bundlePath":1}`)
	f.Fuzz(func(t *testing.T, stdin string) {
		state, err := ReadState(strings.NewReader(stdin))
		if (err == nil) == (state.Bundle == "") {
			t.Errorf("%+v, %v", state, err)
		}
	})
}
