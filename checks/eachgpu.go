package checks

import (
	"slices"
	"strings"

	"gpu-preflight/checks/fact"
	"gpu-preflight/checks/host"
)

// said is what one fact says of one GPU: a status, and the words that follow the GPU's name.
type said struct {
	status Status
	words  string
}

// eachGPU asks one question of every GPU asked for, and reports the worst of the answers: all the GPUs that it is
// given for, by their words. A GPU that gives no handle is gpu-reachable's matter. all means what works: a failure
// of some only warns then. good is what is said when nothing is wrong.
func eachGPU[T any](f Facts, of func(gpu) fact.Fact[T], judge func(gpu, T) said, good string, fixes ...string) Result {
	want, found := f.asked(), findings{}
	for _, g := range want.GPUs {
		one := of(g)
		switch {
		case g.NotAsked != "":
			found.add(StatusSkip, g, "not asked: "+g.NotAsked, "")
		case g.Handle.Known() && g.Handle.Value != host.NVMLSuccess && !one.Known():
			found.add(StatusSkip, g, "gives no handle", "")
		case !one.Known():
			found.add(StatusUnknown, g, one.Why(), "")
		default:
			a := judge(g, one.Value)
			found.add(a.status, g, a.words, one.Source)
		}
	}
	return found.report(want, good, fixes)
}

// report is the worst of the answers.
func (f findings) report(want asked, good string, fixes []string) Result {
	switch hurt := f[StatusFail]; {
	case hurt != nil:
		return want.failIfNoneLeft(hurt.gpus, "%s", hurt).fix(fixes...).from(hurt.source)
	case f[StatusWarn] != nil:
		return warn("%s", f[StatusWarn]).fix(fixes...).from(f[StatusWarn].source)
	case len(want.GPUs) == 0:
		return unknown("none of the GPUs asked for is known")
	case f[StatusUnknown] != nil:
		return unknown("%s", f[StatusUnknown])
	case f[StatusPass] == nil:
		return skip("%s", f[StatusSkip])
	}
	return pass("%s", good).from(f[StatusPass].source)
}

// findings are the answers by status.
type findings map[Status]*finding

// finding is one status: the GPUs that it is given for, and by which words.
type finding struct {
	gpus   []gpu
	words  []string
	by     map[string][]gpu
	source string
}

func (f findings) add(status Status, g gpu, words, source string) {
	one := f[status]
	if one == nil {
		one = &finding{by: map[string][]gpu{}, source: source}
		f[status] = one
	}
	if !slices.Contains(one.words, words) {
		one.words = append(one.words, words)
	}
	one.gpus, one.by[words] = append(one.gpus, g), append(one.by[words], g)
}

// String says it of each group of GPUs: "GPU 0 (0000:17:00.0), 1 (0000:27:00.0) must be reset; GPU 3 …".
func (f *finding) String() string {
	parts := make([]string, len(f.words))
	for i, words := range f.words {
		parts[i] = "GPU " + names(f.by[words]) + " " + words
	}
	return strings.Join(parts, "; ")
}
