package image_test

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/oci/image"
)

// A user may bind compatibility libraries over an image that has none: then nothing is known of them.
func TestCompatBehindMounts(t *testing.T) {
	env := []string{"LD_LIBRARY_PATH=/opt/compat/lib:/usr/local/nvidia/lib"}
	for target, known := range map[string]bool{
		"/proc": true, "/data": true, "/usr/lib/x86_64-linux-gnu/libcuda.so.535.183.06": true, "/opt": false,
		"/usr/local/cuda/compat": false, "/usr/local/cuda-13.0/": false, "/usr/local": false,
		"/opt/compat": false, "/opt/compat/lib": false, "/opt/compat/lib/libcuda.so.1": false, "/usr/local/other": true,
	} {
		got := image.Compat{Read: true}.Behind([]specs.Mount{{Destination: target}}, env)
		if got.Read != known || known != (got.Why == "") {
			t.Errorf("%s: %+v, want known %v", target, got, known)
		}
	}
	if got := (image.Compat{Why: "time-out"}).Behind([]specs.Mount{{Destination: "/usr"}}, env); got.Why != "time-out" {
		t.Errorf("the first reason was lost: %+v", got)
	}
}
