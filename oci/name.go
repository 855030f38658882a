package oci

// Name is the container's name as its engine's annotations have it: the Kubernetes container name, nerdctl's
// name; empty where the engine tells none (docker).
func Name(c *Container) string {
	for _, key := range []string{"io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name"} {
		if name := c.Annotations[key]; name != "" {
			return name
		}
	}
	return ""
}
