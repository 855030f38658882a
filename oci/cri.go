package oci

import (
	"encoding/json"
	"path"
	"strings"
)

// The annotations of the two CRI implementations. podman writes CRI-O's ContainerType=sandbox on ordinary
// containers, without SandboxID (config/podman-inspect-annotations-trap.json).
const (
	containerdType      = "io.kubernetes.cri.container-type"
	containerdSandbox   = "io.kubernetes.cri.sandbox-id"
	containerdNamespace = "io.kubernetes.cri.sandbox-namespace"
	containerdImage     = "io.kubernetes.cri.image-name"

	crioType      = "io.kubernetes.cri-o.ContainerType"
	crioSandbox   = "io.kubernetes.cri-o.SandboxID"
	crioNamespace = "io.kubernetes.cri-o.Namespace"
	crioLabels    = "io.kubernetes.cri-o.Labels" // the kubelet's labels, as a JSON object
	crioImage     = "io.kubernetes.cri-o.ImageName"

	podNamespace = "io.kubernetes.pod.namespace"
)

// notJudged says why a GPU launch starts unjudged.
func notJudged(c *Container) string {
	kind := c.Annotations[containerdType]
	if fromCRIO(c) {
		kind = c.Annotations[crioType]
	}
	if kind == "sandbox" && trusted(c) {
		return "pod sandbox"
	}
	value, _ := c.Getenv(visibleDevices)
	asked := append(annotated(c, cdiPrefix, operatorPrefix), strings.Split(value, ",")...)
	for _, name := range asked {
		if strings.HasPrefix(strings.TrimSpace(name), managementKind+"=") {
			return managementKind
		}
	}
	return ""
}

// Namespace returns the Kubernetes namespace and the image of a container as its annotations have them, and
// whether they may be trusted: anybody can write annotations, but only a CRI puts a bundle below its own state
// directory, with container-type and sandbox-id both there.
func Namespace(c *Container) (namespace, image string, isTrusted bool) {
	if !fromCRIO(c) {
		return c.Annotations[containerdNamespace], c.Annotations[containerdImage], trusted(c)
	}
	namespace, image = c.Annotations[crioNamespace], c.Annotations[crioImage]
	var labels map[string]string
	if json.Unmarshal([]byte(c.Annotations[crioLabels]), &labels) == nil && labels[podNamespace] != "" {
		namespace = labels[podNamespace]
	}
	return namespace, image, trusted(c)
}

func fromCRIO(c *Container) bool { return c.Annotations[crioSandbox] != "" }

func trusted(c *Container) bool {
	if fromCRIO(c) {
		return crioBundle(c.Bundle) && c.Annotations[crioType] != ""
	}
	return containerdBundle(c.Bundle, "k8s.io") &&
		c.Annotations[containerdType] != "" && c.Annotations[containerdSandbox] != ""
}

// containerdBundle tells whether a bundle is …/io.containerd.runtime.v2.task/<namespace>/<id>, wherever the state
// directory is (k3s: /run/k3s/containerd).
func containerdBundle(bundle, namespace string) bool {
	dir := path.Dir(path.Clean(bundle))
	return path.IsAbs(dir) && path.Base(dir) == namespace && path.Base(path.Dir(dir)) == "io.containerd.runtime.v2.task"
}

// crioBundle tells whether a bundle is /run/containers/storage/<driver>-containers/<id>/userdata. podman, run by
// root, keeps its bundles of the same form below its graph root, /var/lib/containers/storage.
func crioBundle(bundle string) bool {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(path.Clean(bundle), "/var"), "/run/containers/storage/")
	parts := strings.Split(rest, "/")
	return ok && len(parts) == 3 && strings.HasSuffix(parts[0], "-containers") && parts[2] == "userdata"
}

// Engine guesses which engine made the bundle: docker, containerd, cri-o, podman, nerdctl, buildkit, or "".
func Engine(c *Container) string {
	bundle := path.Clean(c.Bundle)
	manager := c.Annotations["io.container.manager"]
	switch {
	case containerdBundle(bundle, "moby"), strings.HasSuffix(path.Dir(bundle), "/moby"):
		return "docker"
	case strings.Contains(bundle, "/buildkit/"):
		return "buildkit"
	case c.Annotations["nerdctl/namespace"] != "":
		return "nerdctl"
	case strings.Contains(bundle, "/io.containerd.runtime."):
		return "containerd"
	case crioBundle(bundle) && fromCRIO(c), manager == "cri-o":
		return "cri-o"
	case manager == "libpod",
		path.Base(bundle) == "userdata" && strings.HasSuffix(path.Dir(path.Dir(bundle)), "-containers"):
		return "podman"
	}
	return ""
}
