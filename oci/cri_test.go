package oci

import "testing"

const (
	k8sBundle  = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/3eff2d"
	k3sBundle  = "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/3eff2d"
	mobyBundle = "/run/containerd/io.containerd.runtime.v2.task/moby/3eff2d"
	cri0Bundle = "/run/containers/storage/overlay-containers/295df/userdata"
	podBundle  = "/var/lib/containers/storage/overlay-containers/295df/userdata"
)

// Who may say that it is a pod sandbox: annotations are anybody's, the CRI's state directory is not.
func TestSandboxAndNamespace(t *testing.T) {
	containerd := func(kind string) map[string]string {
		return map[string]string{
			containerdType: kind, containerdSandbox: "3eff2d", containerdNamespace: "kube-system", containerdImage: "registry.k8s.io/pause:3.7",
		}
	}
	crio := func(kind string) map[string]string {
		return map[string]string{
			crioType: kind, crioSandbox: "295df", crioImage: "i", podNamespace: "forged",
			crioLabels: `{"io.kubernetes.pod.namespace":"gpu-operator"}`,
		}
	}
	for _, tt := range []struct {
		about, bundle string
		annotations   map[string]string
		sandbox       bool
		trusted       bool
		namespace     string
	}{
		{"containerd (config/crictl-inspectp-pause-coredns.json)", k8sBundle, containerd("sandbox"), true, true, "kube-system"},
		{"k3s", k3sBundle, containerd("sandbox"), true, true, "kube-system"},
		{"a container", k8sBundle, containerd("container"), false, true, "kube-system"},
		{"docker -l forges", mobyBundle, containerd("sandbox"), false, false, "kube-system"},
		{"a folder that only looks so", "/tmp/k8s.io/x", containerd("sandbox"), false, false, "kube-system"},
		{"deeper", k8sBundle + "/x", containerd("sandbox"), false, false, "kube-system"},
		{"relative", k8sBundle[1:], containerd("sandbox"), false, false, "kube-system"},
		{"no sandbox-id", k8sBundle, map[string]string{containerdType: "sandbox"}, false, false, ""},
		{"CRI-O", cri0Bundle, crio("sandbox"), true, true, "gpu-operator"},
		{"CRI-O, /var/run", "/var" + cri0Bundle, crio("container"), false, true, "gpu-operator"},
		{"podman forges", podBundle, crio("sandbox"), false, false, "gpu-operator"},
		{
			"podman (config/podman-inspect-annotations-trap.json)", podBundle,
			map[string]string{crioType: "sandbox", "io.kubernetes.cri-o.TTY": "false"},
			false, false, "",
		},
		{"CRI-O without labels: the pod's own word is not taken", cri0Bundle, map[string]string{
			crioType: "container", crioSandbox: "x", podNamespace: "kube-system",
		}, false, true, ""},
	} {
		t.Run(tt.about, func(t *testing.T) {
			c := Container{Bundle: tt.bundle, Annotations: tt.annotations}.devices(char("/dev/nvidia0", 195, 0))
			r := FindGPUs(&c, Host{})
			if (r.NotJudged != "") != tt.sandbox || !r.GPU {
				t.Errorf("%+v", r)
			}
			namespace, _, trusted := Namespace(&c)
			if namespace != tt.namespace || trusted != tt.trusted {
				t.Errorf("namespace %q, trusted %t", namespace, trusted)
			}
		})
	}
}

func TestEngine(t *testing.T) {
	for _, tt := range []struct {
		bundle, key, value, want string
	}{
		{mobyBundle, "", "", "docker"},
		{"/var/run/docker/containerd/daemon/io.containerd.runtime.v1.linux/moby/x", "", "", "docker"},
		{k8sBundle, "", "", "containerd"},
		{"/run/containerd/io.containerd.runtime.v2.task/default/x", "nerdctl/namespace", "default", "nerdctl"},
		{cri0Bundle, crioSandbox, "x", "cri-o"},
		{podBundle, "", "", "podman"},
		{"/home/u/.local/share/containers/storage/overlay-containers/x/userdata", "", "", "podman"},
		{"/b", "io.container.manager", "libpod", "podman"},
		{"/var/lib/docker/buildkit/executor/x", "", "", "buildkit"},
		{"/tmp/b1", "", "", ""},
	} {
		c := Container{Bundle: tt.bundle, Annotations: map[string]string{tt.key: tt.value}}
		if got := Engine(&c); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.bundle, got, tt.want)
		}
	}
}
