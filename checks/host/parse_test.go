package host

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpu-preflight/checks/fact"
	"gpu-preflight/testdata/fixture"
)

// Lines of real hosts: distributions' and data-centre reports, nixGL #121, #139 and #186, Jetson forum reports.
func TestParseProcVersion(t *testing.T) {
	for line, want := range map[string][2]string{
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.216.03  Thu Apr  3 01:14:19 UTC 2025":                                                                 {"535.216.03", "proprietary"},
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 23:23:10 UTC 2025\nGCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)": {"570.86.15", "proprietary"},
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.195.03  Release Build  (dvs-builder@U22-I3-H04-03-1)  Sat Sep 20 00:47:16 UTC 2025":          {"570.195.03", "open"},
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  525.60.11  Release Build  (archlinux-builder@localhost)  ":                                       {"525.60.11", "open"},
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  555.58  Сб 29 июн 2024 14:36:22 MSK":                                                                      {"555.58", "proprietary"},
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.142  Tue Mar  3 10.11.12 UTC 2026":                                                                    {"580.142", "proprietary"},
		"NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.65.06  Release Build  (x@y)":                                                                {"580.65.06", "open"},
		"NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  35.3.1  Release Build  (buildbrain@mobile-u64)":                                                 {"35.3.1", "open"},
		"NVRM version: NVIDIA UNIX Kernel Module for aarch64  34.1.1  Release Build  (buildbrain@x)":                                                               {"34.1.1", "proprietary"},
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module":                                                                                                           {"", ""},
		"GCC version:  gcc version 11.4.0": {"", ""},
		"":                                 {"", ""},
		"Kernel Module 535.1.1":            {"", ""},
	} {
		version, flavor := parseProcVersion(line)
		if version != want[0] || flavor != want[1] {
			t.Errorf("%q: got %q %q, want %q", line, version, flavor, want)
		}
	}
}

