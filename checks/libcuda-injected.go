package checks

import (
	"path"
	"strconv"
	"strings"

	"gpu-preflight/checks/host"
)

// A CDI specification names the driver's files with their version. After an upgrade of the driver it names files that
// are gone, and the runtime fails at the first of these mounts, before any hook, with nothing but the path and a
// system error (containers/podman#26233, HaveAGitGat/Tdarr#1423). Only the shim and check look before the mounts are made;
// elsewhere nobody looked.
//
// A missing source stops the container now, whatever may come later. Where the files may still come (after a boot,
// from a driver container) it is looked for again until settle. Whether a libcuda that is there fits the module is
// driver-library-version's question.
var libcudaInjected = Check{
	ID:     "libcuda-injected",
	Title:  "the driver's files that this launch mounts are there",
	Layer:  Container,
	Why:    `the runtime cannot mount it, so the container does not start; without libcuda CUDA would fail with error 35, "CUDA driver version is insufficient for CUDA runtime version"`,
	CUDA:   []int{35},
	Links:  []string{"https://github.com/containers/podman/issues/26233", "https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md"},
	After:  []string{"driver-loaded"},
	Launch: true,
	Run: func(f Facts) Result {
		gone, unread := f.sources()
		given, doubtful := f.libcudaDoubt()
		switch {
		case len(gone) > 0:
			return f.sourceGone(gone)
		case doubtful:
			return given
		case len(f.Host.Sources) == 0:
			return skip("not asked: nobody looked before the mounts are made (a hook runs after them)")
		case len(unread) > 0:
			return unknown("%s: %s", unread[0].Path, unread[0].There.Why())
		}
		return pass("%s of the driver to mount, and nothing is missing", counted(len(f.Host.Sources), "file")).from(f.Host.Sources[0].There.Source)
	},
}

// sources are the files to mount that are not there, libcuda first, and those of which nobody knows.
func (f Facts) sources() (gone, unread []host.Source) {
	for _, s := range f.Host.Sources {
		switch {
		case !s.There.Known():
			unread = append(unread, s)
		case s.There.Value:
		case strings.HasPrefix(path.Base(s.Path), "libcuda.so."):
			gone = append([]host.Source{s}, gone...)
		default:
			gone = append(gone, s)
		}
	}
	return gone, unread
}

func (f Facts) sourceGone(gone []host.Source) Result {
	first, more, loaded := gone[0], "", ""
	if n := len(gone) - 1; n > 0 {
		more = " (and " + strconv.Itoa(n) + " more)"
	}
	if version := f.Host.Driver.Version; version.Known() && version.Value != "" {
		loaded = ", where driver " + version.Value + " is loaded"
	}
	r := fail("this launch mounts %s%s, which is gone from this host%s: the CDI specification that names it is stale", first.Path, more, loaded).
		because("the runtime cannot make that mount, so the container does not start").
		fix("write the specification anew: systemctl restart nvidia-cdi-refresh, or nvidia-ctk cdi generate --output=FILE for the FILE in /etc/cdi or /var/run/cdi that names it").
		from(first.There.Source)
	if strings.HasPrefix(first.Path, "/dev/") {
		r = r.fix("have the driver make its nodes (nvidia-modprobe)")
	}
	r.LookAgain = f.justBooted() || f.driverContainer() || strings.HasPrefix(first.Path, driverContainerRoot+"/")
	return r
}
