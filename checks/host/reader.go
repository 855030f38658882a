package host

import (
	"encoding/json"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ReaderName is argv[0] of the reader child: the program itself, started again.
const ReaderName = "gpu-preflight-host"

// ChildMain does the reader child's work when argv[0] says so, and reports the exit status. Every program that
// calls Gather calls it before anything else, and so does the TestMain of its tests.
func ChildMain(argv []string) (code int, handled bool) {
	if len(argv) == 0 || argv[0] != ReaderName {
		return 0, false
	}
	CloseInherited()
	if len(argv) < 2 {
		return 2, true
	}
	emitter := NewEmitter(os.Stdout)
	t := newTree(argv[1])
	switch {
	case len(argv) == 2:
		t.readAll(emitter)
	case argv[2] == stackArg:
		t.readStack(emitter)
	case argv[2] == installedWord && len(argv) == 4:
		t.readInstalled(emitter, argv[3])
	case argv[2] == sourcesWord:
		t.findSources(emitter, argv[3:])
	default:
		t.readVersions(emitter, argv[2:])
	}
	emitter.End()
	return 0, true
}

// CloseInherited closes every descriptor but the first three: a child's first act, before the Go runtime has
// opened any of its own.
func CloseInherited() {
	const last = 1<<32 - 1
	if unix.CloseRange(3, last, 0) == nil {
		return
	}
	names, err := tree{}.names("/proc/self/fd") // before Linux 5.9
	if err != nil {
		return
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd > 2 {
			_ = unix.Close(fd)
		}
	}
}

// readAll tells every fact of the reader: first what cannot hang, then what may hang in the driver, on the PCI bus or
// in a file system.
func (t tree) readAll(e *Emitter) {
	emit := func(name string, value json.Marshaler) { e.Emit("", name, value) }
	emit("dxg", t.isThere("/dev/dxg"))
	emit("tegra", t.tegra())
	emit("nodes", t.nodes())
	emit("proc_driver", t.isThere("/proc/driver"))
	emit("initial_pid_ns", t.inInitialPIDNamespace())
	emit("kernel", t.kernel())
	emit("hypervisor", t.hypervisor())
	relay(
		func() { emit("proc_gpus", t.procGPUs()) },
		func() { emit("params", t.params()) },
		func() { emit("mig_caps", t.migCaps()) },
		func() {
			pci := t.pci()
			emit("pci", pci)
			emit("switches", t.switches(pci))
		},
		func() { emit("libraries", t.libraries()) },
		func() { emit("manager_config", t.managerConfig()) },
		func() { emit("os", t.os()) },
	)
}

// relayAfter is how long one step may take before another goroutine goes on with the rest.
const relayAfter = 50 * time.Millisecond

// relay does the steps one after the other; where one hangs, the others are done beside it. Side by side from the
// start they would cost a thread each. It returns when all are done.
func relay(steps ...func()) {
	var next atomic.Int32
	var all sync.WaitGroup
	all.Add(len(steps))
	var work func()
	work = func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(steps) {
				return
			}
			other := time.AfterFunc(relayAfter, work)
			steps[i]()
			other.Stop()
			all.Done()
		}
	}
	work()
	all.Wait()
}

// readVersions tells the versions of running programs, named by their process ids.
func (t tree) readVersions(e *Emitter, pids []string) {
	for _, text := range pids {
		if pid, err := strconv.Atoi(text); err == nil && pid > 0 {
			e.Emit("", "version:"+text, t.programVersion(pid))
		}
	}
}
