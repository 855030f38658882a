package register

import (
	"slices"
	"strings"
)

// StatusSchema names the form of a status as JSON.
const StatusSchema = "gpu-preflight.status/v1"

// Status tells what stands before the GPU launches of a host. docs/json.md names the fields.
type Status struct {
	Schema  string         `json:"schema"`
	Healthy bool           `json:"healthy"` // no registration drifted or is broken, and the policy can be used
	Switch  SwitchStatus   `json:"switch"`
	Policy  PolicyStatus   `json:"policy"`
	Records RecordStatus   `json:"records"`
	NVML    NVMLStatus     `json:"nvml"`
	Paths   []PathStatus   `json:"paths"`
	Engines []EngineStatus `json:"engines"`
}

// SwitchStatus tells whether launches are judged at all.
type SwitchStatus struct {
	Off   bool   `json:"off"`
	Until string `json:"until,omitempty"` // RFC 3339; empty: until it is switched on
}

// PolicyStatus tells which policy holds.
type PolicyStatus struct {
	File    string `json:"file,omitempty"` // empty: there is none, and the defaults hold
	Mode    string `json:"mode"`
	Problem string `json:"problem,omitempty"` // why the file cannot be used; launches are then judged in mode warn
}

// RecordStatus tells where launches of this user are recorded.
type RecordStatus struct {
	File    string `json:"file,omitempty"`
	Journal bool   `json:"journal"` // the journal is the place, or gets a copy where it runs
}

// NVMLStatus tells whether the helper that asks NVML can be started.
type NVMLStatus struct {
	Blind bool   `json:"blind"`
	Why   string `json:"why,omitempty"`
}

// State is what becomes of the launches of one path.
type State string

// The states of a launch path.
const (
	Judged     State = "judged"
	PassesBy   State = "passes by" // launches start unjudged
	NotStarted State = "BROKEN"    // our program stops every launch of this path
	NotKnown   State = "unknown"
	Absent     State = "absent" // nothing can be launched this way here
)

// PathStatus is one way in which a GPU container starts.
type PathStatus struct {
	Path  string   `json:"path"`
	State State    `json:"state"`
	Why   string   `json:"why"`
	By    []string `json:"by,omitempty"`    // the registrations that judge it
	Files []string `json:"files,omitempty"` // where that stands
	Close []string `json:"close,omitempty"` // the commands that put it under judgement
}

// Look derives the launch paths and the registrations of a host from its files; it starts nothing and asks no engine.
// Where the site has no prefix, that of the registrations counts. The rest of the status is the caller's.
func Look(s Site) Status {
	if s.Prefix == "" {
		s.Prefix = registeredPrefix(s)
	}
	st := Status{Schema: StatusSchema, NVML: s.nvmlStatus()}
	st.Paths = slices.Concat(dockerPaths(s), containerdPaths(s), otherPaths(s))
	for _, e := range All() {
		st.Engines = append(st.Engines, engineStatus(s, e))
	}
	st.Healthy = !slices.ContainsFunc(st.Engines, func(e EngineStatus) bool { return e.State == Drifted || e.State == Broken })
	return st
}

// registeredPrefix is where the registrations say that gpu-preflight is installed.
func registeredPrefix(s Site) string {
	for _, e := range All() {
		if st, err := readState(s, e.Name); err == nil && st != nil && st.Prefix != "" {
			return st.Prefix
		}
	}
	return "/usr/local"
}

// cover is what stands at one place that launches come past.
type cover struct {
	state State
	why   string
	by    string // the engine, as register names it
	files []string
	close string // the command that would put it under judgement
}

// under combines what a launch comes past into a row: what stops it counts first, then any judgement.
func under(path string, covers ...cover) PathStatus {
	row := PathStatus{Path: path, State: Absent}
	for _, state := range []State{NotStarted, Judged, NotKnown, PassesBy, Absent} {
		if slices.ContainsFunc(covers, func(c cover) bool { return c.state == state }) {
			row.State = state
			break
		}
	}
	var why []string
	for _, c := range covers {
		if c.state != row.State && (row.State == NotStarted || row.State == Judged) {
			continue
		}
		why = appendNew(why, c.why)
		row.Close = appendNew(row.Close, c.close)
		if row.State == Judged {
			row.By = appendNew(row.By, c.by)
			for _, file := range c.files {
				row.Files = appendNew(row.Files, file)
			}
		}
	}
	row.Why = strings.Join(why, "; ")
	return row
}

func appendNew(list []string, text string) []string {
	if text == "" || slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// command is the command that registers an engine, on the host itself.
func (s Site) command(engine string) string {
	words := "gpu-preflight register "
	if s.Prefix != "/usr/local" {
		words += "--prefix " + shellWord(s.Prefix) + " "
	}
	if file := s.Configs[engine]; file != "" {
		words += "--config " + engine + "=" + shellWord(file) + " "
	}
	if engine == "docker" && s.AboveNVIDIA {
		words += "--above-nvidia "
	}
	return words + engine
}

// otherPaths are podman's, CRI-O's and nerdctl's.
func otherPaths(s Site) []PathStatus {
	const never = "never tried here"
	rows := podmanPaths(s)
	for _, other := range []struct{ name, program, engine string }{{"CRI-O", "crio", "crio"}, {"nerdctl", "nerdctl", ""}} {
		row := PathStatus{Path: other.name, State: NotKnown, Why: never}
		if !s.installed(other.engine, other.program) {
			row.State, row.Why = Absent, s.noProgram(other.program)
		}
		rows = append(rows, row)
	}
	return rows
}

// installed says whether an engine is here, or its configuration was named.
func (s Site) installed(engine, program string) bool {
	return s.program(program) != "" || s.Configs[engine] != ""
}

func (s Site) noProgram(name string) string { return "no " + name + " in the usual folders" }

func podmanPaths(s Site) []PathStatus {
	const four, five = "podman 4", "podman 5"
	if !s.installed("podman", "podman") {
		absent := cover{state: Absent, why: s.noProgram("podman")}
		return []PathStatus{under(four, absent), under(five, absent)}
	}
	rows := []PathStatus{under(five, cover{state: NotKnown, why: "never tried here"})}
	layers, err := s.tomlLayers(podmanConfs(s))
	if err != nil {
		return append([]PathStatus{under(four, cover{state: NotKnown, why: err.Error()})}, rows...)
	}
	hooks, _ := listInForce(layers, hooksDefault, podmanHooks...)
	specs, _ := listInForce(layers, nil, "engine", "cdi_spec_dirs")
	row := under(four, s.hooksCover("podman", hooks), s.cdiCover(specs))
	row.Why += "; which podman is here is not looked at"
	return append([]PathStatus{row}, rows...)
}