// Every version file of the corpus names the module that its report names.
func TestParseProcVersionOfCorpus(t *testing.T) {
	seen := 0
	paths, err := filepath.Glob(filepath.Join(fixture.Corpus(t), "hosts", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var report struct {
			Files  map[string]string
			Driver struct {
				KernelModule string `json:"kernel_module"`
			}
		}
		if err := json.Unmarshal(data, &report); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if text, ok := report.Files[procVersion]; ok {
			seen++
			if version, _ := parseProcVersion(text); version != report.Driver.KernelModule {
				t.Errorf("%s: got %q, want %q", path, version, report.Driver.KernelModule)
			}
		}
	}
	if seen == 0 {
		t.Error("the corpus has no version file")
	}
}

func TestParseInformation(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want ProcGPU
	}{
		"129, an L4 in use": {
			"Model: \t\t NVIDIA L4\nIRQ:   \t\t 16\nGPU UUID: \t GPU-5d3e9b1c-0000-0000-0000-000000000000\nVideo BIOS: \t 95.04.65.00.13\nBus Type: \t PCIe\nDMA Size: \t 47 bits\nDMA Mask: \t 0x7fffffffffff\nBus Location: \t 0000:70:00.0\nDevice Minor: \t 0\nGPU Excluded:\t No\n",
			ProcGPU{Bus: "b", Model: "NVIDIA L4", UUID: "GPU-5d3e9b1c-0000-0000-0000-000000000000", Resident: true},
		},
		"nv-procfs.c, never initialised": {
			"Model: \t\t Tesla T4\nGPU UUID: \t GPU-????????-????-????-????-????????????\nVideo BIOS: \t ??.??.??.??.??\nDevice Minor: \t 3\n",
			ProcGPU{Bus: "b", Model: "Tesla T4", Minor: 3},
		},
		"093, unknown in Kata": {"Model: \t\t Unknown\nIRQ:   \t\t 35\n", ProcGPU{Bus: "b", Model: "Unknown", Minor: -1}},
		"excluded":             {"Device Minor: \t 1\nGPU Excluded:\t Yes\n", ProcGPU{Bus: "b", Minor: 1, Excluded: true}},
		"hostile":              {"Device Minor: \t -7\nVideo BIOS: \n::::\n", ProcGPU{Bus: "b", Minor: -1}},
	} {
		if got := parseInformation("b", test.text); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

func TestParseStat(t *testing.T) {
	tail := strings.Repeat(" 0", 18) + " 12345 0"
	for name, test := range map[string]struct {
		text string
		want procStat
		ok   bool
	}{
		"plain":     {"42 (nv-fabricmanage) S" + tail, procStat{"nv-fabricmanage", 'S', 12345}, true},
		"zombie":    {"42 (x) Z" + tail, procStat{"x", 'Z', 12345}, true},
		"any name":  {"42 (a) S 1 (b) ) R" + tail, procStat{"a) S 1 (b) ", 'R', 12345}, true},
		"cut":       {"42 (x) S 1 2", procStat{}, false},
		"no name":   {"42 x S" + tail, procStat{}, false},
		"reversed":  {"42 )x( S" + tail, procStat{}, false},
		"no number": {"42 (x) S" + strings.Repeat(" 0", 18) + " abc", procStat{}, false},
		"empty":     {"", procStat{}, false},
	} {
		got, err := parseStat([]byte(test.text))
		if (err == nil) != test.ok || got != test.want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestParseDevices(t *testing.T) {
	text := "Character devices:\n  1 mem\n195 nvidia-frontend\n235 nvidia-uvm\n511 nvidia-caps\n\nBlock devices:\n  8 sd\n195 nvidia-fake\n"
	got, ok := parseDevices(text)
	want := map[string]int{"mem": 1, "nvidia-frontend": 195, "nvidia-uvm": 235, "nvidia-caps": 511}
	if !ok || !maps.Equal(got, want) {
		t.Errorf("got %v %v", got, ok)
	}
	for _, bad := range []string{"", "Block devices:\n", "Character devices:\nx y\n"} {
		if got, ok := parseDevices(bad); ok {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

func TestParseParamsAndConfig(t *testing.T) {
	params := parseParams("ResmanDebugLevel: 4294967295\nNvLinkDisable: 1\nRegistryDwords: \"a=1;b=2\"\nno separator\n")
	if !maps.Equal(params, map[string]string{"ResmanDebugLevel": "4294967295", "NvLinkDisable": "1", "RegistryDwords": "a=1;b=2"}) {
		t.Errorf("params %v", params)
	}
	config := parseConfig("# FABRIC_MODE=2\nFABRIC_MODE=0\n FABRIC_MODE = 1 \nLOG_FILE_NAME=/var/log/fm=x.log\n")
	if !maps.Equal(config, map[string]string{"FABRIC_MODE": "1", "LOG_FILE_NAME": "/var/log/fm=x.log"}) {
		t.Errorf("configuration %v", config)
	}
}

func TestNormalBus(t *testing.T) {
	for in, want := range map[string]string{
		"0000:17:00.0": "0000:17:00.0", "00000000:17:00.0": "0000:17:00.0", "00000000:C1:00.0": "0000:c1:00.0",
		"00010000:01:00.0": "10000:01:00.0", "17:00.0": "", "": "", "0000:17:00": "", "0000:zz:00.0": "", "../../../../x:17:00.0": "",
	} {
		if got, ok := normalBus(in); got != want || ok != (want != "") {
			t.Errorf("%q: got %q %v", in, got, ok)
		}
	}
}

// cache builds an ld.so.cache of names and paths (sysdeps/generic/dl-cache.h).
func cache(old bool, pairs ...string) []byte {
	var strs, entries []byte
	base := cacheHeader + len(pairs)/2*cacheEntry
	for i := 0; i < len(pairs); i += 2 {
		entry := make([]byte, cacheEntry)
		binary.LittleEndian.PutUint32(entry, 0x303)
		for j, text := range pairs[i : i+2] {
			binary.LittleEndian.PutUint32(entry[4+4*j:], uint32(base+len(strs)))
			strs = append(append(strs, text...), 0)
		}
		entries = append(entries, entry...)
	}
	header := append([]byte(cacheMagic), make([]byte, cacheHeader-len(cacheMagic))...)
	binary.LittleEndian.PutUint32(header[20:], uint32(len(pairs)/2))
	binary.LittleEndian.PutUint32(header[24:], uint32(len(strs)))
	header[28] = 2
	data := slices.Concat(header, entries, strs)
	if old {
		front := append([]byte(oldCacheMagic), make([]byte, 4+3*oldEntry)...)
		binary.NativeEndian.PutUint32(front[12:], 3)
		front = append(front, make([]byte, (8-len(front)%8)%8)...)
		data = append(front, data...)
	}
	return data
}

func TestParseCache(t *testing.T) {
	pairs := []string{
		"libcuda.so.1", "/lib/x86_64-linux-gnu/libcuda.so.1", sonameNVML, "/opt/a/" + sonameNVML,
		sonameNVML, "/lib/i386-linux-gnu/" + sonameNVML, sonameNVML, "relative/" + sonameNVML,
	}
	want := []string{"/opt/a/" + sonameNVML, "/lib/i386-linux-gnu/" + sonameNVML}
	for _, old := range []bool{false, true} {
		if got := parseCache(cache(old, pairs...), sonameNVML); !slices.Equal(got, want) {
			t.Errorf("old front %v: got %q", old, got)
		}
	}
	if data, err := os.ReadFile("/etc/ld.so.cache"); err == nil && strings.Contains(string(data), cacheMagic) {
		if got := parseCache(data, "libc.so.6"); len(got) == 0 {
			t.Error("this machine's cache has no libc.so.6")
		}
	}
}

func TestSearchVersions(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"one":          {"\x7fELF\x00\x00535.183.06\x00more\x00", []string{"535.183.06"}},
		"twice":        {"\x00535.183.06\x00x\x00535.183.06\x00", []string{"535.183.06"}},
		"two":          {"\x00535.183.06\x00530.30.02\x00", []string{"535.183.06", "530.30.02"}},
		"part of text": {"\x00version 535.183.06\x00v535.183.06\x00535.183.06-1\x00", nil},
		"others":       {"\x001.2.11\x00127.0.0.1\x00300.1.1\x00255.255.255.0\x00", nil},
		"unended":      {"535.183.06", nil},
		"across reads": {strings.Repeat("y", 256<<10-5) + "\x00580.65.06\x00", []string{"580.65.06"}},
	} {
		reader := strings.NewReader(test.text)
		got, err := searchVersions(func(buf []byte) (int, error) {
			n, _ := reader.Read(buf)
			return n, nil
		})
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q %v, want %q", name, got, err, test.want)
		}
	}
	if _, err := searchVersions(func(buf []byte) (int, error) { return len(buf), nil }); err == nil {
		t.Error("an endless file was searched to its end")
	}
}

func TestWantedGPUs(t *testing.T) {
	gpus := []ProcGPU{
		{Bus: "0000:10:00.0", UUID: "GPU-a", Minor: 3}, {Bus: "0000:11:00.0", Minor: 1, Excluded: true}, {Bus: "0000:12:00.0", UUID: "GPU-c", Minor: 0},
	}
	for name, want := range map[string][]bool{
		"all": {true, true, true}, "0": {true, false, false}, "1": {false, false, true}, "2": {false, false, false},
		"1:0": {false, false, true}, "GPU-c": {false, false, true}, "GPU-C": {false, false, true}, "minor:3": {true, false, false},
		"minor:1": {false, true, false}, "minor:x": {false, false, false}, "00000000:12:00.0": {false, false, true},
		"MIG-GPU-a/1/0": {true, false, false}, "MIG-6ba7b810-0000-0000-0000-000000000000": {true, true, true},
		"GPU-unknown": {true, true, true}, "": {false, false, false}, "-1": {false, false, false},
	} {
		if got := wantedGPUs([]string{name}, gpus); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
	if got := wantedGPUs(nil, gpus); !slices.Equal(got, []bool{true, true, true}) {
		t.Errorf("nil: got %v", got)
	}
	if got := wantedGPUs([]string{}, gpus); slices.Contains(got, true) {
		t.Errorf("nothing asked for: got %v", got)
	}
	if got := wantedGPUs([]string{"0", "MIG-x"}, gpus); !slices.Equal(got, []bool{true, true, true}) {
		t.Errorf("a known and an unknown name: got %v", got)
	}
}

func TestLinesAreJSON(t *testing.T) {
	for _, gpu := range []string{"", "0000:10:00.0", "#3"} {
		var out strings.Builder
		e := NewEmitter(&out)
		e.Emit(gpu, "os", fact.Of(OS{ID: "a\"}b", Pretty: "é\n"}, "here"))
		e.Flush()
		var want Line
		if err := json.Unmarshal([]byte(out.String()), &want); err != nil {
			t.Fatalf("%s: %v", out.String(), err)
		}
		got, ok := parseLine([]byte(strings.TrimSuffix(out.String(), "\n")))
		if !ok || got.GPU != gpu || got.Name != "os" || string(got.Fact) != string(want.Fact) || want.GPU != gpu {
			t.Errorf("%s: got %+v %v", out.String(), got, ok)
		}
	}
	for _, bad := range []string{
		"", "{", "{}", `{"name":"x"}`, `{"name":"x","fact":}`, `{"name":"","fact":1}`, `{"gpu":"x","fact":1}`, `{"gpu":"x"}`, `{"name":"x","fact":1`,
		`{"gpu":"a\"b","name":"x","fact":1}`, `["name"]`,
	} {
		if line, ok := parseLine([]byte(bad)); ok {
			t.Errorf("%s: got %+v", bad, line)
		}
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.216.03  Thu"))
	f.Add([]byte("42 (nv-fabricmanage) S" + strings.Repeat(" 0", 20)))
	f.Add([]byte("Device Minor: \t 3\nVideo BIOS: \t 1\nDeviceFileMinor: 3\n"))
	f.Add([]byte("Character devices:\n195 nvidia\n"))
	f.Add([]byte(`{"gpu":"0000:10:00.0","name":"mig","fact":{"value":{"current":true},"source":"x"}}`))
	f.Add([]byte(`{"name":"init","fact":{"value":"text"}}`))
	f.Add([]byte(`{"name":"nodes","fact":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		text := string(data)
		if version, flavor := parseProcVersion(text); (version == "") != (flavor == "") || (version != "" && !isVersion(version)) {
			t.Errorf("version %q, flavor %q", version, flavor)
		}
		if gpu := parseInformation("b", text); gpu.Minor < -1 || strings.Contains(gpu.UUID, "??") {
			t.Errorf("%+v", gpu)
		}
		if majors, ok := parseDevices(text); ok {
			for name, major := range majors {
				if major < 0 {
					t.Errorf("%s: %d", name, major)
				}
			}
		}
		if stat, err := parseStat(data); err == nil && stat.state == 0 {
			t.Error("a process without a state")
		}
		parseParams(text)
		parseConfig(text)
		if line, ok := parseLine(data); ok {
			var facts Facts
			facts.readerSlots().fold(line)
			var got answers
			got.take(&facts.NVML, line)
			got.finish(&facts.NVML, Plan{}, "over")
			if facts.NVML.Init.IsZero() {
				t.Error("init was left without a reason")
			}
			if _, err := json.Marshal(facts); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzParseCache(f *testing.F) {
	f.Add(cache(false, sonameNVML, "/opt/"+sonameNVML))
	f.Add(cache(true, sonameNVML, "/opt/"+sonameNVML))
	f.Add([]byte(cacheMagic))
	f.Add([]byte(oldCacheMagic + "\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, path := range parseCache(data, sonameNVML) {
			if !strings.HasPrefix(path, "/") {
				t.Errorf("path %q", path)
			}
		}
	})
}

// A step that hangs hides only its own facts.
func TestRelay(t *testing.T) {
	hang, told := make(chan struct{}), make(chan int, 3)
	done := make(chan struct{})
	go func() {
		defer close(done)
		relay(func() { told <- 1 }, func() { <-hang }, func() { told <- 3 })
	}()
	if first, second := <-told, <-told; first != 1 || second != 3 {
		t.Errorf("told %d and %d", first, second)
	}
	select {
	case <-done:
		t.Error("it returned before every step was done")
	default:
	}
	close(hang)
	<-done
}
