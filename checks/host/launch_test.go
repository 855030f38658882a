package host

import "testing"

func TestDriverRootOf(t *testing.T) {
	for file, want := range map[string]string{
		"/usr/lib/x86_64-linux-gnu/libcuda.so.535.183.06":                     "/",
		"/usr/lib64/libcuda.so.615.71.09":                                     "/",
		"/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15":    "/run/nvidia/driver",
		"/home/kubernetes/bin/nvidia/lib64/libcuda.so.535.183.01":             "/home/kubernetes/bin/nvidia",
		"/opt/nvidia/570.86.15/6.6.74-flatcar/usr/lib64/libcuda.so.570.86.15": "/opt/nvidia/570.86.15/6.6.74-flatcar",
		"/lib/x86_64-linux-gnu/libcuda.so.550.54.15":                          "/", // as the loader's cache of a merged /usr has it
		"/run/nvidia/driver/lib/aarch64-linux-gnu/libcuda.so.550.54.15":       "/run/nvidia/driver",
		"/lib/modules/libcuda.so.550.54.15":                                   "",
		"/usr/local/cuda/compat/libcuda.so.575.57.08":                         "",
		"/home/user/libcuda.so.535.1":                                         "",
		"/usr/lib/x86_64-linux-gnu/../../../home/user/libcuda.so.535.1":       "",
		"": "",
	} {
		if got, known := DriverRootOf(file); got != want || known != (want != "") {
			t.Errorf("%q: %q %v, want %q", file, got, known, want)
		}
	}
}
