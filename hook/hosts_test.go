package hook

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gpu-preflight/checks"
	"gpu-preflight/checks/host"
	"gpu-preflight/oci"
	"gpu-preflight/oci/image"
	"gpu-preflight/testdata/fixture"
)

// reportedHost is testdata/hosts/<id>.json; testdata/hosts/README.md explains the keys.
type reportedHost struct {
	ID     string             `json:"id"`
	Files  map[string]*string `json:"files"`
	Nodes  []string           `json:"nodes"`
	Links  map[string]string  `json:"links"`
	PCI    []reportedPCI      `json:"pci"`
	NVML   *host.NVML         `json:"nvml"`
	Uptime *float64           `json:"uptime_s"`
	Launch struct {
		Env []string `json:"env"`
	} `json:"launch"`
	Reverse *reportedHost `json:"reverse"`
}

type reportedPCI struct {
	BDF    string `json:"bdf"`
	Vendor string `json:"vendor"`
	Device string `json:"device"`
	Class  string `json:"class"`
	Driver string `json:"driver"`
	OffBus bool   `json:"off_bus"`
}

// tree writes the host below a folder.
func (h reportedHost) tree(t *testing.T) string {
	files, links := map[string]string{}, maps.Clone(h.Links)
	if links == nil {
		links = map[string]string{}
	}
	for path, text := range h.Files {
		if text != nil {
			files[path] = *text
		}
	}
	files["/proc/uptime"] = fmt.Sprintf("%.2f 1.00\n", *h.Uptime)
	for _, node := range h.Nodes {
		path, numbers, _ := strings.Cut(node, " ")
		files[path] = numbers + "\n"
	}
	for _, p := range h.PCI {
		at := "/sys/bus/pci/devices/" + p.BDF
		files[at+"/vendor"], files[at+"/device"], files[at+"/class"] = "0x"+p.Vendor+"\n", "0x"+p.Device+"\n", "0x"+p.Class+"\n"
		files[at+"/config"] = "\xde\x10\x00\x00"
		if p.OffBus {
			files[at+"/config"] = "\xff\xff\xff\xff"
		}
		if p.Driver != "" {
			files["/sys/bus/pci/drivers/"+p.Driver+"/"] = ""
			links[at+"/driver"] = "../../../bus/pci/drivers/" + p.Driver
		}
	}
	return fixture.Tree(t, files, links)
}

// reversed applies the smallest change that takes the cause away.
func (h reportedHost) reversed() reportedHost {
	r := *h.Reverse
	out := h
	out.Files, out.Links = maps.Clone(h.Files), maps.Clone(h.Links)
	if out.Links == nil {
		out.Links = map[string]string{}
	}
	maps.Copy(out.Files, r.Files)
	maps.Copy(out.Links, r.Links)
	if r.Nodes != nil {
		out.Nodes = r.Nodes
	}
	if r.PCI != nil {
		out.PCI = r.PCI
	}
	if r.NVML != nil {
		out.NVML = r.NVML
	}
	if r.Uptime != nil {
		out.Uptime = r.Uptime
	}
	if r.Launch.Env != nil {
		out.Launch = r.Launch
	}
	return out
}

// judge judges a launch for all GPUs by CDI.
func (h reportedHost) judge(t *testing.T, all bool) Verdict {
	t.Helper()
	return Judge(h.gather(t, h.tree(t), all), checks.Launch{
		GPUs:  oci.GPURequest{GPU: true, Injected: true, All: true, Route: oci.RouteCDI},
		Needs: image.FromContainer(&oci.Container{Env: h.Launch.Env}),
	}, DefaultPolicy())
}

// gather reads the host through the real readers, as check does (all) or as a launch does. NVML's answers are put in;
// at a launch on a host with a fabric state the fake library gives them, for there what NVML says decides what else
// is read.
func (h reportedHost) gather(t *testing.T, root string, all bool) host.Facts {
	t.Helper()
	o := host.Options{Root: root, AskAll: all, NVMLTimeout: 10 * time.Second, RunDir: t.TempDir(), Helper: "/nonexistent"}
	conf, told := h.conf()
	if told = told && !all; told {
		o.Helper, o.NVMLLibrary = fixture.Build(t, "cmd/gpu-preflight-nvml"), fixture.NVML(t, t.TempDir(), conf)
	}
	facts := host.Gather(t.Context(), o)
	if !told {
		facts.NVML = *h.NVML
	}
	return facts
}

