//go:build cgo

package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		out  string
	}{
		"no library named":     {nil, 2, ""},
		"unknown flag":         {[]string{"--library", "x", "--what"}, 2, ""},
		"an argument too many": {[]string{"--library", "x", "y"}, 2, ""},
		"no such library":      {[]string{"--library", "/nowhere/libnvidia-ml.so.1", "--ask-all"}, 0, `{"name":"init","fact":{"value":12,"source":"nvmlInit_v2"}}` + "\nend\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs strings.Builder
			if code := run(test.args, &out, &errs); code != test.code || out.String() != test.out {
				t.Errorf("exit %d, output %q", code, out.String())
			}
			if (errs.Len() > 0) != (test.code == 2) {
				t.Errorf("errors %q", errs.String())
			}
		})
	}
}
