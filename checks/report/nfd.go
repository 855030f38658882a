package report

import (
	"strconv"
	"strings"
)

// labelPrefix is the namespace that node-feature-discovery may always write to.
const labelPrefix = "feature.node.kubernetes.io/gpu-preflight."

// maxLabelValue bounds the value of a Kubernetes label, in bytes.
const maxLabelValue = 63

// nfd writes a feature file for the local source of node-feature-discovery. A few values become labels of the node.
// The status of every check is a feature only ("+no-label" holds for the line below it), for the rules of a
// NodeFeatureRule.
// https://kubernetes-sigs.github.io/node-feature-discovery/master/usage/customization-guide.html#local-feature-source
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
func nfd(command string, r Report) string {
	var b strings.Builder
	put := func(key, value string) {
		if value = labelValue(value); value != "" {
			b.WriteString(key + "=" + value + "\n")
		}
	}
	b.WriteString("# gpu-preflight " + labelValue(command) + "\n")
	put(labelPrefix+command, r.Verdict)
	put(labelPrefix+"driver", r.Host.Driver)
	branch, _, _ := strings.Cut(r.Host.Driver, ".")
	put(labelPrefix+"driver-branch", branch)
	put(labelPrefix+"cuda", r.Host.CUDA)
	if len(r.Host.GPUs) > 0 {
		put(labelPrefix+"gpus", strconv.Itoa(len(r.Host.GPUs)))
	}
	for _, result := range byCheck(r.Results) {
		put("# +no-label\ngpu-preflight."+command+"."+labelValue(result.ID), string(result.Status))
	}
	return b.String()
}

// labelValue makes text fit for the value of a label: ASCII letters, digits, dash, underscore and dot, at most 63
// bytes, a letter or digit at both ends. Anything else becomes an underscore; what begins or ends with it is cut off.
func labelValue(text string) string {
	var b strings.Builder
	for _, c := range text {
		switch {
		case b.Len() == maxLabelValue:
		case alphanumeric(c) || c == '-' || c == '.':
			b.WriteRune(c)
		default:
			b.WriteByte('_')
		}
	}
	return strings.Trim(b.String(), "-_.")
}

func alphanumeric(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
