package checks

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"gpu-preflight/checks/host"
)

// tray is a GB200 tray, testdata/hosts/132-healthy-gb200-fabric.json.
func tray(f *Facts) {
	gpus(4, board{"NVIDIA GB200", "NVIDIA", "10.0", "2941"})(f)
	fabricIs(host.FabricCompleted, 0)(f)
	f.Host.Majors.Value["nvidia-caps-imex-channels"] = 234
}

func channel(f *Facts) {
	f.Launch.Container.Devices = append(f.Launch.Container.Devices, specs.LinuxDevice{Path: imexChannels + "channel0", Type: "c", Major: 234})
}

func daemon(f *Facts) {
	f.Host.Fabric.IMEX = known([]host.Process{{PID: 2103, Name: "nvidia-imex", Age: day}})
}

func TestIMEX(t *testing.T) {
	testCheck(t, imex, []row{
		{"no channel", tray, "skip", "no IMEX channel"},
		{"a channel, no tray", channel, "skip", "no tray"},
		{"the daemon runs", and(tray, channel, daemon), "pass", "2103"},
		{"no daemon", and(tray, channel), "warn", "nvidia-imex does not run|800"},
		{"the kernel has no channels", and(tray, daemon, channel, func(f *Facts) { f.Host.Majors = known(map[string]int{"nvidia": 195}) }), "warn", "nvidia-caps-imex-channels"},
		{"the domain must recover", and(tray, channel, daemon, gpuIs(1, recovery(host.RecoveryIMEX))), "warn", "1 (0000:27:00.0)|action 5"},
		{"from inside a container", and(tray, channel, func(f *Facts) { f.Host.Platform.InitialPIDNamespace = known(false) }), "unknown", "cannot be seen"},
		{"not searched for", and(tray, channel, func(f *Facts) { f.Host.Fabric.IMEX = missing[[]host.Process]() }), "unknown", "time-out"},
		{"the fabric is not known", and(channel, func(f *Facts) { f.Host.Fabric.Switches = missing[int]() }), "unknown", "time-out"},
		{"a GH200 that stands alone", and(gpus(1, gh200), channel), "skip", "no tray"},
	})
}
