package hook

import (
	"path"
	"slices"
	"strings"

	"gpu-preflight/oci"
)

// Exempts says why a container is not judged, empty when it is. The annotations that name namespace and image
// are believed only where the CRI wrote them: anybody may give a container of his own such words.
func (p Policy) Exempts(c *oci.Container) string {
	namespace, image, trusted := oci.Namespace(c)
	switch {
	case !trusted:
		return ""
	case slices.Contains(p.Exempt.Namespaces, namespace):
		return "namespace " + namespace + " is exempt"
	}
	for _, pattern := range p.Exempt.Images {
		if like(pattern, image) {
			return "image " + image + " is exempt (" + pattern + ")"
		}
	}
	return ""
}

// like matches a pattern in which * stands for any characters, slashes too, and ? for one.
func like(pattern, text string) bool {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
	ok, err := path.Match(flat(pattern), flat(text))
	return err == nil && ok && text != ""
}

// override lowers the mode by the container's own annotation, where the policy lets it.
func (p Policy) override(c *oci.Container) Policy {
	order := []Mode{ModeEnforce, ModeWarn, ModeOff}
	asked := Mode(c.Annotations["gpu-preflight.mode"])
	if p.Overrides && slices.Index(order, asked) > slices.Index(order, p.Mode) {
		p.Mode = asked
	}
	return p
}
