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

// The distribution's folder in LD_LIBRARY_PATH is where the driver's libraries are mounted: that hides nothing.
func TestCompatBehindTheDriversOwnMounts(t *testing.T) {
	mounts := []specs.Mount{{Destination: "/usr/lib/x86_64-linux-gnu/libcuda.so.535.183.06"}}
	if got := (image.Compat{Read: true}).Behind(mounts, []string{"LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu"}); !got.Read {
		t.Errorf("%+v", got)
	}
}

// A mount over the loader's configuration changes its order; /dev/null over a file takes the file away.
func TestLoaderBehindMounts(t *testing.T) {
	const file = "/etc/ld.so.conf.d/00-cuda-compat.conf"
	for _, tt := range []struct {
		target, source string
		entries        int
		sure           bool
	}{
		{"/etc/hosts", "/x", 2, true},
		{file, "/dev/null", 1, true},
		{file, "/home/me/my.conf", 1, false},
		{"/etc/ld.so.conf.d", "/x", 2, false},
		{"/etc/ld.so.cache", "/x", 2, false},
		{"/etc", "/x", 2, false},
	} {
		read := &image.Loader{Conf: []image.Candidate{{File: file}, {File: "/etc/ld.so.conf.d/libc.conf"}}}
		got := image.Compat{Read: true, Loader: read}.Behind([]specs.Mount{{Destination: tt.target, Source: tt.source}}, nil).Loader
		if len(got.Conf) != tt.entries || (got.ConfWhy == "") != tt.sure || len(read.Conf) != 2 {
			t.Errorf("%s on %s: %+v", tt.source, tt.target, got)
		}
	}
}
