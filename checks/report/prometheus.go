package report

import (
	"fmt"
	"strings"

	"gpu-preflight/checks"
)

// maxLabel bounds a label's value, in bytes: names of GPUs and systems are foreign text.
const maxLabel = 128

// verdicts are all that a report may say.
var verdicts = []string{"allow", "warn", "refuse", "not-gpu", "exempt"}

// prometheus writes the report for the textfile collector of node_exporter: text format 0.0.4, no timestamps. States
// are one series a state, 0 or 1, so that none vanishes when a state changes. Container and image are left out: they
// would be new series at every launch.
// https://prometheus.io/docs/instrumenting/exposition_formats/
// https://github.com/prometheus/node_exporter#textfile-collector
func prometheus(command string, r Report) string {
	m := metrics{command: command}
	m.family("verdict", "What the report says, 1 for the verdict that holds.")
	for _, verdict := range verdicts {
		m.sample(truth(verdict == r.Verdict), "verdict", verdict)
	}
	m.family("would_refuse", "1 where the policy's mode warn hid a refusal.")
	m.sample(truth(r.WouldRefuse))
	m.family("results", "Checks by status.")
	counts := count(r.Results)
	for _, status := range statuses {
		m.sample(counts[status], "status", string(status))
	}
	if len(r.Results) > 0 {
		m.family("check_status", "The status of each check, 1 for the one that holds.")
	}
	for _, result := range byCheck(r.Results) {
		for _, status := range statuses {
			m.sample(truth(result.Status == status), "id", result.ID, "layer", string(result.Layer), "status", string(status))
		}
	}
	m.family("host_info", "The host, in labels; always 1.")
	m.sample(1, "driver", r.Host.Driver, "cuda", r.Host.CUDA, "kernel", r.Host.Kernel, "os", r.Host.OS)
	if len(r.Host.GPUs) > 0 {
		m.family("gpus", "GPUs by name.")
	}
	gpus := map[string]int{}
	for _, name := range r.Host.GPUs {
		gpus[label(name)]++
	}
	for _, name := range r.Host.GPUs {
		if n := gpus[label(name)]; n > 0 {
			m.sample(n, "gpu", name)
			delete(gpus, label(name))
		}
	}
	return m.text.String()
}

func truth(is bool) int {
	if is {
		return 1
	}
	return 0
}

// metrics are gauges in the text format; each sample has the label command.
type metrics struct {
	command, name string
	text          strings.Builder
}

func (m *metrics) family(name, help string) {
	m.name = "gpu_preflight_" + name
	fmt.Fprintf(&m.text, "# HELP %s %s\n# TYPE %s gauge\n", m.name, help, m.name)
}

func (m *metrics) sample(value int, labels ...string) {
	fmt.Fprintf(&m.text, `%s{command="%s"`, m.name, label(m.command))
	for i := 0; i+1 < len(labels); i += 2 {
		fmt.Fprintf(&m.text, `,%s="%s"`, labels[i], label(labels[i+1]))
	}
	fmt.Fprintf(&m.text, "} %d\n", value)
}

// label escapes a label's value: what is not printable as Go writes it, and then backslash and quote as the text
// format wants them.
func label(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(checks.Printable(checks.Cut(value, maxLabel)))
}
