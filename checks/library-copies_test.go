package checks

import (
	"testing"

	"gpu-preflight/checks/host"
)

func TestLibraryCopies(t *testing.T) {
	testCheck(t, libraryCopies, []row{
		{"healthy", nil, "pass", "none"},
		{"a stub", copied(host.LibraryCopy{Path: "/usr/local/cuda/lib64/stubs/libcuda.so", Kind: "stub", From: "/etc/ld.so.conf.d/cuda.conf"}), "warn", "stub|/etc/ld.so.conf.d/cuda.conf"},
		{"another version", copied(host.LibraryCopy{Path: "/usr/local/lib/libcuda.so.1", Kind: "copy", From: "ld.so.cache", Version: "525.60.13"}), "warn", "525.60.13"},
		{"a copy of the same version", copied(host.LibraryCopy{Path: "/opt/lib/libcuda.so.1", Kind: "copy", From: "ld.so.cache", Version: "570.86.15"}), "pass", "none"},
		{"side by side", func(f *Facts) {
			f.Host.Libraries.Value = append(f.Host.Libraries.Value, host.Library{Name: "libcuda", Version: "384.130", Root: "/"})
		}, "warn", "384.130, 570.86.15|ldconfig"},
		{"unread", stack(func(s *host.Stack) { s.Copies = missing[[]host.LibraryCopy]() }), "unknown", "time-out"},
	})
}
