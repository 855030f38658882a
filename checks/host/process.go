package host

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"gpu-preflight/checks/fact"
)

// Names of processes as comm shows them: 15 characters (proc_pid_comm(5)).
const (
	commManager      = "nv-fabricmanage"
	commSubnet       = "nvlsm"
	commPersistenced = "nvidia-persiste"
	commIMEX         = "nvidia-imex"
)

// pidFiles are where the daemons of the driver's packages write their process ids. nvidia-imex is only searched for:
// it mostly runs in a container.
var pidFiles = map[string]string{
	commManager:      "/run/nvidia-fabricmanager/nv-fabricmanager.pid",
	commSubnet:       "/run/nvidia-fabricmanager/nvlsm.pid",
	commPersistenced: "/run/nvidia-persistenced/nvidia-persistenced.pid",
}

// ticks is USER_HZ, the unit of start times in /proc/PID/stat; it is 100 on every architecture that has a driver.
const ticks = 100

var errStat = errors.New("malformed process status")

// procStat is what is read of /proc/PID/stat (proc_pid_stat(5)).
type procStat struct {
	comm  string
	state byte
	start uint64 // clock ticks since boot
}

func (s procStat) alive() bool { return s.state != 'Z' && s.state != 'X' && s.state != 'x' }

// parseStat reads /proc/PID/stat. The name may hold anything, also parentheses: the last one ends it.
func parseStat(data []byte) (procStat, error) {
	begin, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if begin < 0 || end < begin {
		return procStat{}, errStat
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 20 || len(fields[0]) != 1 {
		return procStat{}, errStat
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return procStat{}, fmt.Errorf("start time: %w", err)
	}
	return procStat{comm: string(data[begin+1 : end]), state: fields[0][0], start: start}, nil
}

// uptime reads /proc/uptime: seconds since boot.
func (t tree) uptime() fact.Fact[float64] {
	const path = "/proc/uptime"
	text, err := t.text(path)
	if err != nil {
		return fact.Missing[float64](path, reason(err))
	}
	first, _, _ := strings.Cut(text, " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || seconds < 0 || seconds > 1e10 {
		return fact.Missing[float64](path, "malformed")
	}
	return fact.Of(seconds, path)
}

// process describes a living process of the given name; ok is false when pid is gone, a zombie or another's.
func (t tree) process(pid int, comm string, uptime fact.Fact[float64]) (p Process, ok bool, err error) {
	data, err := t.read("/proc/"+strconv.Itoa(pid)+"/stat", 4096)
	if absent(err) || errors.Is(err, unix.ESRCH) {
		return Process{}, false, nil
	}
	if err != nil {
		return Process{}, false, err
	}
	stat, err := parseStat(data)
	if err != nil || stat.comm != comm || !stat.alive() {
		return Process{}, false, err
	}
	p = Process{PID: pid, Name: comm}
	if uptime.Known() {
		p.Age = max(0, uptime.Value-float64(stat.start)/ticks)
	}
	return p, true, nil
}

// byPIDFile finds a daemon through its pid file. What the file says counts only when it names a living process
// of that name; nothing found here proves no absence.
func (t tree) byPIDFile(comm string, uptime fact.Fact[float64]) (Process, bool) {
	text, err := t.text(pidFiles[comm])
	if err != nil {
		return Process{}, false
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return Process{}, false
	}
	p, ok, err := t.process(pid, comm, uptime)
	return p, ok && err == nil
}

// daemons are the driver's daemons by name.
type daemons map[string]fact.Fact[[]Process]

func lostDaemons(why string) daemons {
	lost := fact.Missing[[]Process]("/proc", why)
	return daemons{commManager: lost, commSubnet: lost, commPersistenced: lost, commIMEX: lost}
}

// readDaemons finds the driver's daemons by their pid files; and, when the pid file of one of wanted leads to no
// living one, by a scan of /proc (a daemon in a container has its pid file there). The scan costs 4 us a process.
func (t tree) readDaemons(uptime fact.Fact[float64], wanted ...string) daemons {
	if !uptime.Known() {
		return lostDaemons("the age of a process cannot be told: " + uptime.Why())
	}
	found := daemons{}
	for comm, path := range pidFiles {
		if p, ok := t.byPIDFile(comm, uptime); ok {
			found[comm] = fact.Of([]Process{p}, path)
		} else {
			found[comm] = fact.Missing[[]Process](path, "names no living process, and the others were not searched")
		}
	}
	found[commIMEX] = fact.Missing[[]Process]("/proc", "the processes were not searched")
	if slices.ContainsFunc(wanted, func(comm string) bool { return !found[comm].Known() }) {
		return t.scan(uptime)
	}
	return found
}

// scan looks for the daemons among all processes.
func (t tree) scan(uptime fact.Fact[float64]) daemons {
	names, err := t.names("/proc")
	if err == nil && t.top == "" {
		_, err = t.stat("/proc/1/comm") // hidepid hides the processes of others
	}
	if err != nil {
		return lostDaemons(reason(err))
	}
	found := map[string][]Process{commManager: {}, commSubnet: {}, commPersistenced: {}, commIMEX: {}}
	result := daemons{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		comm, _ := t.read("/proc/"+name+"/comm", 64) // empty when it ended meanwhile
		key := string(bytes.TrimSuffix(comm, []byte("\n")))
		if _, wanted := found[key]; !wanted {
			continue
		}
		p, ok, err := t.process(pid, key, uptime)
		if err != nil {
			result[key] = fact.Missing[[]Process]("/proc/"+name+"/stat", reason(err))
		} else if ok {
			found[key] = append(found[key], p)
		}
	}
	for comm, list := range found {
		if _, lost := result[comm]; !lost || len(list) > 0 {
			result[comm] = fact.Of(list, "/proc/*/comm")
		}
	}
	return result
}
