package cuda

import (
	"slices"
	"strings"
	"testing"
)

func version(t *testing.T, s string) Version {
	t.Helper()
	v, err := ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMaxCUDA(t *testing.T) {
	for branch, want := range map[int]string{535: "12.2", 418: "10.1", 565: "12.7", 580: "13.0", 620: "13.5", 367: "8.0"} {
		if row, ok := MaxCUDA(branch); !ok || row.Version.String() != want || row.Branch != branch || row.Conf == "" || row.Source == "" {
			t.Errorf("MaxCUDA(%d) = %+v, %t", branch, row, ok)
		}
	}
	for _, branch := range []int{0, -1, 35, 340, 361, 430, 500, 540, 585, 600, 605, 625, 900} {
		if row, ok := MaxCUDA(branch); ok || row != (BranchRow{}) {
			t.Errorf("MaxCUDA(%d) = %+v, want unknown", branch, row)
		}
	}
	if got := NewestCUDA(); got != (Version{13, 5}) {
		t.Errorf("NewestCUDA = %v", got)
	}
}

func TestBranches(t *testing.T) {
	for _, c := range []struct {
		cuda              string
		first, recommends int
	}{
		{"7.0", 367, 580},
		{"8.0", 367, 580},
		{"9.1", 387, 580},
		{"11.8", 520, 580},
		{"12.2", 535, 580},
		{"12.7", 565, 580},
		{"12.8", 570, 580},
		{"13.0", 580, 580},
		{"13.1", 590, 595}, // 590 is disputed
		{"13.2", 595, 595},
		{"13.3", 610, 615}, // 610 has ended
		{"13.4", 615, 615},
		{"13.5", 620, 620},
		{"12.99", 580, 580},
		{"13.6", 0, 0},
		{"99", 0, 0},
		{"0", 0, 0},
	} {
		v := version(t, c.cuda)
		first, ok := BranchFor(v)
		if c.first != 0 && (!ok || first != c.first) || c.first == 0 && ok {
			t.Errorf("BranchFor(%s) = %d, %t", c.cuda, first, ok)
		}
		if got, ok := RecommendedBranch(v); got != c.recommends || ok != (c.recommends != 0) {
			t.Errorf("RecommendedBranch(%s) = %d, %t", c.cuda, got, ok)
		}
	}
}

func TestToolkitMinDriver(t *testing.T) {
	for cuda, want := range map[string]string{
		"12.4": "550.54.14", "12.4.1": "550.54.14", "11.0": "450.36.06", "12.8": "570.26", "9.1": "387.26", "13.3": "610.43.02", "8.0": "367.48",
		"12.7": "", "13.4": "", "13.5": "", "14.0": "", "6.5": "", "0": "",
	} {
		if got, ok := ToolkitMinDriver(version(t, cuda)); got != want || ok != (want != "") {
			t.Errorf("ToolkitMinDriver(%s) = %q, %t", cuda, got, ok)
		}
	}
}

func TestMinDriverForMajor(t *testing.T) {
	for major, want := range map[int]string{11: "450.80.02", 12: "525.60.13", 13: "580.65.06"} {
		if rule, ok := MinDriverForMajor(major); !ok || rule.Driver.String() != want || rule.Major != major {
			t.Errorf("MinDriverForMajor(%d) = %+v, %t", major, rule, ok)
		}
	}
	for _, major := range []int{-1, 0, 8, 9, 10, 14, 99} {
		if rule, ok := MinDriverForMajor(major); ok {
			t.Errorf("MinDriverForMajor(%d) = %+v", major, rule)
		}
	}
}

func TestForwardCompat(t *testing.T) {
	for _, c := range []struct {
		compat string
		branch int
		want   Compat
	}{
		{"13.0", 535, CompatYes},
		{"13.0", 580, CompatNative},
		{"12.9", 580, CompatNoPackage},
		{"13.1", 550, CompatYes}, // by the ELF note alone
		{"12.9", 575, CompatNative},
		{"13.0", 550, CompatUnknown}, // a column that this edition of the matrix does not have
		{"13.0", 525, CompatUnknown},
		{"13.0", 620, CompatUnknown},
		{"13.5", 535, CompatUnknown},
		{"12.7", 535, CompatUnknown},
		{"11.8", 470, CompatUnknown},
		{"0", 0, CompatUnknown},
	} {
		if got := ForwardCompat(version(t, c.compat), c.branch); got != c.want {
			t.Errorf("ForwardCompat(%s, %d) = %v, want %v", c.compat, c.branch, got, c.want)
		}
	}
	for branch, want := range map[int]string{535: "13.4", 550: "13.1", 560: "12.9", 570: "13.4", 575: "13.1", 610: "13.4", 615: "", 620: "", 525: "", 0: ""} {
		if got, ok := ForwardCompatReach(branch); ok != (want != "") || ok && got.String() != want {
			t.Errorf("ForwardCompatReach(%d) = %v, %t", branch, got, ok)
		}
	}
	words := []string{CompatUnknown.String(), CompatYes.String(), CompatNative.String(), CompatNoPackage.String(), Compat(9).String()}
	if got := strings.Join(words, ", "); got != "unknown, yes, native, no package, unknown" {
		t.Error(got)
	}
}

func TestForwardCompatBrand(t *testing.T) {
	for want, words := range map[Support][]string{
		Unsupported: {"GeForce", "GEFORCE", "geforce", "GEFORCE_RTX", "GeForce RTX", "geforcertx", "NVML_BRAND_GEFORCE", "BRAND_GEFORCE_RTX", "TITAN", "Titan", "TITAN_RTX", "titanrtx"},
		Supported:   {"Tesla", "TESLA", "tesla", "NVML_BRAND_TESLA", "NVIDIA", "nvidia", "BRAND_NVIDIA"},
		SupportUnknown: {
			"", "Unknown", "unknown", "Quadro", "QUADRO_RTX", "quadrortx", "NVIDIA_RTX", "nvidiartx", "NVS", "GRID", "NVIDIA_VAPPS", "vpc",
			"NVIDIA_VCS", "vws", "NVIDIA_CLOUD_GAMING", "geforce2", "17", "\x00", strings.Repeat("geforce", 1<<12),
		},
	} {
		for _, w := range words {
			if got := ForwardCompatBrand(w); got != want {
				t.Errorf("ForwardCompatBrand(%.40q) = %v, want %v", w, got, want)
			}
		}
	}
}

func TestArch(t *testing.T) {
	ada, ok := Arch("8.9")
	if !ok || ada.Name != "Ada" || ada.FirstCUDA != (Version{11, 8}) || !ada.Ongoing || ada.MinBranch != 520 || ada.LastBranch != 0 {
		t.Errorf("8.9: %+v", ada)
	}
	volta, ok := Arch("7.0")
	if !ok || volta.Ongoing || volta.LastCUDA != (Version{12, 9}) || volta.LastBranch != 580 {
		t.Errorf("7.0: %+v", volta)
	}
	for _, cc := range []string{"", "8", "8.90", "89", "sm_89", "8.5", "9.9", "13.0", "99.0"} {
		if row, ok := Arch(cc); ok || row != (ArchRow{}) {
			t.Errorf("Arch(%q) = %+v, want unknown", cc, row)
		}
	}
}

func TestLifecycle(t *testing.T) {
	for branch, eol := range map[int]bool{535: true, 570: true, 610: true, 580: false, 595: false, 620: false, 590: false} {
		if row, ok := Lifecycle(branch); !ok || row.Branch != branch || row.EOL() != eol {
			t.Errorf("Lifecycle(%d) = %+v, %t", branch, row, ok)
		}
	}
	if row, _ := Lifecycle(590); row.Support != SupportUnknown || row.Conf != Conflict {
		t.Errorf("590 is disputed: %+v", row)
	}
	if row, ok := Lifecycle(600); ok {
		t.Errorf("600: %+v", row)
	}
}

func TestFabric(t *testing.T) {
	for id, want := range map[uint16]string{0x1ac2: "1", 0x1ae8: "2", 0x1af0: "2", 0x1af1: "2", 0x1aff: "2", 0x22a0: "3", 0x22a3: "3", 0x22a7: "3"} {
		if row, ok := FabricGeneration(id); !ok || row.Generation != want || !row.OnNode {
			t.Errorf("FabricGeneration(%04x) = %+v, %t", id, row, ok)
		}
	}
	for _, id := range []uint16{0, 0x1ae7, 0x1ae9, 0x1aef, 0x1b00, 0x229f, 0x22a8, 0x22b1, 0x2330, 0xffff} {
		if row, ok := FabricGeneration(id); ok {
			t.Errorf("FabricGeneration(%04x) = %+v", id, row)
		}
	}
	if g, ok := FabricGPU(0x2330); !ok || g.Name != "H100 SXM5" || g.Generation != "3" {
		t.Errorf("2330: %+v", g)
	}
	if g, ok := FabricGPU(0x2331); !ok || g.Generation != "" {
		t.Errorf("2331: %+v", g)
	}
	if g, ok := FabricGPU(0x2203); ok {
		t.Errorf("2203: %+v", g)
	}
	if row, ok := FabricSystem("NVL72"); !ok || row.OnNode || row.MinBranch != 0 {
		t.Errorf("NVL72: %+v", row)
	}
}

func TestErrorText(t *testing.T) {
	for code, want := range map[int][2]string{
		802: {"CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized"},
		35:  {"cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"},
	} {
		if name, text, ok := ErrorText(code); !ok || name != want[0] || text != want[1] {
			t.Errorf("ErrorText(%d) = %q, %q, %t", code, name, text, ok)
		}
	}
	if name, text, ok := ErrorText(4711); ok || name != "" || text != "" {
		t.Errorf("4711: %q, %q", name, text)
	}
	list := Errors()
	list[0].Text = "changed"
	if Errors()[0].Text == "changed" {
		t.Error("a caller can change the table")
	}
	// Runtimes rewrite the exit code of a hook whose message holds one of these.
	rewritten := []string{"permission denied", "no such file or directory", "is a directory", "not a directory", "executable file not found"}
	for _, e := range list {
		if slices.ContainsFunc(rewritten, func(s string) bool { return strings.Contains(strings.ToLower(e.Text), s) }) {
			t.Errorf("%d: %q cannot stand in a refusal", e.Code, e.Text)
		}
	}
}

func TestTitles(t *testing.T) {
	row, _ := MaxCUDA(575)
	want := []string{
		"CUDA Toolkit 13.4 Update 1 release notes, CUDA driver tables (13.4.2)",
		".note.cuda.fwd_compatibility of 575.57.08 and 590.44.01, NVIDIA/nvidia-container-toolkit testdata (d34b3046, 2026-08-21)",
	}
	if got := row.Titles(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