// conf is what the fake library has to say of a host whose GPUs have a fabric state; ok is false for another host.
func (h reportedHost) conf() (conf string, ok bool) {
	var b strings.Builder
	major, minor, _ := strings.Cut(h.NVML.CUDA.Value, ".")
	fmt.Fprintf(&b, "init=%d\ndriver=%s\ncuda=%s0%s0\ngpus=%d\n", h.NVML.Init.Value, h.NVML.Driver.Value, major, minor, len(h.NVML.GPUs))
	for i, g := range h.NVML.GPUs {
		fmt.Fprintf(&b, "gpu.%d.bus=%s\ngpu.%d.handle=%d\ngpu.%d.name=%s\ngpu.%d.brand=14\ngpu.%d.cc=%s\n",
			i, g.Bus, i, g.Handle.Value, i, g.Name.Value, i, i, g.Capability.Value)
		if g.Fabric.Known() {
			ok = true
			fmt.Fprintf(&b, "gpu.%d.fabric_state=%d\ngpu.%d.fabric_status=%d\n", i, g.Fabric.Value.State, i, g.Fabric.Value.Status)
		}
	}
	return b.String(), ok && h.NVML.Init.Known() && h.NVML.Init.Value == host.NVMLSuccess
}

// decisive is the check that made the verdict.
func decisive(v Verdict) string {
	want := checks.StatusWarn
	if v.Verdict == Refuse {
		want = checks.StatusFail
	}
	for _, r := range v.Results {
		if r.Status == want && !r.Transient || v.Verdict == Warn && r.Status == checks.StatusFail {
			return r.ID
		}
	}
	return "-"
}

// fitsEngines holds a refusal to what every engine passes on: one ASCII paragraph of at most 900 bytes with a fix, without
// the words for which Docker rewrites exit codes.
func fitsEngines(t *testing.T, message string) {
	t.Helper()
	strange := strings.ContainsFunc(message, func(c rune) bool { return c < ' ' || c > '~' })
	if len(message) > 900 || strange || !strings.Contains(message, ". Fix: ") || !strings.HasSuffix(message, "; gpu-preflight logs]") {
		t.Errorf("%d bytes: %q", len(message), message)
	}
	for _, word := range dockerWords {
		if strings.Contains(strings.ToLower(message), word.says) {
			t.Errorf("%q in %q", word.says, message)
		}
	}
}

const fabricVersion = "fabric-manager-version"

// TestReportedHosts: every reported host gets the verdict that was drawn from its report, and every refused one
// starts when the decisive fact is reversed.
func TestReportedHosts(t *testing.T) {
	dir := filepath.Join(fixture.Root(), "testdata", "hosts")
	table, err := os.ReadFile(filepath.Join(dir, "expected.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		row := strings.Split(line, "\t")
		id, verdict, check := row[0], row[2], row[3]
		counts[verdict]++
		if verdict == "-" {
			continue
		}
		t.Run(id, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, id+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var h reportedHost
			if err := json.Unmarshal(data, &h); err != nil {
				t.Fatal(err)
			}
			v := h.judge(t, true)
			if v.Verdict != verdict || decisive(v) != check {
				t.Errorf("%s by %s, want %s by %s (%s)\n%s", v.Verdict, decisive(v), verdict, check, row[4], told(v))
			}
			if verdict == Refuse {
				fitsEngines(t, Message(v))
			}
			if check == fabricVersion {
				verdict, check = Allow, "-" // a launch reads Fabric Manager's version only where the fabric is not ready
			}
			if v := h.judge(t, false); v.Verdict != verdict || decisive(v) != check {
				t.Errorf("at launch: %s by %s, want %s by %s\n%s", v.Verdict, decisive(v), verdict, check, told(v))
			}
			if verdict != Refuse {
				return
			}
			if h.Reverse == nil {
				t.Fatal("no reversal of the decisive fact")
			}
			for _, all := range []bool{true, false} {
				if v := h.reversed().judge(t, all); v.Verdict == Refuse {
					t.Errorf("refused without its cause too:\n%s", told(v))
				}
			}
		})
	}
	t.Logf("refuse %d, warn %d, allow %d, no facts %d", counts[Refuse], counts[Warn], counts[Allow], counts["-"])
}

func told(v Verdict) string {
	var b strings.Builder
	for _, r := range v.Results {
		fmt.Fprintf(&b, "  %-8s %s: %s\n", r.Status, r.ID, r.What)
	}
	return b.String()
}
